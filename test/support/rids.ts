/** Reservation ids for tests that have no API which makes them. */
import { randomBytes, randomUUID } from 'node:crypto'
import { newRid as newOwnRid, ridKey } from '../../src/reserve/rid.ts'

const key = ridKey(randomBytes(32).toString('hex'))

/** A rid of an event as the product makes it, but of no buyer that it knows: to the product under test it is made up. */
export function newRid(eventId: string): string {
  return newOwnRid(eventId, randomUUID(), key)
}

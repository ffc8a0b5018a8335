/** Reservations that are there before a measurement begins, made by the product's own scripts. */
import { v7 as uuidv7 } from 'uuid'
import { receiveReservations } from '../../src/orders/inbox.ts'
import type { Arena } from './arena.ts'

const AT_ONCE = 2_000

export interface Held {
  rid: string
  userId: string
  reservedAtMs: number
}

/** Takes one unit for each buyer, `AT_ONCE` at a time. @throws when one is refused */
export async function reserveFor(
  { scripts }: Pick<Arena, 'scripts'>,
  eventId: string,
  userIds: readonly string[],
): Promise<Held[]> {
  const held: Held[] = []
  for (const some of chunks(userIds)) {
    const taken = some.map(async (userId): Promise<Held> => {
      const rid = uuidv7()
      const reply = await scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: rid })
      if (reply.kind !== 'accepted') throw new Error(`a reservation was refused: ${reply.kind}`)
      return { rid, userId, reservedAtMs: reply.reservedAtMs }
    })
    held.push(...(await Promise.all(taken)))
  }
  return held
}

/** As if the broker had confirmed and the bridge had received them. */
export async function receive(
  { knex, scripts }: Arena,
  eventId: string,
  held: readonly Held[],
): Promise<void> {
  for (const some of chunks(held)) {
    await scripts.markQueued([{ eventId, rids: some.map(({ rid }) => rid) }])
    await receiveReservations(
      knex,
      some.map(({ rid, userId, reservedAtMs }) => ({
        rid,
        event_id: eventId,
        user_id: userId,
        quantity: 1,
        epoch: 1,
        reserved_at_ms: reservedAtMs,
        request_id: rid,
      })),
    )
  }
}

/** Tells Redis that each of them became an order, which ends its log entry. */
export async function confirm(
  { scripts }: Pick<Arena, 'scripts'>,
  eventId: string,
  held: readonly Held[],
): Promise<void> {
  const expiresAtMs = Date.now() + 3_600_000
  for (const some of chunks(held))
    await scripts.confirm([
      {
        eventId,
        orders: some.map(({ rid, userId }) => ({ rid, userId, quantity: 1, orderId: uuidv7(), expiresAtMs })),
      },
    ])
}

/** Tells Redis that their orders were closed, which gives their units back. */
export async function lapse(
  { scripts }: Pick<Arena, 'scripts'>,
  eventId: string,
  held: readonly Held[],
): Promise<void> {
  for (const some of chunks(held))
    await Promise.all(
      some.map(({ rid, userId }) => scripts.release({ eventId, rid, userId, quantity: 1, reason: 'lapsed' })),
    )
}

/** Cuts a list, so that no pipeline gets too long. */
export function* chunks<T>(list: readonly T[]): Generator<T[]> {
  for (let from = 0; from < list.length; from += AT_ONCE) yield list.slice(from, from + AT_ONCE)
}

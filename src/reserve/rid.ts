import { v7 as uuidv7 } from 'uuid'

/**
 * A new reservation id: a UUIDv7 whose last eight hex digits are those of its event's id, so that whoever
 * holds a rid alone can find the event whose Redis keys know it. 42 random bits a millisecond remain.
 */
export function newRid(eventId: string): string {
  return uuidv7().slice(0, -TAG_LENGTH) + eventTag(eventId)
}

const TAG_LENGTH = 8

/** The part of a rid, or of an event id, that they share. */
export function eventTag(id: string): string {
  return id.slice(-TAG_LENGTH)
}

/**
 * Reservation ids: UUIDv7 that name their event and prove that we have made them.
 *
 * ```
 * time in ms, 48 bits | version | count, 12 bits || variant | proof, 30 bits | tag of the event, 32 bits
 * ```
 *
 * The tag is the end of the event's id: whoever holds a rid alone finds the event whose Redis keys know it. The proof is
 * a part of SHA-256 over a key, all that stands before it, the buyer and the tag: a rid that no store knows any more can be
 * told from one that somebody has made up. No HMAC is needed for it: who does not see the whole of a hash cannot go on
 * with it, and one call without an object costs a sixth.
 *
 * Two rids are equal only when one buyer asks for one event twice in the same millisecond, at two processes whose counts
 * are the same; the script then gives both requests the one unit. Rids of two buyers differ in the proof.
 */
import { hash, randomInt } from 'node:crypto'
import { deriveKey } from '../platform/derived-key.ts'

const TAG_LENGTH = 8
/** Hex digits of time, version and count. */
const HEAD_LENGTH = 16
const MAX_COUNT = 0xfff

/** The key that proofs are made with, in hexadecimal. */
export type RidKey = string

/** @returns the same key in every process */
export function ridKey(secret: string): RidKey {
  return deriveKey(secret, 'spike rid').export().toString('hex')
}

/** A new reservation id. Those of one process are in the order of time. */
export function newRid(eventId: string, userId: string, key: RidKey): string {
  const head = nextHead()
  return ridOf(head, userId, eventTag(eventId), key)
}

/** Whether we have made this rid for this buyer; guessing takes 2^29 requests and wins the void of a unit nobody took. */
export function isGenuineRid(rid: string, userId: string, key: RidKey): boolean {
  return rid === ridOf(rid.replaceAll('-', '').slice(0, HEAD_LENGTH), userId, eventTag(rid), key)
}

/** The part of a rid, or of an event id, that they share. */
export function eventTag(id: string): string {
  return id.slice(-TAG_LENGTH)
}

/** When a rid was made, by the clock of the process that made it. */
export function madeAtMs(rid: string): number {
  return Number.parseInt(rid.replaceAll('-', '').slice(0, 12), 16)
}

function ridOf(head: string, userId: string, tag: string, key: RidKey): string {
  const proof = Number.parseInt(hash('sha256', `${key}|${head}|${userId}|${tag}`).slice(0, 8), 16) >>> 2
  const tail = (0x8000_0000 + proof).toString(16) + tag // the first two bits, 10, are the variant
  return `${head.slice(0, 8)}-${head.slice(8, 12)}-${head.slice(12)}-${tail.slice(0, 4)}-${tail.slice(4)}`
}

let lastMs = 0
let count = 0

/** A count that begins anywhere tells processes apart; when it is used up, the clock is put forward. */
function nextHead(): string {
  const now = Date.now()
  if (now > lastMs) {
    lastMs = now
    count = randomInt(MAX_COUNT)
  } else if (++count > MAX_COUNT) {
    lastMs++
    count = 0
  }
  return `${lastMs.toString(16).padStart(12, '0')}7${count.toString(16).padStart(3, '0')}`
}

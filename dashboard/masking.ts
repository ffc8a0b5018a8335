/** What the queues know of buyers is for the look-up; the board shows jobs, and those need no names. */
import { E_MAIL } from '../src/dead-letters/letters.ts'

/** In text: the quotes of a message within a message are escaped. */
const USER_ID = /("user_id\\*"\s*:\s*\\*"[0-9a-f]{8})[0-9a-f-]*/gi
const ID = /^([0-9a-f]{8})[0-9a-f-]*$/i
/** Nothing of ours is nearly as deep. */
const MAX_DEPTH = 50

/**
 * The data of a job with the ids of users cut and e-mails masked, however deep or as text of a message.
 * @param data as it was read from JSON
 */
export function maskBuyers(data: unknown): unknown {
  return mask(data, '', 0)
}

/** Takes time in proportion to the text: anybody who can send a message may have written it. */
export function maskText(text: string): string {
  return text.replaceAll(E_MAIL, '$1…@$2').replaceAll(USER_ID, '$1…')
}

/** @param under the key that the value stands under */
function mask(value: unknown, under: string, depth: number): unknown {
  if (typeof value === 'string')
    return under.toLowerCase() === 'user_id' && ID.test(value) ? value.replace(ID, '$1…') : maskText(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth === MAX_DEPTH) return '…'
  if (Array.isArray(value)) return value.map((item) => mask(item, under, depth + 1))
  const entries = Object.entries(value).map(([key, item]) => [maskText(key), mask(item, key, depth + 1)])
  return Object.fromEntries(entries)
}

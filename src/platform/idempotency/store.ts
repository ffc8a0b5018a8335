/**
 * Which requests with an idempotency key are under way or done; kept in Redis for all processes. The keys of a user
 * are counted, and long answers as several, because Redis keeps the stock too: nobody may fill it with answers.
 */
import { randomUUID } from 'node:crypto'
import { defineScript, loadScripts, type Scripts } from '../redis/define-script.ts'
import type { RedisClient } from '../redis/nodes.ts'

/** A mark of a process that has died ends then, and the request may be tried again. */
const UNDER_WAY_MS = 60_000
const KEPT_MS = 24 * 3_600_000
/** Under way or kept; a reply counts as one more key for each `REPLY_BYTES` of it. */
export const KEYS_PER_USER = 1_000
export const REPLY_BYTES = 512

/** Where a key stands: two users may use the same. */
export interface Place {
  userId: string
  /** Harmless in a key of Redis. */
  key: string
}

export type Begun =
  | { kind: 'begun'; token: string }
  | { kind: 'differs' }
  | { kind: 'under_way' }
  | { kind: 'done'; reply: string }
  /** The user has as many keys as one may have; the first of them ends in `freeInMs`. */
  | { kind: 'too_many'; freeInMs: number }

interface RedisKeys {
  /** Of the key itself. */
  mark: string
  /** Of the list of the user's keys; on the same slot of a cluster. */
  list: string
}

const KIND_OF = { BEGUN: 'begun', DIFFERS: 'differs', UNDER_WAY: 'under_way' } as const

export const idempotencyScripts = {
  begin: defineScript({
    file: new URL('lua/idempotency-begin.lua', import.meta.url),
    keys: (input: RedisKeys & { token: string; fingerprint: string }) => [input.mark, input.list],
    args: ({ token, fingerprint }) => [token, fingerprint, UNDER_WAY_MS, KEPT_MS, KEYS_PER_USER],
    decode: decodeBegin,
  }),
  settle: defineScript({
    file: new URL('lua/idempotency-settle.lua', import.meta.url),
    keys: (input: RedisKeys & { token: string; reply: string }) => [input.mark, input.list],
    args: ({ token, reply }) => [token, reply, KEPT_MS, REPLY_BYTES],
    decode: decodeSettle,
  }),
}

export class IdempotencyStore {
  readonly #scripts: Scripts<typeof idempotencyScripts>
  readonly #prefix: string

  constructor(redis: RedisClient, namespace: string) {
    this.#scripts = loadScripts(redis, idempotencyScripts)
    this.#prefix = `${namespace}:idem:`
  }

  /** Begins a request, unless one with the same key is under way or done, or its user has too many keys. */
  async begin(place: Place, fingerprint: string): Promise<Begun> {
    const token = randomUUID()
    const begun = await this.#scripts.begin({ ...this.#keysOf(place), token, fingerprint })
    return begun.kind === 'begun' ? { ...begun, token } : begun
  }

  /** Keeps the reply of a request that was begun. @returns false when its mark had ended meanwhile */
  finish(place: Place, token: string, reply: string): Promise<boolean> {
    return this.#scripts.settle({ ...this.#keysOf(place), token, reply })
  }

  /** Sets the key of a request free that was begun and changed nothing. */
  abandon(place: Place, token: string): Promise<boolean> {
    return this.#scripts.settle({ ...this.#keysOf(place), token, reply: '' })
  }

  #keysOf({ userId, key }: Place): RedisKeys {
    const user = `${this.#prefix}{${userId}}`
    return { mark: `${user}:${key}`, list: `${user}:list` }
  }
}

function decodeBegin(reply: unknown): { kind: 'begun' } | Exclude<Begun, { token: string }> {
  const [word = '', more = ''] = reply as [string?, (string | number)?]
  if (word === 'DONE') return { kind: 'done', reply: String(more) }
  if (word === 'TOO_MANY') return { kind: 'too_many', freeInMs: Number(more) }
  return { kind: known(KIND_OF, word) }
}

/** @returns false when the mark was another's, or gone */
function decodeSettle(reply: unknown): boolean {
  const [word = ''] = reply as string[]
  return known({ SETTLED: true, LOST: false }, word)
}

function known<T>(words: Readonly<Record<string, T>>, word: string): T {
  const meaning = words[word]
  if (meaning === undefined) throw new Error(`unknown reply ${word}`)
  return meaning
}

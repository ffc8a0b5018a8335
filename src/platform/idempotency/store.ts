/** Which requests with an idempotency key are under way or done; kept in Redis for all processes. */
import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { defineScript, loadScripts, type Scripts } from '../redis/define-script.ts'

/** A mark of a process that has died ends then, and the request may be tried again. */
const UNDER_WAY_MS = 60_000
const KEPT_MS = 24 * 3_600_000

export type Begun =
  | { kind: 'begun'; token: string }
  | { kind: 'differs' }
  | { kind: 'under_way' }
  | { kind: 'done'; reply: string }

const KIND_OF = { BEGUN: 'begun', DIFFERS: 'differs', UNDER_WAY: 'under_way' } as const

export const idempotencyScripts = {
  begin: defineScript({
    file: new URL('lua/idempotency-begin.lua', import.meta.url),
    keys: (input: { key: string; token: string; fingerprint: string }) => [input.key],
    args: ({ token, fingerprint }) => [token, fingerprint, UNDER_WAY_MS],
    decode: decodeBegin,
  }),
  settle: defineScript({
    file: new URL('lua/idempotency-settle.lua', import.meta.url),
    keys: (input: { key: string; token: string; reply: string }) => [input.key],
    args: ({ token, reply }) => [token, reply, KEPT_MS],
    decode: decodeSettle,
  }),
}

export class IdempotencyStore {
  readonly #scripts: Scripts<typeof idempotencyScripts>
  readonly #prefix: string

  constructor(redis: Redis, namespace: string) {
    this.#scripts = loadScripts(redis, idempotencyScripts)
    this.#prefix = `${namespace}:idem:`
  }

  /** Begins a request, unless one with the same key is under way or done. */
  async begin(key: string, fingerprint: string): Promise<Begun> {
    const token = randomUUID()
    const begun = await this.#scripts.begin({ key: this.#prefix + key, token, fingerprint })
    return begun.kind === 'begun' ? { ...begun, token } : begun
  }

  /** Keeps the reply of a request that was begun. @returns false when its mark had ended meanwhile */
  finish(key: string, token: string, reply: string): Promise<boolean> {
    return this.#scripts.settle({ key: this.#prefix + key, token, reply })
  }

  /** Sets the key of a request free that was begun and changed nothing. */
  abandon(key: string, token: string): Promise<boolean> {
    return this.#scripts.settle({ key: this.#prefix + key, token, reply: '' })
  }
}

function decodeBegin(reply: unknown): { kind: 'begun' } | Exclude<Begun, { token: string }> {
  const [word = '', kept = ''] = reply as string[]
  if (word === 'DONE') return { kind: 'done', reply: kept }
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

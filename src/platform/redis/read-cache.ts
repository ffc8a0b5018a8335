/**
 * A cache in front of rows that are read far more often than they are written. It may lose everything at any
 * time: whatever it can not answer, the source answers.
 *
 * Values carry the version of their row and never give way to an older one, so a reader that comes late with an
 * old row can not undo a write. For that the writer's entry has to outlive every load that began before it:
 * loads end with the statement timeout, which is far below the time to live.
 */
import { z } from 'zod'
import type { Logger } from '../logger.ts'
import { withinTime } from '../time-limit.ts'
import { defineScript, loadScripts, type Scripts } from './define-script.ts'
import type { RedisClient } from './nodes.ts'

/** How long a value may be stale at most: when the write that should have replaced it could not reach Redis. */
const TTL_MS = 30_000
/** Longer than this the source is faster. */
const LIMIT_MS = 250
/** After a failure the cache is left alone this long, so that a dead Redis slows few requests down. */
const REST_MS = 1_000

export const cacheScripts = {
  storeIfNewer: defineScript({
    file: new URL('./lua/store-if-newer.lua', import.meta.url),
    keys: ({ key }: { key: string; version: number; text: string; ttlMs: number }) => [key],
    args: ({ version, text, ttlMs }) => [version, text, ttlMs],
    decode: (reply) => z.tuple([z.enum(['STORED', 'NEWER'])]).parse(reply)[0],
  }),
} as const

/** How a look-up ended; after a miss and after a failure the source was asked. */
export type Lookup = 'hit' | 'miss' | 'failure'

export interface ReadCacheOptions<V> {
  redis: RedisClient
  /** What the keys begin with. Another name when the shape of the values changes. */
  prefix: string
  /** Reads the source; undefined for what does not exist, which is not kept. */
  load: (id: string) => Promise<V | undefined>
  log: Logger
  onLookup?: (result: Lookup) => void
}

export class ReadCache<V extends { version: number }> {
  readonly #options: ReadCacheOptions<V>
  readonly #scripts: Scripts<typeof cacheScripts>
  readonly #loads = new Map<string, Promise<V | undefined>>()
  #failing = false
  #restUntil = 0

  constructor(options: ReadCacheOptions<V>) {
    this.#options = options
    this.#scripts = loadScripts(options.redis, cacheScripts)
  }

  /** The value of an id, or undefined. Readers of this process that miss the same id share one load. */
  async read(id: string): Promise<V | undefined> {
    const kept = await this.#lookUp(id)
    return kept === undefined ? this.#loadOnce(id) : kept.value
  }

  /** To be called right after the commit of a new value. Never fails. */
  put(id: string, value: V): Promise<void> {
    return this.#replace(id, value.version, JSON.stringify(value))
  }

  /** To be called right after the commit of a deletion. Never fails. @param version that the deletion made */
  remove(id: string, version: number): Promise<void> {
    return this.#replace(id, version, '')
  }

  async #lookUp(id: string): Promise<{ value: V | undefined } | undefined> {
    const { redis, onLookup } = this.#options
    if (this.#isResting()) {
      onLookup?.('failure')
      return undefined
    }
    const text = await this.#attempt(() => redis.get(this.#keyOf(id)))
    const kept = typeof text === 'string' ? decode(text) : undefined
    if (text === undefined) onLookup?.('failure')
    else onLookup?.(kept === undefined ? 'miss' : 'hit')
    return kept as { value: V | undefined } | undefined
  }

  #loadOnce(id: string): Promise<V | undefined> {
    const running = this.#loads.get(id)
    if (running !== undefined) return running
    const load = this.#load(id).finally(() => {
      if (this.#loads.get(id) === load) this.#loads.delete(id)
    })
    this.#loads.set(id, load)
    return load
  }

  async #load(id: string): Promise<V | undefined> {
    const value = await this.#options.load(id)
    if (value !== undefined && !this.#isResting()) {
      const ttlMs = Math.ceil(TTL_MS * (1 - Math.random() / 5)) // so that not all expire at once
      await this.#store(id, value.version, JSON.stringify(value), ttlMs)
    }
    return value
  }

  /** A write reaches for Redis even while reads leave it alone: one that is lost shows old values. */
  async #replace(id: string, version: number, text: string): Promise<void> {
    this.#loads.delete(id) // whoever reads from now on must not join a load of the old value
    await this.#store(id, version, text, TTL_MS)
  }

  async #store(id: string, version: number, text: string, ttlMs: number): Promise<void> {
    await this.#attempt(() => this.#scripts.storeIfNewer({ key: this.#keyOf(id), version, text, ttlMs }))
  }

  /** @returns undefined when Redis failed; the first failure of a row is logged, and its end */
  async #attempt<T>(command: () => Promise<T>): Promise<T | undefined> {
    const { log, prefix } = this.#options
    try {
      const reply = await withinTime(command(), LIMIT_MS)
      if (this.#failing) log.info({ cache: prefix }, 'cache works again')
      this.#failing = false
      return reply
    } catch (error) {
      if (!this.#failing) log.warn({ err: error, cache: prefix }, 'cache failed, reads go to the source')
      this.#failing = true
      this.#restUntil = performance.now() + REST_MS
      return undefined
    }
  }

  #isResting(): boolean {
    return performance.now() < this.#restUntil
  }

  #keyOf(id: string): string {
    return `${this.#options.prefix}:${id}`
  }
}

/** @returns undefined for a text that no cache has written; no value stands for what was deleted */
function decode(text: string): { value: unknown } | undefined {
  const json = /^\d+ (.*)$/s.exec(text)?.[1]
  if (json === undefined) return undefined
  try {
    return { value: json === '' ? undefined : JSON.parse(json) }
  } catch {
    return undefined
  }
}

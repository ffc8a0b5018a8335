/** The ground of the script tests: a real Redis, events that nobody else uses, and full dumps of their keys. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { v7 as uuidv7 } from 'uuid'
import type { ReleaseReason } from '../../src/contracts/values.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createRedis } from '../../src/platform/redis/client.ts'
import { loadScripts, type Scripts } from '../../src/platform/redis/define-script.ts'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import { nextKeys, spikeKeys, type SpikeKeys } from '../../src/reserve/keys.ts'
import { newRid } from './rids.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { noticesDuring } from './notices.ts'
import { dumpKeys, type Dump } from './redis-dump.ts'
import { serverUrls } from './world.ts'

const HOUR_MS = 3_600_000

type Calls = Scripts<typeof spikeScripts>
export type OpenInput = Parameters<Calls['open']>[0]

/** One buyer's units, as all the scripts name them. */
export interface Claim {
  eventId: string
  rid: string
  userId: string
  quantity: number
}

export interface SpikeRedis {
  redis: RedisClient
  scripts: Calls
  /** The notices that an event's channel carries while `work` runs. */
  notices(spike: Spike, work: () => Promise<void>): Promise<string[]>
  /** Further clients of the same server, each with the scripts. */
  connect(count: number): { redis: RedisClient; scripts: Calls }[]
  /** An event without any key in Redis. */
  blank(): Spike
  /** An event that is open for sale. */
  open(input?: Partial<OpenInput>): Promise<Spike>
  close(): Promise<void>
}

export function openSpikeRedis(): SpikeRedis {
  const clients: RedisClient[] = []
  const spikes: Spike[] = []
  const connect = () => {
    const redis = createRedis(serverUrls().REDIS_URL, 'spike-test', createLogger('test', 'silent'))
    clients.push(redis)
    return { redis, scripts: loadScripts(redis, spikeScripts) }
  }
  const { redis, scripts } = connect()
  const blank = () => {
    const spike = new Spike(redis, scripts)
    spikes.push(spike)
    return spike
  }
  return {
    redis,
    scripts,
    notices: (spike, work) => noticesDuring(connect().redis, redis, spike.keys.notices, work),
    connect: (count) => Array.from({ length: count }, connect),
    blank,
    open: async (input) => {
      const spike = blank()
      await spike.open(input)
      return spike
    },
    async close() {
      for (const spike of spikes)
        await redis.unlink(...Object.values(spike.keys), ...Object.values(nextKeys(spike.id, 2)))
      for (const client of clients) client.disconnect()
    },
  }
}

/** Runs a call that may change nothing. @returns its reply, or the error that it threw */
export async function expectNothingChanged<T>(spike: Spike, call: () => Promise<T>): Promise<T | Error> {
  const { before, after, reply } = await spike.around(call)
  expect(after).to.deep.equal(before)
  return reply
}

/** One event under test, with short names for the calls of its scripts. */
export class Spike {
  readonly id = uuidv7()
  readonly keys: SpikeKeys = spikeKeys(this.id)
  readonly #redis: RedisClient
  readonly #scripts: Calls

  constructor(redis: RedisClient, scripts: Calls) {
    this.#redis = redis
    this.#scripts = scripts
  }

  /** Opens the event: 10 units, on sale now, one unit a buyer, one lapse allowed, unless told otherwise. */
  open(input: Partial<OpenInput> = {}) {
    const now = Date.now()
    const window = { startMs: now - HOUR_MS, endMs: now + HOUR_MS }
    const limits = { granted: 10, perUserLimit: 1, lapseLimit: 1 }
    return this.#scripts.open({ eventId: this.id, epoch: 1, status: 'open', ...window, ...limits, ...input })
  }

  /** A claim that no script has seen yet. */
  claim(input: Partial<Claim> = {}): Claim {
    return { eventId: this.id, rid: newRid(this.id), userId: uuidv7(), quantity: 1, ...input }
  }

  reserve(claim: Claim, traceparent?: string) {
    return this.#scripts.reserve({ ...claim, requestId: `request-${claim.rid}`, traceparent })
  }

  /** A claim whose units were taken. */
  async held(input: Partial<Claim> = {}): Promise<Claim> {
    const claim = this.claim(input)
    const { kind } = await this.reserve(claim)
    if (kind !== 'accepted') throw new Error(`not reserved: ${kind}`)
    return claim
  }

  async queued(input: Partial<Claim> = {}): Promise<Claim> {
    const claim = await this.held(input)
    if ((await this.markQueued(claim)) !== 1) throw new Error('not queued')
    return claim
  }

  async confirmed(input: Partial<Claim> = {}): Promise<Claim> {
    const claim = await this.held(input)
    if ((await this.confirm(claim)) !== 'CONFIRMED') throw new Error('not confirmed')
    return claim
  }

  async paid(input: Partial<Claim> = {}): Promise<Claim> {
    const claim = await this.confirmed(input)
    if ((await this.markPaid(claim)) !== 'PAID') throw new Error('not paid')
    return claim
  }

  async released(input: Partial<Claim> = {}, reason: ReleaseReason = 'sold_out'): Promise<Claim> {
    const claim = await this.held(input)
    if ((await this.release(claim, reason)) !== 'RELEASED') throw new Error('not released')
    return claim
  }

  async markQueued(...claims: Claim[]) {
    const [changed] = await this.#scripts.markQueued([
      { eventId: this.id, rids: claims.map(({ rid }) => rid) },
    ])
    return changed
  }

  async confirm(claim: Claim) {
    const [reply] = await this.confirmAll([claim])
    return reply?.[0]
  }

  /** Tells of orders of any events in one call. */
  confirmAll(...byEvent: readonly Claim[][]) {
    return this.#scripts.confirm(
      byEvent.map((claims) => ({
        eventId: claims[0]?.eventId ?? this.id,
        orders: claims.map((claim) => ({
          ...claim,
          orderId: `order-of-${claim.rid}`,
          expiresAtMs: 1_900_000_000_000,
        })),
      })),
    )
  }

  release(claim: Claim, reason: ReleaseReason = 'sold_out') {
    return this.#scripts.release({ ...claim, reason })
  }

  markPaid({ rid }: Pick<Claim, 'rid'>) {
    return this.#scripts.markPaid({ eventId: this.id, rid })
  }

  setStatus(status: Parameters<Calls['setStatus']>[0]['status']) {
    return this.#scripts.setStatus({ eventId: this.id, status })
  }

  adjust(delta: number, adjustmentId = uuidv7()) {
    return this.#scripts.adjust({ eventId: this.id, adjustmentId, delta })
  }

  count() {
    return this.#scripts.countUnits({ eventId: this.id })
  }

  stock(): Promise<string | null> {
    return this.#redis.get(this.keys.stock)
  }

  record(claim: Pick<Claim, 'rid'>): Promise<string | null> {
    return this.#redis.hget(this.keys.states, claim.rid)
  }

  dump(): Promise<Dump> {
    return dumpKeys(this.#redis, `{spike:${this.id}}:*`)
  }

  /** Runs a call and tells what it changed: the dumps before and after. */
  async around<T>(call: () => Promise<T>): Promise<{ before: Dump; after: Dump; reply: T | Error }> {
    const before = await this.dump()
    const reply = await call().catch((error: Error) => error)
    await sleep(2) // a repeated call that wrote the time again would be seen
    return { before, after: await this.dump(), reply }
  }

  /** Puts a list, which no script uses, in the place of a key. */
  breakKey(key: string): Promise<unknown> {
    return this.#redis.multi().del(key).rpush(key, 'not what is meant to be here').exec()
  }
}

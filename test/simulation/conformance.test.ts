/** The model is the product: the same random calls to both, the same replies, and the same state after each call. */
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { nextKeys } from '../../src/reserve/keys.ts'
import { stageState } from '../../src/reserve/rebuilding.ts'
import { decodeRecord } from '../../src/reserve/record.ts'
import { randomOf, type Random } from '../support/random.ts'
import { openSpikeRedis, type Claim, type Spike, type SpikeRedis } from '../support/spike-redis.ts'
import {
  adjust,
  confirm,
  emptyKeys,
  markPaid,
  markQueued,
  openRedis,
  release,
  reserve,
  setStatus,
  swap,
  type Claimed,
  type StockRedis,
  type UnitKeys,
} from './model/redis.ts'

const SEQUENCES = 240
const CALLS = 40
const AT_ONCE = 40
const LIMITS = { perUserLimit: 2, lapseLimit: 1 }

/** One event in Redis and in the model. */
interface Twin {
  spike: Spike
  model: StockRedis
  users: readonly string[]
  claims: Claim[]
  rows: { id: string; delta: number }[]
}

describe('the model of the stock Redis', function () {
  this.timeout(120_000)
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  /** @returns the replies of both, in one form */
  async function call(twin: Twin, random: Random): Promise<[real: unknown, model: unknown]> {
    const { spike, model } = twin
    const claim = pickClaim(twin, random)
    const claimed = claimedOf(claim)
    const choice = random.below(100)
    if (choice < 42) return [outcomeOf(await spike.reserve(claim)), outcomeOf(reserve(model, claimed, 0))]
    if (choice < 50) return [await spike.markQueued(claim), markQueued(model, [claim.rid])]
    if (choice < 64) return [await spike.confirm(claim), confirm(model, claimed, 0)]
    if (choice < 72) return [await spike.markPaid(claim), markPaid(model, claim.rid)]
    if (choice < 86) {
      const lapsed = random.chance(0.4)
      return [await spike.release(claim, lapsed ? 'lapsed' : 'sold_out'), release(model, claimed, lapsed)]
    }
    if (choice < 91) {
      const row = random.chance(0.3) && twin.rows.length > 0 ? random.pick(twin.rows) : newRow(twin, random)
      return [await spike.adjust(row.delta, row.id), adjust(model, row)]
    }
    if (choice < 96) {
      const status = random.pick(['open', 'open', 'open', 'paused', 'closed', 'ended'] as const)
      return [await spike.setStatus(status), setStatus(model, status)]
    }
    return swapBoth(twin, random)
  }

  /** A part of the present state takes its place, in a later epoch or in one that is over. */
  async function swapBoth({ spike, model }: Twin, random: Random): Promise<[unknown, unknown]> {
    if (random.chance(0.7)) {
      await spike.setStatus('closed')
      setStatus(model, 'closed')
    }
    const next = partOf(model, random)
    const epoch = Math.max(1, (model.gate?.epoch ?? 1) + random.below(3) - 1)
    const units = { granted: random.below(8), paid: 0, stock: random.below(8), ...LIMITS }
    const records = [...next.states].map(([rid, { user, reservedAt, ...record }]) => {
      const rest = { userId: user, reservedAtMs: reservedAt, orderId: undefined }
      return [rid, { ...record, ...rest, expiresAtMs: undefined, reason: undefined }] as const
    })
    const adjustmentIds = [...next.adjustments]
    await stageState(ground.redis, spike.id, epoch, { ...next, records: new Map(records), adjustmentIds })
    const window = { startMs: 0, endMs: Date.now() + 3_600_000 }
    const staged = { holders: next.holders.size, records: next.states.size }
    const real = await ground.scripts.swap({ eventId: spike.id, epoch, ...window, ...units, staged })
    await ground.redis.unlink(...Object.values(nextKeys(spike.id, epoch)))
    model.staged.set(epoch, next)
    return [real, swap(model, { epoch, ...units })]
  }

  async function realState({ keys }: Spike): Promise<unknown> {
    const { redis } = ground
    const [gate, stock, holders, states, lapses, log, adjustments] = await Promise.all([
      redis.hgetall(keys.gate),
      redis.get(keys.stock),
      redis.hgetall(keys.holders),
      redis.hgetall(keys.states),
      redis.hgetall(keys.lapses),
      redis.xrange(keys.log, '-', '+'),
      redis.smembers(keys.adjustments),
    ])
    const { status, epoch, granted, paid } = gate
    return {
      gate: [status, Number(epoch), Number(granted), Number(paid)],
      stock: Number(stock),
      holders: sorted(Object.entries(holders)),
      states: sorted(
        Object.entries(states).map(([rid, text]) => {
          const { state, quantity, userId } = decodeRecord(text)
          return [rid, state, quantity, userId]
        }),
      ),
      lapses: sorted(Object.entries(lapses).map(([user, count]) => [user, Number(count)])),
      log: log.map(([, fields]) => fields?.[1]),
      adjustments: adjustments.toSorted(),
    }
  }

  async function play(seed: number): Promise<void> {
    const random = randomOf(seed)
    const granted = 1 + random.below(6)
    const spike = await ground.open({ granted, ...LIMITS })
    const model = openRedis({ granted, ...LIMITS })
    const users = Array.from({ length: 4 }, () => uuidv7())
    const twin: Twin = { spike, model, users, claims: [], rows: [] }
    for (let i = 0; i < CALLS; i++) {
      const [real, modelled] = await call(twin, random)
      expect(real, `reply ${i} of seed ${seed}`).to.deep.equal(modelled)
      expect(await realState(spike), `state ${i} of seed ${seed}`).to.deep.equal(stateOf(model))
    }
  }

  it(`answers and ends like the real scripts in ${SEQUENCES} random sequences`, async () => {
    for (let first = 0; first < SEQUENCES; first += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => play(first + i)))
  })
})

/** A new claim or an earlier one, sometimes of another quantity than its first time. */
function pickClaim({ spike, claims, users }: Twin, random: Random): Claim {
  if (claims.length > 0 && random.chance(0.6)) {
    const claim = random.pick(claims)
    return random.chance(0.1) ? { ...claim, quantity: 1 + random.below(2) } : claim
  }
  const claim = spike.claim({ userId: random.pick(users), quantity: 1 + random.below(3) })
  claims.push(claim)
  return claim
}

function newRow({ rows }: Twin, random: Random): Twin['rows'][number] {
  const row = { id: uuidv7(), delta: random.below(5) - 2 }
  rows.push(row)
  return row
}

function partOf(model: StockRedis, random: Random): UnitKeys {
  const next = emptyKeys()
  for (const [rid, record] of model.states) {
    if (random.chance(0.5)) continue
    next.states.set(rid, { ...record, logId: undefined })
    if (model.holders.get(record.user) === rid) next.holders.set(record.user, rid)
    if (random.chance(0.3)) next.lapses.set(record.user, 1 + random.below(2))
  }
  for (const id of model.adjustments) if (random.chance(0.5)) next.adjustments.add(id)
  return next
}

function claimedOf({ rid, userId, quantity }: Claim): Claimed {
  return { rid, user: userId, quantity }
}

/** Of a reply, what both have: its kind and the rid that it names. */
function outcomeOf(reply: { kind: string; rid?: string }): string {
  return `${reply.kind} ${reply.rid ?? ''}`
}

function stateOf(model: StockRedis): unknown {
  const { gate, stock, holders, states, lapses, log, adjustments } = model
  return {
    gate: [gate?.status, gate?.epoch, gate?.granted, gate?.paid],
    stock,
    holders: sorted([...holders]),
    states: sorted([...states].map(([rid, { state, quantity, user }]) => [rid, state, quantity, user])),
    lapses: sorted([...lapses]),
    log: log.map(({ rid }) => rid),
    adjustments: [...adjustments].toSorted(),
  }
}

function sorted<T extends readonly unknown[]>(rows: readonly T[]): T[] {
  return rows.toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1))
}

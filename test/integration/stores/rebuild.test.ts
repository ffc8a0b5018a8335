import { SYSTEM } from '../../../src/audit/audit.ts'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { armFailpoints, FailpointError } from '../../../src/platform/failpoints.ts'
import { closeLapsedOrders } from '../../../src/orders/close.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { lostRebuilder, rebuildFrom, rebuildSale, type RebuildDependencies } from '../../../src/rebuild.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { newRid } from '../../support/rids.ts'
import type { UnitCounts } from '../../../src/reserve/scripts.ts'
import { followEvent } from '../../../src/sale.ts'
import { applyVerdicts } from '../../../workers/create-order/handler.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { accepted, buyerIds, expectConserved, letLapse } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

interface Taken {
  rid: string
  userId: string
}

describe("rebuilding an event's state in Redis", () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  const deps = (): RebuildDependencies => ({ ...world, backlog: async () => 0 })
  const rebuild = (eventId: string) => rebuildSale(deps(), eventId, SYSTEM)
  const rebuildIfLost = (eventId: string) => lostRebuilder(deps())(eventId)
  const counts = async (eventId: string): Promise<UnitCounts> => {
    const units = await world.scripts.countUnits({ eventId })
    if (units === 'NOT_READY') throw new Error('the event has no gate')
    return units
  }

  /** Takes a unit for each of some new buyers, in Redis only. */
  async function take(eventId: string, count: number): Promise<Taken[]> {
    const users = await buyerIds(world, count)
    return Promise.all(
      users.map(async (userId) => {
        const rid = newRid(eventId)
        const reply = await world.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: 'test' })
        expect(reply.kind).to.equal('accepted')
        return { rid, userId }
      }),
    )
  }

  /** The bridge's part: the reservations are in the inbox. */
  const receive = (eventId: string, taken: readonly Taken[]) =>
    receiveReservations(
      world.knex,
      taken.map(({ rid, userId }) => accepted(eventId, userId, { rid })),
    )

  /** The verdicts, told to Redis. */
  async function decide(taken: readonly Taken[]) {
    const verdicts = await decideReservations(
      world.knex,
      taken.map(({ rid }) => rid),
    )
    await applyVerdicts(world.scripts, verdicts, world.log)
    return verdicts
  }

  /** A sale with units in every state that lasts: confirmed, lapsed and released, undecided in the inbox, held only. */
  async function busySale() {
    const eventId = await createSale(world, { stock: 20 })
    const [live, lapsed, inInbox, held] = [
      await take(eventId, 4),
      await take(eventId, 3),
      await take(eventId, 2),
      await take(eventId, 1),
    ]
    await receive(eventId, [...live, ...lapsed, ...inInbox])
    await decide(live)
    const ids = (await decide(lapsed)).flatMap((v) => (v.kind === 'ordered' ? [v.orderId] : []))
    await letLapse(world.knex, ids)
    await closeLapsedOrders(world.knex, ids)
    return { eventId, live, lapsed, inInbox, held }
  }

  const release = (eventId: string, { rid, userId }: Taken) =>
    world.scripts.release({ eventId, rid, userId, quantity: 1, reason: 'lapsed' })

  it('changes nothing that was right, but for the epoch', async () => {
    const { eventId, lapsed } = await busySale()
    for (const one of lapsed) await release(eventId, one)
    const before = await counts(eventId)
    expect(await rebuild(eventId)).to.deep.equal({ kind: 'done' })
    expect(await counts(eventId)).to.deep.equal(before)
    expect(before).to.include({ stock: 13, confirmed: 4, held: 3, released: 3 })
    const keys = spikeKeys(eventId)
    expect(await world.redis.hmget(keys.gate, 'epoch', 'status')).to.deep.equal(['2', 'open'])
    expect(await world.redis.hlen(keys.holders)).to.equal(7)
    expect(await world.redis.hget(keys.lapses, lapsed[0]?.userId ?? '')).to.equal('1')
    expect(await world.redis.keys(`{spike:${eventId}}:*:next*`)).to.deep.equal([])
    const audit = await world.knex('audit_log').where({ target: eventId, action: 'spike-event.rebuild' })
    expect(audit).to.have.length(1)
  })

  it('brings everything back that PostgreSQL knows when Redis has lost the event, and sells no unit twice', async () => {
    const { eventId, live, lapsed, inInbox, held } = await busySale()
    await world.redis.unlink(...Object.values(spikeKeys(eventId)))
    expect(
      (await world.scripts.reserve({ eventId, ...(held[0] as Taken), quantity: 1, requestId: 'x' })).kind,
    ).to.equal('not_ready')
    expect(await rebuildIfLost(eventId)).to.equal(true)
    expect(await rebuildIfLost(eventId)).to.equal(false)
    expect(await counts(eventId)).to.include({ granted: 20, stock: 14, confirmed: 4, queued: 2, held: 0 })
    // What PostgreSQL still has to say, and what the broker still carries, arrives now, late and twice.
    for (const one of lapsed) expect(await release(eventId, one)).to.equal('UNCHANGED')
    await decide(lapsed)
    await decide(inInbox)
    await receive(eventId, held)
    await decide(held)
    await decide([...live, ...inInbox, ...held])
    expect(await counts(eventId)).to.include({ stock: 13, confirmed: 7, queued: 0, held: 0 })
    expect(await expectConserved(world.knex, eventId)).to.equal(13)
    const buyer = live[0] as Taken
    const again = { eventId, userId: buyer.userId, rid: newRid(eventId), quantity: 1, requestId: 'x' }
    expect(await world.scripts.reserve(again)).to.deep.equal({ kind: 'existing', rid: buyer.rid })
  })

  it('keeps what is only in the reservation log', async () => {
    const eventId = await createSale(world)
    const [one] = (await take(eventId, 1)) as [Taken]
    const { states, holders, stock } = spikeKeys(eventId)
    await world.redis.unlink(states, holders, stock)
    await rebuild(eventId)
    expect(await counts(eventId)).to.include({ stock: 9, held: 1 })
    expect(await world.redis.hget(holders, one.userId)).to.equal(one.rid)
    await receive(eventId, [one])
    await decide([one])
    expect(await counts(eventId)).to.include({ stock: 9, held: 0, confirmed: 1 })
    expect(await world.redis.xlen(spikeKeys(eventId).log)).to.equal(0)
  })

  it('applies verdicts that Redis never heard of, and forgets holds that were voided', async () => {
    const eventId = await createSale(world, { stock: 3 })
    const taken = await take(eventId, 3)
    await receive(eventId, taken)
    await world
      .knex('users')
      .where('id', taken[0]?.userId ?? '')
      .update({ disabled: true })
    await decideReservations(
      world.knex,
      taken.map(({ rid }) => rid),
    )
    await rebuild(eventId)
    expect(await counts(eventId)).to.include({ stock: 1, held: 0, confirmed: 2 })
    expect(await world.redis.xlen(spikeKeys(eventId).log)).to.equal(0)
  })

  it('counts an adjustment of the stock once, applied before or not', async () => {
    const eventId = await createSale(world)
    const add = (delta: number) =>
      world.knex.transaction(async (trx) => {
        await trx('spike_events')
          .where('id', eventId)
          .update({ granted: trx.raw('granted + ?', [delta]), available: trx.raw('available + ?', [delta]) })
        await trx('spike_event_adjustments').insert({
          id: uuidv7(),
          event_id: eventId,
          delta,
          reason: 'test',
        })
      })
    await add(5)
    await followEvent(world, eventId)
    await add(2)
    await rebuild(eventId)
    await followEvent(world, eventId)
    expect(await counts(eventId)).to.include({ granted: 17, stock: 17 })
    const open = await world
      .knex('spike_event_adjustments')
      .where('event_id', eventId)
      .whereNull('applied_at')
    expect(open).to.deep.equal([])
  })

  it('goes on where a rebuild died with the gate closed, and leaves an open one alone', async () => {
    const { eventId } = await busySale()
    expect(await rebuildIfLost(eventId)).to.equal(false)
    await world.scripts.setStatus({ eventId, status: 'closed' })
    await followEvent(world, eventId)
    expect(await world.redis.hget(spikeKeys(eventId).gate, 'status')).to.equal('closed')
    expect(await rebuildIfLost(eventId)).to.equal(true)
    expect(await world.redis.hget(spikeKeys(eventId).gate, 'status')).to.equal('open')
  })

  it('that dies after the swap is begun again, and loses no verdict that fell meanwhile', async () => {
    const eventId = await createSale(world, { stock: 3 })
    const [voided, ordered] = (await take(eventId, 2)) as [Taken, Taken]
    await receive(eventId, [voided, ordered])
    const scripts = {
      ...world.scripts,
      // The verdicts fall after the snapshot, on the old state; then this process gets no further than the swap.
      swap: async (input: Parameters<typeof world.scripts.swap>[0]) => {
        await world.knex('users').where('id', voided.userId).update({ disabled: true })
        await decide([voided, ordered])
        await world.scripts.release({ eventId, ...voided, quantity: 1, reason: 'unknown_buyer' })
        await world.scripts.swap(input)
        throw new Error('killed')
      },
    }
    const dying = rebuildSale({ ...deps(), scripts }, eventId, SYSTEM)
    expect(await dying.catch((error: Error) => error.message)).to.equal('killed')
    expect(await world.redis.hget(spikeKeys(eventId).gate, 'status')).to.equal('closed')
    expect(await rebuildIfLost(eventId)).to.equal(true)
    expect(await counts(eventId)).to.include({ stock: 2, held: 0, queued: 0, confirmed: 1 })
    expect(await expectConserved(world.knex, eventId)).to.equal(2)
  })

  it('does not wait for a gap in a stream of claims, nor for a broker that does not answer', async () => {
    const eventId = await createSale(world)
    await world.knex.transaction(async (claiming) => {
      await claiming.raw('SELECT id FROM spike_events WHERE id = ? FOR KEY SHARE', [eventId])
      expect(await rebuild(eventId)).to.deep.equal({ kind: 'done' })
    })
    const backlog = () => Promise.reject(new Error('no answer'))
    expect(await rebuildSale({ ...deps(), backlog }, eventId, SYSTEM)).to.deep.equal({ kind: 'done' })
  })

  it('waits for the backlog of the broker where Redis may have lost reservations, once for all events', async () => {
    const eventIds = [await createSale(world), await createSale(world), await createSale(world)]
    const [gone, otherRun, sound] = eventIds as [string, string, string]
    await world.redis.unlink(spikeKeys(gone).gate)
    await world.redis.hset(spikeKeys(otherRun).gate, 'run_id', 'another')
    const answers = [2, new Error('no answer'), 1, 0]
    const backlog = async () => {
      const answer = answers.shift()
      if (typeof answer === 'number') return answer
      throw answer ?? new Error('asked too often')
    }
    const rebuildOne = lostRebuilder({ ...deps(), backlog })
    for (const id of [gone, otherRun, sound]) expect(await rebuildOne(id), id).to.equal(id !== sound)
    expect(answers).to.deep.equal([])
    for (const id of eventIds) expect((await take(id, 1)).length).to.equal(1)
  })

  for (const name of ['rebuild.gate-closed', 'rebuild.staged', 'rebuild.swapped'] as const)
    it(`that fails at ${name} leaves a closed gate, and the next one ends the work`, async () => {
      const { eventId } = await busySale()
      armFailpoints([{ name, failure: 'throw', oneIn: 1, ms: 0 }], 1)
      try {
        expect(await rebuild(eventId).catch((error: unknown) => error)).to.be.instanceOf(FailpointError)
      } finally {
        armFailpoints([], 1)
      }
      expect(await world.redis.hget(spikeKeys(eventId).gate, 'status')).to.equal('closed')
      expect(await rebuildIfLost(eventId)).to.equal(true)
      expect(await counts(eventId)).to.include({ granted: 20, confirmed: 4 })
      expect(await world.redis.hget(spikeKeys(eventId).gate, 'status')).to.equal('open')
    })

  it('pressed again after it has died half-way does the work, and once more finds it done', async () => {
    const { eventId } = await busySale()
    armFailpoints([{ name: 'rebuild.gate-closed', failure: 'throw', oneIn: 1, ms: 0 }], 1)
    try {
      const dying = rebuildFrom(deps(), eventId, 1, SYSTEM)
      expect(await dying.catch((error: unknown) => error)).to.be.instanceOf(FailpointError)
    } finally {
      armFailpoints([], 1)
    }
    expect(await rebuildFrom(deps(), eventId, 1, SYSTEM)).to.deep.equal({ kind: 'done' })
    expect(await world.redis.hmget(spikeKeys(eventId).gate, 'epoch', 'status')).to.deep.equal(['3', 'open'])
    expect(await rebuildFrom(deps(), eventId, 1, SYSTEM)).to.deep.equal({ kind: 'rebuilt_since' })
  })

  it('is not kept from its second connection by those who wait for its lock', async () => {
    const { eventId } = await busySale()
    const options = { url: world.config.databaseUrl, applicationName: 'spike-test', poolMax: 2 }
    const knex = createPostgres(options, world.log)
    try {
      const [presses] = await Promise.all([
        Promise.all([1, 2, 3, 4].map(() => rebuildFrom({ ...deps(), knex }, eventId, 1, SYSTEM))),
        ...[1, 2, 3].map(() => followEvent({ ...world, knex }, eventId)),
      ])
      const kinds = presses.map(({ kind }) => kind).toSorted()
      expect(kinds).to.deep.equal(['done', 'rebuilt_since', 'rebuilt_since', 'rebuilt_since'])
    } finally {
      await knex.destroy()
    }
    expect(await world.redis.hmget(spikeKeys(eventId).gate, 'epoch', 'status')).to.deep.equal(['2', 'open'])
  })

  it('keeps a paused event paused and refuses a draft and an unknown event', async () => {
    const eventId = await createSale(world)
    await world.knex('spike_events').where('id', eventId).update({ status: 'paused' })
    await rebuild(eventId)
    expect(await world.redis.hget(spikeKeys(eventId).gate, 'status')).to.equal('paused')
    expect(await rebuild(await createDraft(world))).to.deep.equal({ kind: 'wrong_state', status: 'draft' })
    expect(await rebuild(uuidv7())).to.deep.equal({ kind: 'not_found' })
  })

  it('twenty times in a row while buyers buy, verdicts fall and orders lapse loses no unit and doubles none', async () => {
    const eventId = await createSale(world, { stock: 60 })
    const users = await buyerIds(world, 80)
    let rebuilding = true
    const buyers = users.map(async (userId, i) => {
      for (const rid = newRid(eventId); ;) {
        const reply = await world.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: 'test' })
        if (reply.kind === 'not_ready') continue
        if (reply.kind !== 'accepted') return
        await receive(eventId, [{ rid, userId }])
        const [verdict] = await decide([{ rid, userId }])
        if (i % 3 > 0 || verdict?.kind !== 'ordered') return
        await letLapse(world.knex, [verdict.orderId])
        await closeLapsedOrders(world.knex, [verdict.orderId])
        await release(eventId, { rid, userId })
        return
      }
    })
    const rebuilds = (async () => {
      for (let i = 0; i < 20; i++) await rebuild(eventId)
      rebuilding = false
    })()
    await Promise.all([...buyers, rebuilds])
    expect(rebuilding).to.equal(false)
    const available = await expectConserved(world.knex, eventId)
    const units = await counts(eventId)
    expect(units.stock, 'free units').to.equal(available)
    expect(units.stock + units.confirmed + units.paid).to.equal(60)
    expect(units).to.include({ held: 0, queued: 0, granted: 60 })
    expect(await world.redis.hget(spikeKeys(eventId).gate, 'epoch')).to.equal('21')
  })
})

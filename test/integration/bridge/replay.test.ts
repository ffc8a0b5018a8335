import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { Worker } from 'bullmq'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createOrderJob } from '../../../src/contracts/jobs/create-order.ts'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../../src/contracts/messages/stock-released.ts'
import { discardLetters } from '../../../src/dead-letters/discard.ts'
import { listDeadLetters } from '../../../src/dead-letters/letters.ts'
import { planReplay, replayLetters } from '../../../src/dead-letters/replay.ts'
import { countFailed, retryFailed } from '../../../src/dead-letters/retry.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { startStepWorker, type JobHandler } from '../../../src/platform/bullmq/worker.ts'
import { createWorkerRedis } from '../../../src/platform/redis/client.ts'
import { createOrderHandler } from '../../../workers/create-order/handler.ts'
import { createSale } from '../../factories/sales.ts'
import {
  actorIn,
  auditOf,
  letterOfMessage,
  NOTHING_REPLAYED,
  openUndertaker,
  type Undertaker,
} from '../../support/dead-letters.ts'
import { accepted, buyerIds, expectConserved, order } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('dead letters in the hands of people, where no triage runs', () => {
  let world: World
  let dead: Undertaker
  let stopWorker: () => Promise<void>

  before(async () => {
    world = await createWorld()
    dead = await openUndertaker(world)
    stopWorker = startCreateOrder(createOrderHandler(world))
  })
  after(async () => {
    await stopWorker()
    await dead.close()
    await world.close()
  })
  beforeEach(() => dead.deadLetters.queue.drain())

  function startCreateOrder(handler: JobHandler<{ rid: string }>): () => Promise<void> {
    const connection = createWorkerRedis(world.config.queueRedisUrl, 'spike-test', world.log)
    const worker: Worker = startStepWorker({
      definition: createOrderJob,
      handler,
      exhausted: async () => undefined,
      isOutage: () => false,
      concurrency: 50,
      namespace: world.config.namespace,
      connection,
      log: world.log,
    })
    return async () => {
      await worker.close()
      connection.disconnect()
    }
  }

  const ordersOf = (eventId: string) => world.knex('orders').where({ event_id: eventId })
  const inboxOf = async (eventId: string, count: number) => {
    const batch = (await buyerIds(world, count)).map((userId) => accepted(eventId, userId))
    await receiveReservations(world.knex, batch)
    return batch
  }
  const onlyGroup = async () => {
    const [group, ...others] = await dead.groups()
    expect(others).to.deep.equal([])
    if (group === undefined) throw new Error('no group')
    return group
  }

  it('groups by origin and by the error without its ids and numbers', async () => {
    const rid = randomUUID()
    await dead.plant(
      { reason: `no such reservation ${rid} after 17 ms`, dead_at: '2026-01-02T00:00:00.000Z', replays: 3 },
      { reason: `no such reservation ${randomUUID()} after 2 ms`, dead_at: '2026-01-01T00:00:00.000Z' },
      { reason: `no such reservation ${rid} after 17 ms`, origin: 'close-order' },
      { reason: 'mail to someone@spike.test bounced' },
    )
    const groups = await dead.groups()
    expect(groups.map(({ count }) => count)).to.deep.equal([2, 1, 1])
    expect(groups[0]).to.deep.include({
      origin: 'create-order',
      reason: 'no such reservation # after # ms',
      oldest: '2026-01-01T00:00:00.000Z',
      newest: '2026-01-02T00:00:00.000Z',
      maxReplays: 10,
    })
    expect(groups.map(({ reason }) => reason)).to.include('mail to # bounced')
  })

  it('brings a group of 50 to nothing, each reservation with one order, past the tries of the triage', async () => {
    const eventId = await createSale(world, { stock: 60 })
    const undecided = await inboxOf(eventId, 15)
    const decided = await inboxOf(eventId, 20)
    await decideReservations(
      world.knex,
      decided.map(({ rid }) => rid),
    )
    const unheard = (await buyerIds(world, 15)).map((userId) => accepted(eventId, userId))
    await dead.plant(
      ...[...undecided, ...decided, ...unheard].map((message) =>
        letterOfMessage(world, reservationAccepted, message, { reason: `a bug met ${message.rid}` }),
      ),
    )
    const { fingerprint, count } = await onlyGroup()
    expect(count).to.equal(50)
    const { letters } = await listDeadLetters(dead.deadLetters.queue, { offset: 0, limit: 50 })
    expect(await planReplay(dead, letters)).to.deep.equal({ settled: 20, owed: 30, returned: 0, hopeless: 0 })
    const actor = await actorIn(world)
    const outcome = await replayLetters(dead, { group: fingerprint }, actor)
    expect(outcome).to.deep.equal({ kind: 'done', result: { ...NOTHING_REPLAYED, letters: 50, settled: 50 } })
    expect(await dead.groups()).to.deep.equal([])
    expect(await ordersOf(eventId)).to.have.length(50)
    expect(await expectConserved(world.knex, eventId)).to.equal(10)
    const [row, ...more] = await auditOf(world, 'dead-letter.replay').where({ actor_id: actor.userId })
    expect(more).to.deep.equal([])
    expect(row).to.deep.include({ target: `dead-letter group ${fingerprint}`, request_id: 'test' })
    expect(row.before).to.include({ letters: 50, group: fingerprint })
    expect(row.after).to.include({ settled: 50, left: 0 })
  })

  it('orders once when two operators press, and one of them twice', async () => {
    const eventId = await createSale(world, { stock: 60 })
    const messages = await inboxOf(eventId, 30)
    await dead.plant(...messages.map((message) => letterOfMessage(world, reservationAccepted, message)))
    const { fingerprint: group } = await onlyGroup()
    const [one, other] = [await actorIn(world), await actorIn(world)]
    const outcomes = await Promise.all(
      [one, one, other].map((actor) => replayLetters(dead, { group }, actor)),
    )
    expect(await dead.groups()).to.deep.equal([])
    expect(await ordersOf(eventId)).to.have.length(30)
    const rows = await auditOf(world, 'dead-letter.replay').where({ target: `dead-letter group ${group}` })
    const mine = rows.filter((row) => [one.userId, other.userId].includes(row.actor_id))
    expect(mine.map((row) => row.after.letters)).to.deep.equal([30])
    const again = await replayLetters(dead, { group }, mine[0].actor_id === one.userId ? one : other)
    if (again.kind === 'busy') throw new Error('nobody else is at it')
    expect(again.kind).to.equal('repeated')
    expect(again.result).to.include({ letters: 30, settled: 30 })
    expect(outcomes.map(({ kind }) => kind)).to.not.include('busy')
  })

  it('keeps the letter of what is not settled yet, with its count and whoever replayed it', async () => {
    const eventId = await createSale(world)
    const [pending] = await order(world, eventId, 1)
    await dead.plant({ id: 'kept', origin: 'close-order', payload: { order_id: pending?.orderId } })
    const actor = await actorIn(world)
    const outcome = await replayLetters(dead, { address: 'dead-letter-kept' }, actor)
    expect(outcome).to.deep.include({ result: { ...NOTHING_REPLAYED, letters: 1, waiting: 1 } })
    const [letter] = await dead.letters()
    expect(letter).to.include({ replays: 11, replayed_by: actor.userId })
    expect(await dead.closeOrders.queue.getJob(`close-order-${pending?.orderId}`)).to.not.equal(undefined)
  })

  it('says of what nothing can be put back that it is hopeless, and leaves it', async () => {
    const cut = {
      source: 'message' as const,
      origin: world.topology.queueOf(stockReleased),
      cut: true as const,
    }
    await dead.plant(
      { origin: 'create-order', payload: { rid: 'x' } },
      { source: 'message', origin: 'amq.somebody-elses', payload: 'text' },
      { ...cut, payload: 'text' },
    )
    for (const { fingerprint } of await dead.groups()) {
      const outcome = await replayLetters(dead, { group: fingerprint }, await actorIn(world))
      expect(outcome).to.deep.include({ result: { ...NOTHING_REPLAYED, letters: 1, hopeless: 1 } })
    }
    expect(await dead.letters()).to.have.length(3)
  })

  it('takes for a letter nothing else that the queue keeps under a name', async () => {
    const outcome = await replayLetters(dead, { address: 'meta' }, await actorIn(world))
    expect(outcome).to.deep.equal({ kind: 'done', result: NOTHING_REPLAYED })
    await discardLetters(dead, { address: 'meta' }, 'mine', await actorIn(world))
    expect(await world.queueRedis.exists(dead.deadLetters.queue.toKey('meta'))).to.equal(1)
  })

  it('leaves a letter that meets an error of its own, and replays the others', async () => {
    const eventId = await createSale(world)
    const settled = await order(world, eventId, 3)
    await dead.plant(...settled.map(({ rid }, i) => ({ id: `settled-${i}`, payload: { rid } })))
    const unlock = await dead.lock('settled-1')
    const { fingerprint: group } = await onlyGroup()
    const actor = await actorIn(world)
    const outcome = await replayLetters(dead, { group }, actor)
    expect(outcome).to.deep.include({ result: { ...NOTHING_REPLAYED, letters: 3, settled: 2, left: 1 } })
    const [row] = await auditOf(world, 'dead-letter.replay').where({ actor_id: actor.userId })
    expect(row.after).to.include({ settled: 2, left: 1 })
    await unlock()
  })

  it('begins no letter when its time is over, and says what is left', async () => {
    const origin = world.topology.queueOf(stockReleased)
    const letters = Array.from({ length: 10 }, (_, i) => ({ id: `slow-${i}`, payload: 'x' }))
    await dead.plant(...letters.map((letter) => ({ ...letter, source: 'message' as const, origin })))
    const { fingerprint: group } = await onlyGroup()
    // As with a broker that takes its time to confirm.
    const publish: typeof dead.returns.publish = async (...message) => {
      await setTimeout(300)
      return dead.returns.publish(...message)
    }
    const actor = await actorIn(world)
    const outcome = await replayLetters({ ...dead, returns: { publish } }, { group }, actor, 1_000)
    if (outcome.kind === 'busy') throw new Error('nobody else is at it')
    const { returned, left, interrupted } = outcome.result
    expect({ sum: returned + left, interrupted }).to.deep.equal({ sum: 10, interrupted: false })
    expect(returned).to.be.within(1, 4)
    expect(await dead.letters()).to.have.length(left)
  })

  it('makes all failed jobs run again, and takes away those whose work is done', async () => {
    await stopWorker()
    stopWorker = startCreateOrder(async () => ({ kind: 'giveUp', why: 'a bug of now' }))
    const eventId = await createSale(world)
    const [owed, done] = await inboxOf(eventId, 2)
    if (owed === undefined || done === undefined) throw new Error('no reservations')
    await dead.createOrders.addBulk([owed, done].map(({ rid }) => ({ payload: { rid } })))
    await dead.createOrders.queue.add('create-order', { rid: 'x' }, { jobId: 'forged-1' })
    const failed = async () => (await countFailed(dead))['create-order']
    await until('the failures', async () => (await failed()) === 3)
    await decideReservations(world.knex, [done.rid])
    await stopWorker()
    stopWorker = startCreateOrder(createOrderHandler(world))
    const actor = await actorIn(world)
    const outcome = await retryFailed(dead, actor)
    expect(outcome).to.deep.equal({ kind: 'done', result: { failed: 3, retried: 1, settled: 1, left: 1 } })
    await until('the order', async () => (await ordersOf(eventId)).length === 2)
    expect(await failed()).to.equal(1)
    expect((await retryFailed(dead, actor)).kind).to.equal('repeated')
    const [row, ...more] = await auditOf(world, 'job.retry-failed')
    expect(more).to.deep.equal([])
    expect(row.before.failed).to.include({ 'create-order': 3 })
  })
})

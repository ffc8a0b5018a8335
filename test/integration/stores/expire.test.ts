import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import { expireHolds } from '../../../src/expire.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { armFailpoints } from '../../../src/platform/failpoints.ts'
import { createSubscriberRedis } from '../../../src/platform/redis/client.ts'
import { Subscriber } from '../../../src/platform/redis/subscriber.ts'
import { eventTag, newRid } from '../../../src/reserve/rid.ts'
import { Tracker, type Tracking } from '../../../src/track.ts'
import { Watcher } from '../../../src/watch.ts'
import { createSale } from '../../factories/sales.ts'
import { reserveUnits } from '../../support/claims.ts'
import { accepted, buyerIds, expectConserved } from '../../support/reservations.ts'
import { stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const AT_ONCE = 0
const NOT_TODAY = 3_600_000

describe('a reservation that is given up', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())
  afterEach(() => armFailpoints([], 0))

  const rowOf = (rid: string) => world.knex('reservations').where({ rid }).first('status', 'void_reason')
  const stockOf = (eventId: string) => world.redis.get(`{spike:${eventId}}:stock`)
  const VOID = { status: 'void', void_reason: 'expired' }

  /** A unit that Redis holds, with the message that nobody has received. */
  async function hold(eventId: string) {
    const [claim] = await reserveUnits(world, eventId, 1)
    if (claim === undefined) throw new Error('nothing reserved')
    const message = accepted(eventId, claim.userId, { rid: claim.rid })
    return { ...claim, message }
  }

  describe('while Redis holds its unit', () => {
    it('is void, its unit is free, its buyer may try again, and the outbox knows of it', async () => {
      const eventId = await createSale(world, { stock: 3, lapseLimit: 0 })
      const { rid, userId, message } = await hold(eventId)
      expect(await expireHolds(world, [message])).to.equal(1)
      expect(await rowOf(rid)).to.deep.equal(VOID)
      expect(await stockOf(eventId)).to.equal('3')
      expect(await world.redis.xlen(`{spike:${eventId}}:log`)).to.equal(0)
      const told = await world.knex('outbox').where({ key: rid }).select('topic', 'payload')
      expect(told).to.deep.equal([
        {
          topic: 'stock.released',
          payload: { rid, event_id: eventId, user_id: userId, quantity: 1, reason: 'expired' },
        },
      ])
      const again = { eventId, userId, rid: newRid(eventId, userId, world.ridKey), quantity: 1 }
      expect(await world.scripts.reserve({ ...again, requestId: 'again' })).to.include({ kind: 'accepted' })
    })

    it('stays void when its message comes after all, as often as it likes', async () => {
      const eventId = await createSale(world, { stock: 3 })
      const { rid, message } = await hold(eventId)
      await expireHolds(world, [message])
      const before = await stateOf(world, eventId)
      for (let i = 0; i < 2; i++) {
        await receiveReservations(world.knex, [message])
        const [verdict] = await decideReservations(world.knex, [rid])
        expect(verdict).to.deep.equal({ kind: 'void', rid, reason: 'expired' })
      }
      expect(await expireHolds(world, [message])).to.equal(0)
      expect(await stateOf(world, eventId)).to.deep.equal(before)
      expect(await expectConserved(world.knex, eventId)).to.equal(3)
    })

    it('keeps the verdict that it has, and its unit while it waits for one', async () => {
      const eventId = await createSale(world, { stock: 3 })
      const [ordered, waiting] = [await hold(eventId), await hold(eventId)]
      await receiveReservations(world.knex, [ordered.message, waiting.message])
      await decideReservations(world.knex, [ordered.rid])
      const before = await stateOf(world, eventId)
      expect(await expireHolds(world, [ordered.message, waiting.message])).to.equal(0)
      expect(await stateOf(world, eventId)).to.deep.equal(before)
    })

    it('is void in PostgreSQL before Redis gets its unit back', async () => {
      const eventId = await createSale(world, { stock: 3 })
      const { rid, message } = await hold(eventId)
      armFailpoints([{ name: 'expire.after-commit', failure: 'throw', oneIn: 1, ms: 0 }], 1)
      const failed = await expireHolds(world, [message]).catch((error: Error) => error)
      expect(failed).to.be.an('error')
      expect(await rowOf(rid)).to.deep.equal(VOID)
      expect(await stockOf(eventId)).to.equal('2')
    })
  })

  describe('when no store knows it any more', () => {
    /** A rid that the product gave to a buyer and that Redis has lost, with the stock that was taken for it. */
    async function lost(): Promise<{ eventId: string; rid: string; userId: string }> {
      const eventId = await createSale(world, { stock: 3 })
      const [userId] = (await buyerIds(world, 1)) as [string]
      return { eventId, userId, rid: newRid(eventId, userId, world.ridKey) }
    }

    const tracker = (givenUpAfterMs = AT_ONCE, backlog = async () => 0, settledMs = AT_ONCE) =>
      new Tracker({ ...world, backlog, timing: { givenUpAfterMs, settledMs } })

    it('is void for its buyer, and for a message that comes later', async () => {
      const { eventId, rid, userId } = await lost()
      await until(
        'a moment to pass',
        () => newRid(eventId, userId, world.ridKey).slice(0, 13) > rid.slice(0, 13),
      )
      expect(await tracker().find(rid, userId)).to.deep.equal({ status: 'void', reason: 'expired' })
      const before = await stateOf(world, eventId)
      await receiveReservations(world.knex, [accepted(eventId, userId, { rid })])
      expect(await decideReservations(world.knex, [rid])).to.deep.equal([
        { kind: 'void', rid, reason: 'expired' },
      ])
      expect(await tracker().find(rid, userId)).to.deep.equal({ status: 'void', reason: 'expired' })
      expect(await stateOf(world, eventId)).to.deep.equal(before)
      const release = { eventId, rid, userId, quantity: 1, reason: 'expired' } as const
      expect(await world.scripts.release(release)).to.equal('TOMBSTONE')
      expect(await stockOf(eventId)).to.equal('3')
    })

    it('is waited for while it is young, and while it may be in the broker or in Redis', async () => {
      const { eventId, rid, userId } = await lost()
      const silent = () => Promise.reject(new Error('no answer'))
      const waiting = { status: 'reserving' }
      expect(await tracker(NOT_TODAY).find(rid, userId)).to.deep.equal(waiting)
      expect(await tracker(AT_ONCE, async () => 1).find(rid, userId)).to.deep.equal(waiting)
      expect(await tracker(AT_ONCE, silent).find(rid, userId)).to.deep.equal(waiting)
      await world.scripts.setStatus({ eventId, status: 'closed' })
      expect(await tracker().find(rid, userId)).to.deep.equal(waiting)
      await world.redis.unlink(`{spike:${eventId}}:gate`)
      expect(await tracker().find(rid, userId)).to.deep.equal(waiting)
      expect(await rowOf(rid)).to.equal(undefined)
    })

    it('is waited for until a consumer that hangs with it in hand would have lost it to another', async () => {
      const { rid, userId } = await lost()
      let waiting = 0
      const patient = tracker(AT_ONCE, async () => waiting, 300)
      const told = () => patient.find(rid, userId)
      await until('the first look', async () => (await told())?.status === 'reserving')
      const began = performance.now()
      waiting = 1 // it came back to the queue: the wait begins anew behind it
      expect(await told()).to.deep.equal({ status: 'reserving' })
      waiting = 0
      await until('the end of the wait', async () => (await told())?.status === 'void')
      expect(performance.now() - began).to.be.at.least(300)
    })

    it('is unknown when somebody has made it up, and leaves no trace', async () => {
      const { eventId, rid, userId } = await lost()
      const [stranger] = (await buyerIds(world, 1)) as [string]
      const madeUp = randomUUID().slice(0, -8) + eventTag(eventId)
      const before = await stateOf(world, eventId)
      const refuse = () => Promise.reject(new Error('the broker was asked for a rid that was made up'))
      const strict = tracker(AT_ONCE, refuse)
      for (const [id, who] of [
        [madeUp, userId],
        [rid, stranger],
        [randomUUID(), userId],
      ] as const)
        expect(await strict.find(id, who)).to.equal(undefined)
      expect(await stateOf(world, eventId)).to.deep.equal(before)
    })

    it('ends the wait of whoever watches it', async () => {
      const { rid, userId } = await lost()
      const listening = createSubscriberRedis(world.config.redisUrl, 'spike-test subscriber', world.log)
      let waiting = 1
      const watcher = new Watcher({
        tracker: tracker(AT_ONCE, async () => waiting),
        subscriber: new Subscriber(listening, world.log),
        log: world.log,
        beatMs: 20,
      })
      const told: Tracking[] = []
      try {
        const ended = new Promise<void>((resolve) => {
          const changed = (tracking: Tracking) => void told.push(tracking)
          void watcher.watch(rid, userId, { changed, beat: () => (waiting = 0), ended: resolve })
        })
        await ended
      } finally {
        watcher.stop()
        listening.disconnect()
      }
      expect(told).to.deep.equal([{ status: 'reserving' }, { status: 'void', reason: 'expired' }])
    })
  })
})

import { expect } from 'chai'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { decodeRecord } from '../../../src/reserve/record.ts'
import { stuckHolds } from '../../../workers/sweep/stuck-holds.ts'
import { createSale } from '../../factories/sales.ts'
import { openBroker, type Broker } from '../../support/broker.ts'
import { reserveUnits, type Claim } from '../../support/claims.ts'
import { Proxy } from '../../support/proxy.ts'
import { openNet, type Net } from '../../support/relays.ts'
import { accepted, expectConserved } from '../../support/reservations.ts'
import { stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** G is a second here, and everything else is as soon as it can be. */
const TIMING = { pauseMs: 30, pauseByPass: 0, strayAfterMs: 0, givenUpAfterMs: 1_000, settledMs: 200 }

describe('units that are held for reservations which PostgreSQL never received', () => {
  let world: World
  let broker: Broker
  let proxy: Proxy
  let net: Net
  let queue: string

  beforeEach(async () => {
    world = await createWorld()
    broker = await openBroker(world)
    proxy = await Proxy.before(world.config.amqpUrl)
    net = await openNet(world, proxy.urlOf(world.config.amqpUrl))
    queue = world.topology.queueOf(reservationAccepted)
  })
  afterEach(async () => {
    await proxy.restore()
    await net.close()
    await proxy.cut()
    await broker.close()
    await world.close()
  })

  const sweep = () => stuckHolds({ ...world, republisher: net.republisher, backlog: net.backlog }, TIMING)
  const rowOf = (rid: string) => world.knex('reservations').where({ rid }).first('status', 'void_reason')
  const stateOfRid = async ({ eventId, rid }: Claim) =>
    decodeRecord((await world.redis.hget(`{spike:${eventId}}:states`, rid)) ?? '').state
  const isVoid = async ({ rid }: Claim) => (await rowOf(rid))?.void_reason === 'expired'
  const passes = (count: number) => {
    const from = net.asked()
    return until(`${count} passes`, () => net.asked() >= from + count)
  }

  async function held(count: number): Promise<[string, Claim[]]> {
    const eventId = await createSale(world)
    return [eventId, await reserveUnits(world, eventId, count)]
  }

  it('are void and free when the broker can not be reached, and stay so when a message turns up', async () => {
    const [eventId, claims] = await held(3)
    await proxy.cut()
    await net.during(sweep(), async () => {
      for (const claim of claims) await until('the void', () => isVoid(claim))
      await until('the units', async () => (await world.redis.get(`{spike:${eventId}}:stock`)) === '10')
    })
    for (const claim of claims) expect(await stateOfRid(claim)).to.equal('released')
    const before = await stateOf(world, eventId)
    const rids = claims.map(({ rid }) => rid)
    await receiveReservations(
      world.knex,
      claims.map(({ rid, userId }) => accepted(eventId, userId, { rid })),
    )
    for (const verdict of await decideReservations(world.knex, rids))
      expect(verdict).to.include({ kind: 'void', reason: 'expired' })
    expect(await stateOf(world, eventId)).to.deep.equal(before)
    expect(await expectConserved(world.knex, eventId)).to.equal(10)
  })

  it('are kept when a broker that can not be reached has confirmed them before', async () => {
    const [eventId, [queued, unpublished]] = (await held(2)) as [string, [Claim, Claim]]
    await world.scripts.markQueued([{ eventId, rids: [queued.rid] }])
    await proxy.cut()
    await net.during(sweep(), async () => {
      await until('the other one’s void', () => isVoid(unpublished))
      await passes(2)
    })
    expect(await rowOf(queued.rid)).to.equal(undefined)
    expect(await stateOfRid(queued)).to.equal('queued')
  })

  it('are kept when the broker takes no more while it has a backlog, which may have them', async () => {
    const [, [claim]] = (await held(1)) as [string, [Claim]]
    await proxy.cut()
    let asked = 0
    const backlog = async () => ++asked
    await net.during(stuckHolds({ ...world, republisher: net.republisher, backlog }, TIMING), async () => {
      await until('its age', async () => (await ageOf(claim)) > TIMING.givenUpAfterMs)
      const passed = asked
      await until('two more passes', () => asked >= passed + 2)
    })
    expect(await rowOf(claim.rid)).to.equal(undefined)
    expect(await stateOfRid(claim)).to.equal('held')
  })

  it('are published again while anything waits in the broker, however old they are, and given up behind it', async () => {
    const [, [claim]] = (await held(1)) as [string, [Claim]]
    await broker.send(queue, ['a backlog'])
    await net.during(sweep(), async () => {
      await until('the copy', async () => (await broker.ready(queue)) === 2)
      await until('its age', async () => (await ageOf(claim)) > TIMING.givenUpAfterMs + TIMING.settledMs)
      await passes(2)
      expect(await rowOf(claim.rid)).to.equal(undefined)
      expect(await stateOfRid(claim)).to.equal('queued')
      expect(await broker.ready(queue), 'copies').to.equal(2)
      // Consumed, and not received: a message that always fails is parked in the end.
      await broker.channel.purgeQueue(queue)
      await until('the void', () => isVoid(claim))
      await until('the unit', async () => (await stateOfRid(claim)) === 'released')
    })
  })

  it('are published again when the broker has lost them, log or no log, and kept once they are received', async () => {
    const [eventId, [claim]] = (await held(1)) as [string, [Claim]]
    await world.scripts.markQueued([{ eventId, rids: [claim.rid] }])
    await world.redis.unlink(`{spike:${eventId}}:log`)
    await net.during(sweep(), async () => {
      const message = await until('the copy', async () => (await broker.channel.get(queue)) || undefined)
      broker.channel.ack(message)
      const { rid, userId } = claim
      await receiveReservations(world.knex, [accepted(eventId, userId, { rid })])
      await until('its age', async () => (await ageOf(claim)) > TIMING.givenUpAfterMs + TIMING.settledMs)
      await passes(2)
    })
    expect(await rowOf(claim.rid)).to.deep.equal({ status: 'undecided', void_reason: null })
    expect(await stateOfRid(claim)).to.equal('queued')
    expect(await broker.ready(queue), 'copies').to.equal(0)
  })

  it('are kept when their gate is closed, because a rebuild looks after them', async () => {
    const [eventId, [claim]] = (await held(1)) as [string, [Claim]]
    const [, [other]] = (await held(1)) as [string, [Claim]]
    await world.scripts.setStatus({ eventId, status: 'closed' })
    await proxy.cut()
    await net.during(sweep(), async () => {
      await until('the other one’s void', () => isVoid(other))
      await passes(2)
    })
    expect(await rowOf(claim.rid)).to.equal(undefined)
    expect(await stateOfRid(claim)).to.equal('held')
  })

  async function ageOf({ eventId, rid }: Claim): Promise<number> {
    const record = decodeRecord((await world.redis.hget(`{spike:${eventId}}:states`, rid)) ?? '')
    return Date.now() - record.reservedAtMs
  }
})

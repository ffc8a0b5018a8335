import { expect } from 'chai'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { decodeRecord } from '../../../src/reserve/record.ts'
import { logRelay } from '../../../workers/relay/log-relay.ts'
import { createSale } from '../../factories/sales.ts'
import { openBroker, type Broker } from '../../support/broker.ts'
import { captureOf, decideClaims, lapse, reserveUnits, settle, type Claim } from '../../support/claims.ts'
import type { Ordered } from '../../support/reservations.ts'
import { openNet, type Net } from '../../support/relays.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the relay of the reservation log', () => {
  let world: World
  let broker: Broker
  let net: Net
  let queue: string

  beforeEach(async () => {
    world = await createWorld()
    broker = await openBroker(world)
    net = await openNet(world)
    queue = world.topology.queueOf(reservationAccepted)
  })
  afterEach(async () => {
    await net.close()
    await broker.close()
    await world.close()
  })

  const relay = (pages?: { size: number; most: number }) =>
    logRelay({ ...world, republisher: net.republisher, backlog: net.backlog }, pages)
  const stateOfRid = async ({ eventId, rid }: { eventId: string; rid: string }) => {
    const text = await world.redis.hget(`{spike:${eventId}}:states`, rid)
    return text === null ? undefined : decodeRecord(text).state
  }
  const logLength = (eventId: string) => world.redis.xlen(`{spike:${eventId}}:log`)
  const ordered = async (claim: Claim) => (await decideClaims(world, [claim]))[0] as Ordered

  it('tells Redis of every verdict that it has missed, and ends the entries', async () => {
    const eventId = await createSale(world, { stock: 6 })
    const claims = await reserveUnits(world, eventId, 6)
    const [pending, paid, lapsed, refused, forgotten, unseen] = claims as [
      Claim,
      Claim,
      Claim,
      Claim,
      Claim,
      Claim,
    ]
    await ordered(pending)
    await settle(world, await captureOf(world, await ordered(paid)))
    await lapse(world, await ordered(lapsed))
    await world.knex('users').where('id', refused.userId).update({ disabled: true })
    expect(await decideClaims(world, [refused])).to.deep.equal([
      { kind: 'void', rid: refused.rid, reason: 'unknown_buyer' },
    ])
    // The record is lost, and the log is not.
    await ordered(forgotten)
    await world.redis.hdel(`{spike:${eventId}}:states`, forgotten.rid)
    await net.during(relay(), () =>
      until('one entry to be left', async () => (await logLength(eventId)) === 1),
    )
    const states = await Promise.all(claims.map(stateOfRid))
    expect(states).to.deep.equal(['confirmed', 'paid', 'released', 'released', 'confirmed', 'queued'])
    expect(await world.redis.hget(`{spike:${eventId}}:lapses`, lapsed.userId)).to.equal('1')
    expect(await world.redis.hget(`{spike:${eventId}}:lapses`, refused.userId)).to.equal(null)
    expect(unseen.rid).to.equal((await world.redis.xrange(`{spike:${eventId}}:log`, '-', '+'))[0]?.[1][1])
  })

  it('reaches the entries behind those that have to wait', async () => {
    const eventId = await createSale(world)
    const claims = await reserveUnits(world, eventId, 6)
    const waiting = claims.slice(0, 5)
    const last = claims[5] as Claim
    await world.scripts.markQueued([{ eventId, rids: waiting.map(({ rid }) => rid) }])
    await ordered(last)
    await net.during(relay({ size: 2, most: 1 }), () =>
      until('the last one’s verdict', async () => (await stateOfRid(last)) === 'confirmed'),
    )
    for (const claim of waiting) expect(await stateOfRid(claim)).to.equal('queued')
    expect(await broker.ready(queue), 'copies of what the broker has').to.equal(0)
  })

  it('publishes what the broker has not confirmed, once', async () => {
    const eventId = await createSale(world)
    const claims = await reserveUnits(world, eventId, 3)
    await net.during(relay(), () =>
      until('all to be queued', async () =>
        (await Promise.all(claims.map(stateOfRid))).every((state) => state === 'queued'),
      ),
    )
    expect(await broker.ready(queue)).to.equal(3)
  })
})

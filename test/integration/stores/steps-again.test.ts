import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import { readConservation } from '../../../src/conservation.ts'
import { judgeStores, type Facts } from '../../../src/figures/invariants.ts'
import { decideReservations } from '../../../src/orders/decide.ts'
import { armFailpoints, FailpointError, parseFailpoints } from '../../../src/platform/failpoints.ts'
import { closeOrderHandler } from '../../../workers/close-order/handler.ts'
import { createOrderHandler } from '../../../workers/create-order/handler.ts'
import { createSale } from '../../factories/sales.ts'
import { receiveClaims, reserveUnits, type Claim } from '../../support/claims.ts'
import { letLapse, order, tally, toldOf } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

const CREATE_POINTS = ['create-order.in-transaction', 'create-order.after-commit', 'create-order.after-apply']
const CLOSE_POINTS = ['close-order.in-transaction', 'close-order.after-commit']

describe('a step that is done again', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  afterEach(() => armFailpoints([], 0))
  after(() => world.close())

  /** A job's outcome while a place fails, and that of its next attempt. */
  async function twice<T>(failure: string, run: () => Promise<T>): Promise<[T | Error, T]> {
    armFailpoints(parseFailpoints(failure), 1)
    const first = await run().catch((error: Error) => error)
    armFailpoints([], 0)
    return [first, await run()]
  }

  async function soundFacts(eventId: string): Promise<Facts> {
    const facts = await readConservation(world, eventId)
    if (facts === undefined) throw new Error(`no event ${eventId}`)
    expect(
      judgeStores(facts).filter(({ ok }) => !ok),
      'broken invariants',
    ).to.deep.equal([])
    return facts
  }

  async function received(count: number): Promise<{ eventId: string; claims: Claim[] }> {
    const eventId = await createSale(world, { stock: 20 })
    const claims = await reserveUnits(world, eventId, count)
    await receiveClaims(world, claims)
    return { eventId, claims }
  }
  const create = () => createOrderHandler({ knex: world.knex, scripts: world.scripts, log: world.log })

  it('gives each of two jobs for one rid its verdict when one batch has both', async () => {
    const { eventId, claims } = await received(2)
    const [a = '', b = ''] = claims.map(({ rid }) => rid)
    const verdicts = await decideReservations(world.knex, [a, b, a, a])
    expect(verdicts.map(({ rid }) => rid)).to.deep.equal([a, b, a, a])
    expect(tally(verdicts)).to.deep.equal({ ordered: 4 })
    expect(verdicts[2]).to.deep.equal(verdicts[0])
    const again = await Promise.all([a, a, b].map((rid) => create()({ rid })))
    expect(again.map(({ kind }) => kind)).to.deep.equal(['done', 'done', 'done'])
    expect((await soundFacts(eventId)).ledger.ordered).to.equal(2)
  })

  it('gives each of two jobs for one rid its void when one batch has both', async () => {
    const { eventId, claims } = await received(1)
    await world.knex('users').where('id', claims[0]?.userId).update({ disabled: true })
    const rid = claims[0]?.rid ?? ''
    expect(tally(await decideReservations(world.knex, [rid, rid]))).to.deep.equal({ unknown_buyer: 2 })
    expect((await toldOf(world.knex, 'stock.released')).filter((key) => key === rid)).to.have.length(1)
    expect((await soundFacts(eventId)).pendingReleases).to.equal(1)
  })

  for (const point of CREATE_POINTS) {
    it(`orders once, and tells Redis, when a batch fails at ${point} and its jobs come again`, async () => {
      const { eventId, claims } = await received(5)
      const handler = create()
      const attempts = await Promise.all(
        claims.map(({ rid }) => twice(`${point}=throw`, () => handler({ rid }))),
      )
      for (const [first, second] of attempts) {
        expect(first).to.be.an.instanceOf(FailpointError)
        expect(second).to.have.nested.property('result.order_id')
      }
      const { ledger, redis, inFlight } = await soundFacts(eventId)
      expect([ledger.ordered, inFlight]).to.deep.equal([5, 0])
      expect(redis).to.deep.include({ held: 0, confirmed: 5, stock: 15 })
    })
  }

  for (const point of CREATE_POINTS.slice(1))
    it(`orders once when what lies before ${point} is done twice`, async () => {
      const { eventId, claims } = await received(3)
      armFailpoints(parseFailpoints(`${point}=duplicate`), 1)
      const handler = create()
      await Promise.all(claims.map(({ rid }) => handler({ rid })))
      const { ledger, redis } = await soundFacts(eventId)
      expect(ledger.ordered).to.equal(3)
      expect(redis).to.deep.include({ held: 0, confirmed: 3, stock: 17 })
    })

  for (const point of CLOSE_POINTS)
    it(`gives units back once when a close fails at ${point} and comes again`, async () => {
      const eventId = await createSale(world, { stock: 5 })
      const orders = await order(world, eventId, 3)
      await letLapse(
        world.knex,
        orders.map(({ orderId }) => orderId),
      )
      const handler = closeOrderHandler({ knex: world.knex })
      const attempts = await Promise.all(
        orders.map(({ orderId }) => twice(`${point}=throw`, () => handler({ order_id: orderId }))),
      )
      for (const [first] of attempts) expect(first).to.be.an.instanceOf(FailpointError)
      const kinds = new Set(attempts.map(([, { kind }]) => kind))
      expect([...kinds]).to.deep.equal([point === 'close-order.in-transaction' ? 'done' : 'skipped'])
      const released = await toldOf(world.knex, 'stock.released')
      expect(released).to.include.members(orders.map(({ rid }) => rid))
      expect(new Set(released).size).to.equal(released.length)
      const { available } = await world.knex('spike_events').where('id', eventId).first('available')
      expect(available).to.equal(5)
    })
})

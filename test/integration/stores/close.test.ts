import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { closeLapsedOrders, overdueOrders } from '../../../src/orders/close.ts'
import { createSale } from '../../factories/sales.ts'
import { randomOf } from '../../support/random.ts'
import { expectConserved, letLapse, order, toldOf } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('closeLapsedOrders', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  it('leaves an order alone before its deadline and tells how long that is', async () => {
    const eventId = await createSale(world, { paymentWindowS: 600 })
    const [due] = await order(world, eventId, 1)
    const [closing] = await closeLapsedOrders(world.knex, [due?.orderId ?? ''])
    if (closing?.kind !== 'not_due') throw new Error(`it is ${closing?.kind}`)
    expect(closing.inMs).to.be.within(590_000, 600_000)
    expect(await statusOf(world, due?.orderId)).to.include({ status: 'pending', close_reason: null })
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  it('closes an overdue order, frees its claim and gives its units and its release away', async () => {
    const eventId = await createSale(world)
    const [lapsed] = await order(world, eventId, 1)
    const { orderId, rid, userId } = lapsed ?? { orderId: '', rid: '', userId: '' }
    await letLapse(world.knex, [orderId])
    expect(await closeLapsedOrders(world.knex, [orderId])).to.deep.equal([{ kind: 'closed' }])
    expect(await statusOf(world, orderId)).to.include({ status: 'closed', close_reason: 'lapsed' })
    const claim = await world.knex('spike_orders').where({ reservation_id: rid }).first('live')
    expect(claim).to.deep.equal({ live: false })
    const told = await world.knex('outbox').where({ key: rid }).select('topic', 'payload')
    const payload = { rid, event_id: eventId, user_id: userId, quantity: 1, reason: 'lapsed' }
    expect(told).to.deep.equal([{ topic: 'stock.released', payload }])
    expect(await expectConserved(world.knex, eventId)).to.equal(10)
  })

  it('answers for each order in the order that it was asked in', async () => {
    const eventId = await createSale(world)
    const [lapsed, paid, fresh] = (await order(world, eventId, 3)).map(({ orderId }) => orderId)
    await letLapse(world.knex, [lapsed ?? ''])
    await pay(world, paid)
    const asked = [fresh ?? '', uuidv7(), lapsed ?? '', paid ?? '']
    const closings = await closeLapsedOrders(world.knex, asked)
    expect(closings.map(({ kind }) => kind)).to.deep.equal(['not_due', 'unknown', 'closed', 'not_pending'])
    expect(closings[3]).to.deep.equal({ kind: 'not_pending', status: 'paid' })
  })

  it('never closes a paid order, however late it is', async () => {
    const eventId = await createSale(world)
    const [paid] = (await order(world, eventId, 1)).map(({ orderId }) => orderId)
    await pay(world, paid)
    await letLapse(world.knex, [paid ?? ''])
    expect(await closeLapsedOrders(world.knex, [paid ?? ''])).to.deep.equal([
      { kind: 'not_pending', status: 'paid' },
    ])
    expect(await statusOf(world, paid)).to.include({ status: 'paid' })
    expect(await expectConserved(world.knex, eventId)).to.equal(9)
  })

  it('closes an order once when ten calls close it at the same time', async () => {
    const eventId = await createSale(world)
    const [lapsed] = await order(world, eventId, 1)
    const orderId = lapsed?.orderId ?? ''
    await letLapse(world.knex, [orderId])
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => closeLapsedOrders(world.knex, [orderId])),
    )
    expect(answers.flat().filter(({ kind }) => kind === 'closed')).to.have.length(1)
    expect(answers.flat().filter(({ kind }) => kind === 'not_pending')).to.have.length(9)
    expect((await toldOf(world.knex, 'stock.released')).filter((rid) => rid === lapsed?.rid)).to.have.length(
      1,
    )
    expect(await expectConserved(world.knex, eventId)).to.equal(10)
  })

  it('gives every unit back once when overlapping batches close the orders of two events', async () => {
    const events = [await createSale(world, { stock: 40 }), await createSale(world, { stock: 40 })] as const
    const orders = (await Promise.all(events.map((eventId) => order(world, eventId, 40)))).flat()
    const ids = orders.map(({ orderId }) => orderId)
    await letLapse(world.knex, ids)
    const random = randomOf(3)
    const batches = Array.from({ length: 10 }, () => random.shuffled(ids).slice(0, 50))
    const answers = await Promise.all(batches.map((batch) => closeLapsedOrders(world.knex, batch)))
    const closed = answers.flat().filter(({ kind }) => kind === 'closed').length
    expect(closed).to.equal(new Set(batches.flat()).size)
    const free = await Promise.all(events.map((eventId) => expectConserved(world.knex, eventId)))
    expect((free[0] ?? 0) + (free[1] ?? 0)).to.equal(closed)
  })

  it('finds the overdue orders only, the most overdue first', async () => {
    const eventId = await createSale(world)
    const [first = '', second = '', , paid = ''] = (await order(world, eventId, 4)).map((o) => o.orderId)
    await pay(world, paid)
    await letLapse(world.knex, [second, paid])
    await world
      .knex('orders')
      .where({ id: first })
      .update({ expires_at: world.knex.raw(`now() - interval '1 h'`) })
    expect(await overdueOrders(world.knex, 10)).to.deep.equal([first, second])
    expect(await overdueOrders(world.knex, 1)).to.deep.equal([first])
    await closeLapsedOrders(world.knex, [first, second])
    expect(await overdueOrders(world.knex, 10)).to.deep.equal([])
  })
})

async function pay({ knex }: World, id: string | undefined): Promise<void> {
  await knex('orders')
    .where({ id: id ?? '' })
    .update({ status: 'paid', paid_at: knex.fn.now() })
}

function statusOf({ knex }: World, id: string | undefined) {
  return knex('orders')
    .where({ id: id ?? '' })
    .first('status', 'close_reason')
}

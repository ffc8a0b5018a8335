import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import type { EventData } from '../../support/events.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { expectConserved } from '../../support/reservations.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

interface AdjustmentData {
  adjustment_id: string
  event_id: string
  delta: number
  granted: number
  available: number
}

describe('adding units to a sale and cutting some', () => {
  let world: World
  let api: Client
  let admin: Account

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    admin = await createAccount(world, 'admin')
  })
  after(() => world.close())

  const adjust = (id: string, json: unknown) =>
    api<AdjustmentData>('POST', `/spike-events/${id}/stock`, {
      token: admin.token,
      json,
      headers: { 'x-request-id': 'stock-test' },
    })
  const act = (id: string, action: string) =>
    api<EventData>('POST', `/spike-events/${id}/${action}`, { token: admin.token })
  const stockOf = async (productId: string): Promise<number> =>
    (await world.knex('inventory').where({ product_id: productId }).first('stock')).stock

  for (const [what, delta, granted] of [
    ['takes added units out of the inventory', 5, 15],
    ['gives cut units back to the inventory', -4, 6],
  ] as const)
    it(`${what}, and tells Redis`, async () => {
      const productId = await createProduct(world, 100)
      const id = await createSale(world, { productId })
      const { version } = await world.knex('spike_events').where({ id }).first('version')
      const reply = await adjust(id, { delta, reason: 'counted again' })
      expect(reply.status, reply.text).to.equal(201)
      const { adjustment_id: adjustmentId, ...units } = reply.body.data
      expect(units).to.deep.equal({ event_id: id, delta, granted, available: granted })
      expect(await stockOf(productId)).to.equal(100 - granted)
      expect(await expectConserved(world.knex, id)).to.equal(granted)
      expect(await world.scripts.countUnits({ eventId: id })).to.include({ granted, stock: granted })
      const shown = await api<EventData>('GET', `/spike-events/${id}`)
      expect(shown.body.data).to.include({ stock: granted, remaining: granted, version: version + 1 })
      const row = await world.knex('spike_event_adjustments').where({ id: adjustmentId }).first()
      expect(row).to.include({ event_id: id, delta, reason: 'counted again', actor_id: admin.id })
      expect(row.applied_at).to.be.an.instanceOf(Date)
      const audit = await world.knex('audit_log').where({ target: id, action: 'spike-event.stock' })
      expect(audit).to.have.length(1)
      expect(audit[0]).to.deep.include({
        actor_id: admin.id,
        request_id: 'stock-test',
        before: { granted: 10, available: 10 },
        after: { granted, available: granted, delta, reason: 'counted again' },
      })
    })

  it('works on a paused sale, which stays paused', async () => {
    const id = await createSale(world)
    await act(id, 'pause')
    expect((await adjust(id, { delta: 1, reason: 'one more' })).status).to.equal(201)
    expect((await api<EventData>('GET', `/spike-events/${id}`)).body.data).to.include({
      state: 'paused',
      remaining: 11,
    })
  })

  it('may cut all that is free, and no more', async () => {
    const id = await createSale(world)
    const tooMany = await adjust(id, { delta: -11, reason: 'too many' })
    expectRefusal(tooMany, 409, 'INSUFFICIENT_STOCK')
    expect(tooMany.body.data).to.deep.equal({ available: 10 })
    const all = await adjust(id, { delta: -10, reason: 'all' })
    expect(all.body.data).to.include({ granted: 0, available: 0 })
  })

  it('refuses what the inventory does not have', async () => {
    const productId = await createProduct(world, 14)
    const id = await createSale(world, { productId })
    const before = await stateOf(world, id)
    expectRefusal(await adjust(id, { delta: 5, reason: 'too many' }), 409, 'INSUFFICIENT_STOCK')
    expect(await stateOf(world, id)).to.deep.equal(before)
    expect((await adjust(id, { delta: 4, reason: 'the rest' })).body.data.granted).to.equal(14)
  })

  it('grants a million units and not one more', async () => {
    const productId = await createProduct(world, 2_000_000)
    const id = await createSale(world, { productId, stock: 999_999 })
    expect((await adjust(id, { delta: 1, reason: 'the last' })).body.data.granted).to.equal(1_000_000)
    const before = await stateOf(world, id)
    const refused = await adjust(id, { delta: 1, reason: 'one too many' })
    expectRefusal(refused, 409, 'STOCK_LIMIT')
    expect(refused.body.data).to.deep.equal({ granted: 1_000_000 })
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  it('refuses drafts and ended sales, and knows no event that does not exist', async () => {
    const draft = await createDraft(world)
    const ended = await createSale(world)
    await act(ended, 'end')
    const before = await stateOf(world, draft, ended)
    for (const [id, state] of [
      [draft, 'draft'],
      [ended, 'ended'],
    ] as const)
      for (const delta of [1, -1]) {
        const reply = await adjust(id, { delta, reason: 'test' })
        expectRefusal(reply, 409, 'WRONG_STATE')
        expect(reply.body.data).to.deep.equal({ state })
      }
    expectRefusal(await adjust(randomUUID(), { delta: 1, reason: 'test' }), 404, 'NOT_FOUND')
    expect(await stateOf(world, draft, ended)).to.deep.equal(before)
  })

  it('refuses what makes no sense, naming the field', async () => {
    const id = await createSale(world)
    const before = await stateOf(world, id)
    const bad: Record<string, unknown[]> = {
      delta: [0, 1.5, '1', null, undefined, 1_000_001, -1_000_001, 2 ** 53, [1]],
      reason: ['', ' ', 'x'.repeat(201), 'a\u0000b', null, undefined, 1],
      granted: [1],
      applied_at: [null],
    }
    for (const [field, values] of Object.entries(bad))
      for (const value of values) {
        const reply = await adjust(id, { delta: 1, reason: 'test', [field]: value })
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
        expect(JSON.stringify(reply.body.data), `${field}: ${String(value)}`).to.include(field)
      }
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  it('adjusts once when a request is sent again with its Idempotency-Key', async () => {
    const id = await createSale(world)
    const ask = {
      token: admin.token,
      json: { delta: 2, reason: 'sent twice' },
      headers: { 'idempotency-key': randomUUID() },
    }
    const [first, second] = [
      await api('POST', `/spike-events/${id}/stock`, ask),
      await api('POST', `/spike-events/${id}/stock`, ask),
    ]
    expect([first.status, second.status], second.text).to.deep.equal([201, 201])
    expect(second.body.data).to.deep.equal(first.body.data)
    expect(await expectConserved(world.knex, id)).to.equal(12)
  })

  it('cuts a unit once when ten admins cut the last five at the same time', async () => {
    const productId = await createProduct(world, 100)
    const id = await createSale(world, { productId, stock: 5 })
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => adjust(id, { delta: -1, reason: 'mine' })),
    )
    expect(replies.filter((reply) => reply.status === 201)).to.have.length(5)
    for (const reply of replies.filter((one) => one.status !== 201))
      expectRefusal(reply, 409, 'INSUFFICIENT_STOCK')
    expect(await stockOf(productId)).to.equal(100)
    expect(await expectConserved(world.knex, id)).to.equal(0)
    expect(await world.scripts.countUnits({ eventId: id })).to.include({ granted: 0, stock: 0 })
  })
})

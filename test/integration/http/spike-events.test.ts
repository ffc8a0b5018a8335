import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount, createBuyers, type Account } from '../../factories/accounts.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { draftOf, inHours, type EventData } from '../../support/events.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

const HOUR_MS = 3_600_000

describe('running a sale over HTTP', () => {
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

  const create = (json: unknown) => api<EventData>('POST', '/spike-events', { token: admin.token, json })
  const act = (id: string, action: string): Promise<Reply<EventData>> =>
    api<EventData>('POST', `/spike-events/${id}/${action}`, { token: admin.token })
  const stockOf = async (productId: string): Promise<number> =>
    (await world.knex('inventory').where({ product_id: productId }).first('stock')).stock

  it('begins with a draft that takes no stock, has its defaults, and is shown to no buyer', async () => {
    const productId = await createProduct(world, 100)
    const reply = await create(draftOf(productId))
    expect(reply.status, reply.text).to.equal(201)
    const { id } = reply.body.data
    expect(reply.headers.get('location')).to.equal(`/api/v1/spike-events/${id}`)
    expect(reply.body.data).to.include({
      product_id: productId,
      state: 'draft',
      stock: 10,
      remaining: null,
      spike_price: 500,
      per_user_limit: 1,
      lapse_limit: 1,
      currency: 'CNY',
      version: 1,
    })
    expect(reply.headers.get('etag')).to.equal('"1.draft.null"')
    expect(await stockOf(productId)).to.equal(100)
    expectRefusal(await api('GET', `/spike-events/${id}`), 404, 'NOT_FOUND')
  })

  it('goes draft, live, paused, live, ended, and moves the stock there and back', async () => {
    const productId = await createProduct(world, 100)
    const { id } = (await create(draftOf(productId, { stock: 30 }))).body.data
    const steps: [string, string][] = [
      ['publish', 'live'],
      ['pause', 'paused'],
      ['resume', 'live'],
      ['end', 'ended'],
    ]
    for (const [action, state] of steps) {
      const reply = await act(id, action)
      expect(reply.status, reply.text).to.equal(200)
      expect(reply.body.data.state).to.equal(state)
      const seen = await api<EventData>('GET', `/spike-events/${id}`)
      expect(seen.body.data).to.include({ state, remaining: action === 'end' ? 0 : 30 })
      expect(seen.headers.get('etag'), 'the answer of the action is the event').to.equal(
        reply.headers.get('etag'),
      )
      expect(await stockOf(productId)).to.equal(action === 'end' ? 100 : 70)
    }
    const sum = await world.knex('inventory_movements').where({ product_id: productId }).sum('delta')
    expect(sum).to.deep.equal([{ sum: 100 }])
  })

  it('shows a sale of tomorrow as published, and the list with what remains of each', async () => {
    const eventId = await createSale(world, { startAt: new Date(Date.now() + HOUR_MS / 2), stock: 7 })
    const live = await createSale(world, { stock: 5 })
    const [buyer] = await createBuyers(world, 1)
    if (buyer !== undefined) await buy(api, live, buyer)
    const { data } = (await api<{ items: EventData[]; total: number }>('GET', '/spike-events?page_size=100'))
      .body
    const found = Object.fromEntries(
      data.items.map((event) => [event.id, `${event.state} ${event.remaining}`]),
    )
    expect(found).to.include({ [eventId]: 'published 7', [live]: 'live 4' })
    expect(data.total).to.equal(data.items.length)
    const second = await api<{ items: EventData[] }>('GET', '/spike-events?page=2&page_size=1')
    expect(second.body.data.items.map((event) => event.id)).to.deep.equal([data.items[1]?.id])
  })

  it('refuses what does not fit the state, names the state, and changes nothing', async () => {
    const draft = await createDraft(world)
    const live = await createSale(world)
    const paused = await createSale(world)
    await act(paused, 'pause')
    const ended = await createSale(world)
    await act(ended, 'end')
    const wrong: [string, string, string[]][] = [
      [draft, 'draft', ['pause', 'resume', 'end']],
      [live, 'published', ['publish', 'resume']],
      [paused, 'paused', ['publish', 'pause']],
      [ended, 'ended', ['publish', 'pause', 'resume', 'end']],
    ]
    const before = await stateOf(world, draft, live, paused, ended)
    for (const [id, state, actions] of wrong)
      for (const action of actions) {
        const reply = await act(id, action)
        expectRefusal(reply, 409, 'WRONG_STATE')
        expect(reply.body.data, action).to.deep.equal({ state })
      }
    expect(await stateOf(world, draft, live, paused, ended)).to.deep.equal(before)
  })

  it('publishes once when ten admins press the button together', async () => {
    const productId = await createProduct(world, 100)
    const id = await createDraft(world, { productId, stock: 10 })
    const replies = await Promise.all(Array.from({ length: 10 }, () => act(id, 'publish')))
    expect(replies.map((reply) => reply.status).toSorted()).to.deep.equal([200, ...Array(9).fill(409)])
    expect(await stockOf(productId)).to.equal(90)
    expect(await world.redis.get(`{spike:${id}}:stock`)).to.equal('10')
  })

  it('refuses to publish more than the inventory has, or a window that is over', async () => {
    const productId = await createProduct(world, 9)
    const greedy = await createDraft(world, { productId, stock: 10 })
    const late = await createDraft(world, {
      startAt: new Date(Date.now() - 2 * HOUR_MS),
      endAt: new Date(Date.now() - HOUR_MS),
    })
    const before = await stateOf(world, greedy, late)
    expectRefusal(await act(greedy, 'publish'), 409, 'INSUFFICIENT_STOCK')
    expectRefusal(await act(late, 'publish'), 409, 'SALE_ENDED')
    expect(await stateOf(world, greedy, late)).to.deep.equal(before)
  })

  it('says 404 for events and products that do not exist', async () => {
    for (const action of ['publish', 'pause', 'resume', 'end'])
      expectRefusal(await act(randomUUID(), action), 404, 'NOT_FOUND')
    expectRefusal(await create(draftOf(randomUUID())), 404, 'NOT_FOUND')
    const productId = await createProduct(world)
    await world.knex('products').where({ id: productId }).update({ deleted_at: new Date() })
    const refused = await create(draftOf(productId))
    expectRefusal(refused, 404, 'NOT_FOUND')
    expect(refused.body.data).to.deep.equal({ product_id: productId })
  })

  it('publishes no draft of a product that was deleted', async () => {
    const productId = await createProduct(world)
    const id = await createDraft(world, { productId })
    await world.knex('products').where({ id: productId }).update({ deleted_at: new Date() })
    const before = await stateOf(world, id)
    const reply = await act(id, 'publish')
    expectRefusal(reply, 404, 'NOT_FOUND')
    expect(reply.body.data).to.deep.equal({ product_id: productId })
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  it('takes every number up to its bounds', async () => {
    const productId = await createProduct(world)
    const bounds = {
      spike_price: [0, 1_000_000_000_000],
      stock: [1, 1_000_000],
      payment_window_s: [1, 86_400],
      per_user_limit: [1, 100],
      lapse_limit: [0, 100],
    }
    for (const [field, values] of Object.entries(bounds))
      for (const value of values) {
        const reply = await create(draftOf(productId, { [field]: value }))
        expect(reply.status, reply.text).to.equal(201)
        expect(reply.body.data).to.include({ [field]: value })
      }
  })

  it('refuses drafts that make no sense, naming the field', async () => {
    const productId = await createProduct(world)
    const bad: Record<string, unknown[]> = {
      product_id: ['1', null, undefined, { $ne: null }],
      start_at: ['tomorrow', '2026-13-01T00:00:00Z', '2026-01-01', '1999-12-31T23:59:59Z', 0, null],
      end_at: [inHours(-1.5), inHours(-1), '9999-12-31T23:59:59-00:01', '', undefined],
      spike_price: [-1, 1.5, '500', null, 1_000_000_000_001, 2 ** 53],
      stock: [0, -1, 1.5, 1_000_001, '10', null],
      payment_window_s: [0, -1, 86_401, 1.5, null],
      per_user_limit: [0, 101, 1.5, '1'],
      lapse_limit: [-1, 101, 0.5],
      status: ['published'],
      epoch: [9],
      granted: [1_000],
    }
    const before = await stateOf(world)
    for (const [field, values] of Object.entries(bad))
      for (const value of values) {
        const reply = await create(draftOf(productId, { [field]: value }))
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
        expect(JSON.stringify(reply.body.data), `${field}: ${String(value)}`).to.include(field)
      }
    expectRefusal(await create([draftOf(productId)]), 400, 'VALIDATION_FAILED')
    expect(await stateOf(world)).to.deep.equal(before)
  })
})

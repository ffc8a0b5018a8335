import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { moveInventory } from '../../../src/products/inventory.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createProduct } from '../../factories/sales.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

interface Inventory {
  product_id: string
  stock: number
  version: number
  updated_at: string
}

interface Movement {
  id: string
  product_id: string
  delta: number
  reason: string
  reference: string | null
  actor_id: string | null
  created_at: string
}

const MAX = 100_000_000

describe('the inventory over HTTP', () => {
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

  const adjust = (id: string, delta: unknown, reason: unknown = 'counted'): Promise<Reply<Inventory>> =>
    api('POST', `/products/${id}/inventory/adjustments`, { token: admin.token, json: { delta, reason } })
  const ledger = (id: string, query = '') =>
    api<{ items: Movement[]; total: number; page: number; page_size: number }>(
      'GET',
      `/products/${id}/inventory/adjustments${query}`,
      { token: admin.token },
    )

  async function read(id: string): Promise<Inventory> {
    const reply = await api<Inventory>('GET', `/products/${id}/inventory`)
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data
  }

  /** The stock, which has to be what the ledger adds up to. */
  async function stockOf(id: string): Promise<number> {
    const { stock } = await read(id)
    const sum = await world.knex('inventory_movements').where('product_id', id).sum({ sum: 'delta' }).first()
    expect(Number(sum?.sum), 'sum of the ledger').to.equal(stock)
    return stock
  }

  it('is told to anyone', async () => {
    const id = await createProduct(world, 12)
    const { updated_at, ...inventory } = await read(id)
    expect(inventory).to.deep.equal({ product_id: id, stock: 12, version: 1 })
    expect(Date.parse(updated_at)).to.be.a('number').that.is.not.NaN
    expectRefusal(await api('GET', `/products/${randomUUID()}/inventory`), 404, 'NOT_FOUND')
    expectRefusal(await api('GET', '/products/x/inventory'), 400, 'VALIDATION_FAILED')
  })

  it('is adjusted by rows of a ledger, and told as it is afterwards', async () => {
    const id = await createProduct(world, 10)
    const more = await api<Inventory>('POST', `/products/${id}/inventory/adjustments`, {
      token: admin.token,
      json: { delta: 90, reason: 'delivery № 7 🚚' },
      headers: { 'x-request-id': 'adjust-by-90' },
    })
    expect(more.status, more.text).to.equal(201)
    expect(more.body.data).to.include({ product_id: id, stock: 100, version: 2 })
    expect(more.body.data).to.deep.equal(await read(id))
    const less = await adjust(id, -30, 'broken')
    expect(less.body.data).to.include({ stock: 70, version: 3 })
    expect(await stockOf(id)).to.equal(70)
    const { items, total } = (await ledger(id)).body.data
    expect(total).to.equal(3)
    expect(items.map(({ delta, reason }) => [delta, reason])).to.deep.equal([
      [-30, 'broken'],
      [90, 'delivery № 7 🚚'],
      [10, 'test'],
    ])
    expect(items[1]).to.include({ product_id: id, reference: null, actor_id: admin.id })
    const audit = await world.knex('audit_log').where('target', id).orderBy('id')
    expect(audit).to.have.length(2)
    expect(audit[0]).to.deep.include({
      action: 'inventory.adjust',
      actor_id: admin.id,
      request_id: 'adjust-by-90',
      before: { stock: 10 },
      after: { stock: 100, delta: 90, reason: 'delivery № 7 🚚' },
    })
  })

  it('never goes below 0', async () => {
    const id = await createProduct(world, 10)
    expectRefusal(await adjust(id, -11), 409, 'INSUFFICIENT_STOCK')
    expectRefusal(await adjust(id, -MAX), 409, 'INSUFFICIENT_STOCK')
    expect((await adjust(id, -10)).body.data).to.include({ stock: 0 })
    expectRefusal(await adjust(id, -1), 409, 'INSUFFICIENT_STOCK')
    expect(await stockOf(id)).to.equal(0)
    expect((await ledger(id)).body.data.total).to.equal(2)
    expect(await world.knex('audit_log').where('target', id)).to.have.length(1)
  })

  it('never goes above 100,000,000', async () => {
    const id = await createProduct(world, 10)
    expectRefusal(await adjust(id, MAX - 9), 409, 'STOCK_LIMIT')
    expectRefusal(await adjust(id, MAX), 409, 'STOCK_LIMIT')
    expect((await adjust(id, MAX - 10)).body.data).to.include({ stock: MAX })
    expectRefusal(await adjust(id, 1), 409, 'STOCK_LIMIT')
    expect(await stockOf(id)).to.equal(MAX)
  })

  it('takes units back above that, so that none is ever lost, as long as they can be counted', async () => {
    const id = await createProduct(world, MAX)
    const move = (delta: number) =>
      world.knex.transaction((trx) => moveInventory(trx, { productId: id, delta, reason: 'returned' }))
    expect(await move(50)).to.equal(true)
    expectRefusal(await adjust(id, 1), 409, 'STOCK_LIMIT')
    expect((await adjust(id, -10)).body.data).to.include({ stock: MAX + 40 })
    expect(await move(2_147_483_647 - MAX - 40)).to.equal(true)
    expect(await move(1)).to.equal(false)
    expect(await move(2_147_483_647)).to.equal(false)
    expect(await stockOf(id)).to.equal(2_147_483_647)
  })

  it('adds up after 100 adjustments at once', async () => {
    const id = await createProduct(world, 50)
    const deltas = Array.from({ length: 100 }, (_, i) => (i % 2 ? 1 : -1) * ((i % 7) + 1))
    const replies = await Promise.all(deltas.map((delta) => adjust(id, delta)))
    let expected = 50
    replies.forEach((reply, i) => {
      if (reply.status === 201) expected += deltas[i] ?? 0
      else expectRefusal(reply, 409, 'INSUFFICIENT_STOCK')
    })
    const done = replies.filter((reply) => reply.status === 201)
    expect(await stockOf(id)).to.equal(expected)
    expect((await read(id)).version).to.equal(1 + done.length)
    expect(
      new Set(done.map((reply) => reply.body.data.version)).size,
      'answers of one version each',
    ).to.equal(done.length)
    expect((await ledger(id)).body.data.total).to.equal(1 + done.length)
    expect(await world.knex('audit_log').where('target', id)).to.have.length(done.length)
  })

  it('gives the last 10 units out 10 times, to 30 who ask at once', async () => {
    const id = await createProduct(world, 10)
    const replies = await Promise.all(Array.from({ length: 30 }, () => adjust(id, -1)))
    expect(replies.filter((reply) => reply.status === 201)).to.have.length(10)
    for (const reply of replies) if (reply.status !== 201) expectRefusal(reply, 409, 'INSUFFICIENT_STOCK')
    expect(await stockOf(id)).to.equal(0)
    const audit = await world.knex('audit_log').where('target', id).orderBy('id')
    const told = audit.map(({ before, after }) => `${before.stock} -> ${after.stock}`)
    expect(told).to.have.members(Array.from({ length: 10 }, (_, i) => `${10 - i} -> ${9 - i}`))
  })

  it('refuses adjustments that are none, of products that are none', async () => {
    const id = await createProduct(world, 10)
    for (const delta of [0, -0, 1.5, '1', null, undefined, MAX + 1, -MAX - 1, 2 ** 53, [1], {}, true])
      expectRefusal(await adjust(id, delta), 400, 'VALIDATION_FAILED')
    for (const reason of ['', ' ', 'x'.repeat(201), null, 5, 'a\u0000b', 'a\r\nb', '\ud800'])
      expectRefusal(await adjust(id, 1, reason), 400, 'VALIDATION_FAILED')
    const path = `/products/${id}/inventory/adjustments`
    for (const json of [{}, { delta: 1 }, { reason: 'x' }, { delta: 1, reason: 'x', stock: 9 }, []])
      expectRefusal(await api('POST', path, { token: admin.token, json }), 400, 'VALIDATION_FAILED')
    const huge = { token: admin.token, raw: '{"delta":1e309,"reason":"x"}' }
    expectRefusal(await api('POST', path, huge), 400, 'VALIDATION_FAILED')
    expectRefusal(await adjust(randomUUID(), 1), 404, 'NOT_FOUND')
    expectRefusal(await adjust('x', 1), 400, 'VALIDATION_FAILED')
    expect(await stockOf(id)).to.equal(10)
  })

  it('deals its ledger out in pages, the newest first', async () => {
    const id = await createProduct(world, 100)
    for (let i = 1; i <= 8; i++) await adjust(id, -i, `step ${i}`)
    const pages = await Promise.all([1, 2, 3, 4].map((n) => ledger(id, `?page=${n}&page_size=4`)))
    expect(pages.map(({ body }) => body.data.items.length)).to.deep.equal([4, 4, 1, 0])
    expect(pages.flatMap(({ body }) => body.data.items.map(({ delta }) => delta))).to.deep.equal([
      -8, -7, -6, -5, -4, -3, -2, -1, 100,
    ])
    expect(pages[1]?.body.data).to.include({ page: 2, page_size: 4, total: 9 })
    for (const query of ['?page=0', '?page_size=101', '?sort=delta,asc', '?actor_id=1'])
      expectRefusal(await ledger(id, query), 400, 'VALIDATION_FAILED')
    expectRefusal(await ledger(randomUUID()), 404, 'NOT_FOUND')
    expectRefusal(await ledger('x'), 400, 'VALIDATION_FAILED')
  })
})

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { expectRefusal } from '../../support/http.ts'
import { newSku, openShop, type ProductBody, type Shop } from '../../support/products.ts'
import type { World } from '../../support/world.ts'

describe('products, made over HTTP', () => {
  let shop: Shop

  before(async () => {
    shop = await openShop()
  })
  after(() => shop.world.close())

  const rowsOf = async (world: World, table: string): Promise<number> =>
    Number((await world.knex(table).count({ n: '*' }).first())?.n)

  describe('POST /products', () => {
    it('makes a product with its units, and says where it is and which version', async () => {
      const sku = newSku()
      const fields = { sku, name: 'Phone', description: 'flat', price: 499_900, currency: 'USD' }
      const reply = await shop.post({ ...fields, stock: 25 }, { 'x-request-id': 'make-a-product' })
      expect(reply.status, reply.text).to.equal(201)
      const { data } = reply.body
      expect(data).to.include({ ...fields, version: 1 })
      expect(data.updated_at).to.equal(data.created_at)
      expect(reply.headers.get('etag')).to.equal('"1"')
      expect(reply.headers.get('location')).to.equal(`/api/v1/products/${data.id}`)
      expect((await shop.read(data.id)).body.data).to.deep.equal(data)
      const movements = await shop.world.knex('inventory_movements').where('product_id', data.id)
      expect(movements).to.have.length(1)
      expect(movements[0]).to.include({ delta: 25, reason: 'initial stock', actor_id: shop.admin.id })
      expect(await shop.world.knex('inventory').where('product_id', data.id).first('stock')).to.deep.equal({
        stock: 25,
      })
      expect(await shop.auditOf(data.id)).to.deep.equal([
        {
          action: 'product.create',
          actor_id: shop.admin.id,
          request_id: 'make-a-product',
          before: null,
          after: { ...fields, stock: 25 },
        },
      ])
    })

    it('needs no more than a SKU, a name and a price', async () => {
      const product = await shop.make()
      expect(product).to.include({ description: '', currency: 'CNY', price: 500 })
      const inventory = await shop.api('GET', `/products/${product.id}/inventory`)
      expect(inventory.body.data).to.include({ product_id: product.id, stock: 0, version: 1 })
      expect(await shop.world.knex('inventory_movements').where('product_id', product.id)).to.deep.equal([])
    })

    it('takes every field up to its limit', async () => {
      const fields = {
        sku: `L-${randomUUID()}`.padEnd(64, 'x'),
        name: '名'.repeat(200),
        description: 'd'.repeat(5_000),
        price: 1_000_000_000_000,
      }
      const most = await shop.make({ ...fields, stock: 100_000_000 })
      expect(most).to.include(fields)
      const inventory = await shop.api('GET', `/products/${most.id}/inventory`)
      expect(inventory.body.data).to.include({ stock: 100_000_000 })
      await shop.remove((await shop.make({ sku: '0', name: 'x', price: 0, stock: 0 })).id, 1)
    })

    it('refuses a second product of one SKU, also when the first is deleted', async () => {
      const sku = newSku()
      const { id } = await shop.make({ sku })
      const before = await rowsOf(shop.world, 'audit_log')
      expectRefusal(await shop.post({ sku, name: 'Other', price: 1 }), 409, 'SKU_TAKEN')
      expect((await shop.remove(id, 1)).status).to.equal(204)
      expectRefusal(await shop.post({ sku, name: 'Other', price: 1 }), 409, 'SKU_TAKEN')
      expect(await rowsOf(shop.world, 'audit_log'), 'audit rows but that of the deletion').to.equal(
        before + 1,
      )
    })

    it('makes one product of 20 that come at once with one SKU', async () => {
      const sku = newSku()
      const replies = await Promise.all(
        Array.from({ length: 20 }, (_, i) => shop.post({ sku, name: `No. ${i}`, price: i, stock: 1 })),
      )
      const told = replies.map((reply) => reply.body.error ?? reply.status)
      expect(told.filter((one) => one === 201)).to.have.length(1)
      expect(told.filter((one) => one === 'SKU_TAKEN')).to.have.length(19)
      expect(await shop.world.knex('products').where({ sku }).count({ n: '*' })).to.deep.equal([{ n: 1 }])
    })

    it('refuses fields that are wrong, and names them', async () => {
      const good = { sku: newSku(), name: 'Thing', price: 500 }
      const bad: [string, unknown][] = [
        ...['', ' ', 'a b', '-a', 'ä', 'a\n', 'x'.repeat(65), 'a/b', null, 1, ['a']].map(
          (sku): [string, unknown] => ['sku', sku],
        ),
        ...['', '   ', 'x'.repeat(201), null, 5, {}].map((name): [string, unknown] => ['name', name]),
        ...['x'.repeat(5_001), null, 5].map((text): [string, unknown] => ['description', text]),
        ...[-1, 1.5, '500', null, 1e15, true].map((price): [string, unknown] => ['price', price]),
        ...['cny', 'CN', 'CNYX', '', null].map((currency): [string, unknown] => ['currency', currency]),
        ...[-1, 1.5, '5', null, 100_000_001].map((stock): [string, unknown] => ['stock', stock]),
      ]
      const before = await rowsOf(shop.world, 'products')
      for (const [field, value] of bad) {
        const reply = await shop.post({ ...good, [field]: value })
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
        expect(reply.body.data.fields?.map((one) => one.field)).to.include(field)
      }
      for (const field of ['sku', 'name', 'price'])
        expectRefusal(await shop.post({ ...good, [field]: undefined }), 400, 'VALIDATION_FAILED')
      for (const more of [{ id: randomUUID() }, { version: 9 }, { deleted_at: null }, { created_at: 'now' }])
        expectRefusal(await shop.post({ ...good, ...more }), 400, 'VALIDATION_FAILED')
      for (const raw of ['[]', '"x"', '{"sku":', '', 'null'])
        expectRefusal(
          await shop.api('POST', '/products', { token: shop.admin.token, raw }),
          400,
          'VALIDATION_FAILED',
        )
      expect(await rowsOf(shop.world, 'products')).to.equal(before)
    })
  })

  describe('text', () => {
    const TEXTS = {
      'right to left': 'שלום עולם \u202eevil\u202c مرحبا',
      'zero width': 'a\u200bb\u200cc\u200dd\ufeffe\u2060',
      emoji: '👩‍👩‍👧‍👦 🏳️‍🌈 🚀',
      'four bytes': '𝒻𝓁𝒶𝓈𝒽 𠮷野家 \u{10ffff}',
      'two forms of one letter': 'é e\u0301',
      markup: `<script>alert(1)</script> & "quotes" 'and' \\ {{x}} $\{y} %s`,
      'spaces at both ends': '  kept \n as it came  ',
      'line separators': 'a\u2028b\u2029c',
    }
    for (const [kind, text] of Object.entries(TEXTS))
      it(`comes back byte for byte: ${kind}`, async () => {
        const made = await shop.make({ name: text, description: text })
        expect(made).to.include({ name: text, description: text })
        const { body } = await shop.patch(made.id, 1, { name: `${text}!`, description: `${text}!` })
        expect(body.data).to.include({ name: `${text}!`, description: `${text}!` })
        for (let i = 0; i < 2; i++)
          expect((await shop.read(made.id)).body.data).to.include({
            name: `${text}!`,
            description: `${text}!`,
          })
        const { items } = (
          await shop.api<{ items: ProductBody[] }>('GET', `/products?q=${encodeURIComponent(made.sku)}`)
        ).body.data
        expect(items[0]).to.include({ name: `${text}!` })
      })

    it('that is none is refused', async () => {
      const { id } = await shop.make()
      const bad = [
        '\\u0000',
        'a\\u0000b',
        '\\ud800',
        '\\udc00\\ud800',
        'a\\u001b[31m',
        '\\r\\nX: y',
        '\\t',
        '\\u007f',
        '\\u0085',
        '\\u009b31m',
      ]
      for (const text of bad)
        for (const field of ['name', 'description']) {
          const raw = `{"sku":"${newSku()}","name":"n","price":1,"${field}":"${text}"}`
          expectRefusal(
            await shop.api('POST', '/products', { token: shop.admin.token, raw }),
            400,
            'VALIDATION_FAILED',
          )
          const change = {
            token: shop.admin.token,
            raw: `{"${field}":"${text}"}`,
            headers: { 'if-match': '"1"' },
          }
          expectRefusal(await shop.api('PATCH', `/products/${id}`, change), 400, 'VALIDATION_FAILED')
        }
      expect((await shop.read(id)).body.data).to.include({ version: 1, name: 'Thing' })
    })
  })
})

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { expectRefusal } from '../../support/http.ts'
import { newSku, openShop, type Shop } from '../../support/products.ts'

describe('products, read and changed by version', () => {
  let shop: Shop

  before(async () => {
    shop = await openShop()
  })
  after(() => shop.world.close())

  describe('GET /products/:id', () => {
    it('gives the product with its version as ETag', async () => {
      const product = await shop.make()
      const reply = await shop.read(product.id)
      expect(reply.status, reply.text).to.equal(200)
      expect(reply.headers.get('etag')).to.equal('"1"')
      expect(reply.body.data).to.deep.equal(product)
      expect((await shop.read(product.id.toUpperCase())).body.data).to.deep.equal(product)
    })

    it('answers 304 without a body when If-None-Match names the version, in every form of the header', async () => {
      const { id } = await shop.make()
      for (const header of ['"1"', 'W/"1"', '*', '"0", "1"', 'W/"x" ,W/"1",  "2"', '"0",*']) {
        const reply = await shop.read(id, header)
        expect(reply.status, header).to.equal(304)
        expect(reply.text).to.equal('')
        expect(reply.headers.get('etag')).to.equal('"1"')
        expect(reply.headers.get('content-type')).to.equal(null)
      }
    })

    it('answers 200 when If-None-Match names other versions or nothing that is one', async () => {
      const { id } = await shop.make()
      for (const header of ['"2"', '1', '"1', 'W/1', '"11"', '', '"2", "3"', '""', 'w/"1"'])
        expect((await shop.read(id, header)).status, header).to.equal(200)
      await shop.patch(id, 1, { price: 1 })
      expect((await shop.read(id, '"1"')).status).to.equal(200)
      expect((await shop.read(id, '"2"')).status).to.equal(304)
    })

    it('answers HEAD with the same headers', async () => {
      const { id } = await shop.make()
      const reply = await shop.api('HEAD', `/products/${id}`)
      expect(reply).to.include({ status: 200, text: '' })
      expect(reply.headers.get('etag')).to.equal('"1"')
    })

    it('answers 404 for what is unknown, whatever is asked of it, and 400 for what is no id', async () => {
      for (const header of [undefined, '*', '"1"'])
        expectRefusal(await shop.read(randomUUID(), header), 404, 'NOT_FOUND')
      for (const id of ['1', 'x', `${randomUUID()}x`, `{spike:1}`, '*', encodeURIComponent("' OR 1=1")])
        expectRefusal(await shop.read(id), 400, 'VALIDATION_FAILED')
    })
  })

  describe('PATCH /products/:id', () => {
    it('changes what it names and nothing else, and raises the version', async () => {
      const made = await shop.make({ description: 'before' })
      const reply = await shop.patch(made.id, 1, { name: 'Renamed', price: 7 })
      expect(reply.status, reply.text).to.equal(200)
      expect(reply.headers.get('etag')).to.equal('"2"')
      const { updated_at, ...data } = reply.body.data
      const { updated_at: madeAt, ...old } = made
      expect(data).to.deep.equal({ ...old, name: 'Renamed', price: 7, version: 2 })
      expect(Date.parse(updated_at)).to.be.at.least(Date.parse(madeAt))
      expect((await shop.read(made.id)).body.data).to.deep.equal(reply.body.data)
      expect((await shop.auditOf(made.id)).at(-1)).to.deep.include({
        action: 'product.patch',
        actor_id: shop.admin.id,
        before: { name: 'Thing', price: 500 },
        after: { name: 'Renamed', price: 7 },
      })
    })

    it('refuses another version with 412, and a request without one with 428', async () => {
      const { id } = await shop.make()
      for (const header of [2, 0, 99_999_999_999, 'W/"2"', 'w/"1"', '1', '"x"', '"1", "2"', '"-1"'])
        expectRefusal(await shop.patch(id, header, { price: 1 }), 412, 'PRECONDITION_FAILED')
      expectRefusal(
        await shop.api('PATCH', `/products/${id}`, { token: shop.admin.token, json: { price: 1 } }),
        428,
        'PRECONDITION_REQUIRED',
      )
      expect((await shop.read(id)).body.data).to.include({ version: 1, price: 500 })
      expect(await shop.auditOf(id)).to.have.length(1)
    })

    it('takes the weak form, which proxies that compress make of an ETag', async () => {
      const { id } = await shop.make()
      expect((await shop.patch(id, 'W/"1"', { price: 2 })).body.data).to.include({ version: 2, price: 2 })
      expect((await shop.remove(id, 'W/"2"')).status).to.equal(204)
    })

    it('takes * for any version', async () => {
      const { id } = await shop.make()
      await shop.patch(id, 1, { price: 1 })
      expect((await shop.patch(id, '*', { price: 2 })).body.data).to.include({ version: 3, price: 2 })
    })

    it('lets exactly one of many win that have seen the same version', async () => {
      const { id } = await shop.make()
      for (let version = 1; version <= 5; version++) {
        const replies = await Promise.all(
          Array.from({ length: 10 }, (_, i) => shop.patch(id, version, { name: `v${version} by ${i}` })),
        )
        const winners = replies.filter((reply) => reply.status === 200)
        expect(winners).to.have.length(1)
        for (const reply of replies)
          if (reply.status !== 200) expectRefusal(reply, 412, 'PRECONDITION_FAILED')
        expect((await shop.read(id)).body.data).to.deep.equal(winners[0]?.body.data)
      }
      expect(await shop.auditOf(id)).to.have.length(6)
    })

    it('changes the SKU unless another product has or had it', async () => {
      const [taken, gone, product] = [await shop.make(), await shop.make(), await shop.make()]
      await shop.remove(gone.id, 1)
      for (const { sku } of [taken, gone])
        expectRefusal(await shop.patch(product.id, 1, { sku }), 409, 'SKU_TAKEN')
      expect((await shop.patch(product.id, 1, { sku: product.sku })).body.data).to.include({ version: 2 })
      const sku = newSku()
      expect((await shop.patch(product.id, 2, { sku })).body.data).to.include({ sku, version: 3 })
    })

    it('refuses what changes nothing, and what may not be changed', async () => {
      const { id } = await shop.make()
      const bad: object[] = [{}, { currency: 'USD' }, { stock: 5 }, { version: 9 }, { id: randomUUID() }]
      for (const json of [...bad, { deleted_at: null }, { price: -1 }, { price: '1' }, { name: null }, []])
        expectRefusal(await shop.patch(id, 1, json), 400, 'VALIDATION_FAILED')
      const bare = { token: shop.admin.token, headers: { 'if-match': '"1"' } }
      expectRefusal(await shop.api('PATCH', `/products/${id}`, bare), 400, 'VALIDATION_FAILED')
      expectRefusal(await shop.patch(randomUUID(), 1, { price: 1 }), 404, 'NOT_FOUND')
      expectRefusal(await shop.patch('x', 1, { price: 1 }), 400, 'VALIDATION_FAILED')
    })
  })
})

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { endSale, pauseSale } from '../../../src/sale.ts'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { createEvent } from '../../../src/spike-events/transitions.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { expectRefusal } from '../../support/http.ts'
import { openShop, type Shop } from '../../support/products.ts'
import { until } from '../../support/wait.ts'

describe('DELETE /products/:id', () => {
  let shop: Shop

  before(async () => {
    shop = await openShop()
  })
  after(() => shop.world.close())

  it('takes a product out of everything that sells, for good', async () => {
    const { id, sku } = await shop.make({ stock: 5 })
    await shop.read(id)
    const reply = await shop.remove(id, 1)
    expect(reply).to.include({ status: 204, text: '' })
    for (let i = 0; i < 2; i++) expectRefusal(await shop.read(id), 404, 'NOT_FOUND')
    expectRefusal(await shop.read(id, '"1"'), 404, 'NOT_FOUND')
    const found = await shop.api<{ total: number }>('GET', `/products?q=${sku}`)
    expect(found.body.data.total).to.equal(0)
    for (const path of ['inventory', 'inventory/adjustments'])
      expectRefusal(
        await shop.api('GET', `/products/${id}/${path}`, { token: shop.admin.token }),
        404,
        'NOT_FOUND',
      )
    const adjust = { token: shop.admin.token, json: { delta: 1, reason: 'none' } }
    expectRefusal(await shop.api('POST', `/products/${id}/inventory/adjustments`, adjust), 404, 'NOT_FOUND')
    expectRefusal(await shop.patch(id, '*', { price: 1 }), 404, 'NOT_FOUND')
    expectRefusal(await shop.remove(id, '*'), 404, 'NOT_FOUND')
    expect(await newDraftOf(id)).to.equal('no_product')
    expect((await shop.auditOf(id)).at(-1)).to.deep.include({
      action: 'product.delete',
      actor_id: shop.admin.id,
      before: { sku, name: 'Thing' },
      after: null,
    })
  })

  it('refuses another version with 412, one that is missing with 428, and what is unknown with 404', async () => {
    const { id } = await shop.make()
    for (const header of [2, 'W/"2"', 'x'])
      expectRefusal(await shop.remove(id, header), 412, 'PRECONDITION_FAILED')
    expectRefusal(
      await shop.api('DELETE', `/products/${id}`, { token: shop.admin.token }),
      428,
      'PRECONDITION_REQUIRED',
    )
    expectRefusal(await shop.remove(randomUUID(), 1), 404, 'NOT_FOUND')
    expect((await shop.read(id)).status).to.equal(200)
  })

  it('is done once when it is asked for 10 times at once', async () => {
    const { id } = await shop.make()
    const replies = await Promise.all(Array.from({ length: 10 }, () => shop.remove(id, 1)))
    expect(replies.filter((reply) => reply.status === 204)).to.have.length(1)
    for (const reply of replies) if (reply.status !== 204) expectRefusal(reply, 404, 'NOT_FOUND')
    expect(await shop.auditOf(id)).to.have.length(2)
  })

  it('is refused while a spike event of it is a draft, on sale or paused, not when all have ended', async () => {
    const { id } = await shop.make({ stock: 100 })
    const refused = async (eventId: string): Promise<void> => {
      const reply = await shop.remove(id, 1)
      expectRefusal(reply, 409, 'WRONG_STATE')
      expect(reply.body.data).to.deep.equal({ spike_event_id: eventId })
      expect((await shop.read(id)).status).to.equal(200)
    }
    const eventId = await createSale(shop.world, { productId: id })
    await refused(eventId)
    await pauseSale(shop.world, eventId, SYSTEM)
    await refused(eventId)
    await endSale(shop.world, eventId, SYSTEM)
    const draft = await createDraft(shop.world, { productId: id })
    await refused(draft)
    await shop.world.knex('spike_events').where('id', draft).delete()
    expect((await shop.remove(id, 1)).status).to.equal(204)
  })

  it('never leaves a spike event of a deleted product when both come at once', async () => {
    for (let i = 0; i < 30; i++) {
      const { id } = await shop.make()
      const deletion = shop.remove(id, 1)
      for (let turn = 0; turn < i; turn++) await new Promise(setImmediate)
      const [drafted, deleted] = await Promise.all([newDraftOf(id), deletion])
      expect(`${deleted.status} ${drafted}`).to.be.oneOf(['204 no_product', '409 done'])
    }
  })

  it('waits for a spike event that is being made of it', async () => {
    const { id } = await shop.make()
    const draft = await shop.world.knex.transaction(async (trx) => {
      await trx('products').where({ id, deleted_at: null }).forShare().first('id')
      const deletion = shop.remove(id, 1)
      await until('the deletion to wait for the product', async () => {
        const { rows } = await shop.world.knex.raw(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
        return rows.length > 0
      })
      const times = { start_at: new Date(0), end_at: new Date() }
      const terms = { spike_price: 1, currency: 'CNY', stock: 1, payment_window_s: 60 }
      await trx('spike_events').insert({ id: randomUUID(), product_id: id, ...times, ...terms })
      return { deletion }
    })
    expectRefusal(await draft.deletion, 409, 'WRONG_STATE')
    expect((await shop.read(id)).status).to.equal(200)
  })

  /** @returns how the use case ends */
  async function newDraftOf(productId: string): Promise<string> {
    const hour = 3_600_000
    const input = {
      productId,
      startAt: new Date(Date.now() - hour),
      endAt: new Date(Date.now() + hour),
      spikePrice: 1,
      stock: 1,
      paymentWindowS: 60,
      perUserLimit: 1,
      lapseLimit: 1,
    }
    return (await createEvent(shop.world.knex, input, SYSTEM)).kind
  }
})

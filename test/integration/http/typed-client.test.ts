import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createShopClient } from '../../../client/index.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { createShop } from '../../support/shop.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the typed client', () => {
  let world: World

  before(async () => {
    world = await createWorld()
    await world.start('workers')
    await world.start('api')
  })
  after(() => world.close())

  it('logs in, finds a sale, buys, reads the verdict and the order', async () => {
    const eventId = await createSale(world)
    const { email, password } = await createAccount(world)
    const anonymous = createShop(world.apiUrl)
    const login = await anonymous.POST('/api/v1/auth/login', { body: { email, password } })
    const shop = createShop(world.apiUrl, login.data?.data.access_token)

    const sales = await shop.GET('/api/v1/spike-events', {
      params: { query: { page_size: 5, state: 'live' } },
    })
    expect(sales.data?.data.items.map((sale) => sale.id)).to.deep.equal([eventId])

    const bought = await shop.POST('/api/v1/spike-events/{id}/orders', {
      params: { path: { id: eventId }, header: { 'Idempotency-Key': 'once' } },
      body: { quantity: 1 },
    })
    const rid = bought.data?.data.reservation_id ?? ''
    const orderId = await until('the order', async () => {
      const { data } = await shop.GET('/api/v1/reservations/{rid}', { params: { path: { rid } } })
      return data?.data.status === 'ordered' && data.data.order_id
    })
    const order = await shop.GET('/api/v1/orders/{id}', { params: { path: { id: orderId } } })
    expect(order.data?.data).to.include({ id: orderId, status: 'pending', reservation_id: rid })
  })

  it('asks for the token before each request', async () => {
    const { id, token } = await createAccount(world)
    let present: string | undefined
    const shop = createShopClient(world.apiUrl, { token: () => present })
    expect((await shop.GET('/api/v1/users/me')).response.status).to.equal(401)
    present = token
    expect((await shop.GET('/api/v1/users/me')).data?.data.id).to.equal(id)
  })

  it('tells refusals by their names', async () => {
    const shop = createShop(world.apiUrl, (await createAccount(world)).token)
    const reply = await shop.POST('/api/v1/orders', {
      params: { header: { 'Idempotency-Key': 'x' } },
      body: { items: [{ product_id: '01890000-0000-7000-8000-000000000000', quantity: 1 }] },
    })
    expect([reply.response.status, reply.error?.error]).to.deep.equal([404, 'NOT_FOUND'])
    const { error } = await createShop(world.apiUrl).GET('/api/v1/users/me')
    expect([error?.error, error?.code]).to.deep.equal(['UNAUTHENTICATED', 40_100])
  })
})

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { expectRefusal, type Client } from '../support/http.ts'
import { atRest } from '../support/state.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks with requests that are repeated or stale', () => {
  let world: World
  let api: Client
  let buyers: LoadBuyer[]

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    buyers = await createBuyers(world, 20)
  })
  after(() => world.close())

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer

  attack('100 ordinary orders at once with one Idempotency-Key: one order', async () => {
    const productId = await createProduct(world, 100)
    const { access_token: token } = nextBuyer()
    const headers = { 'idempotency-key': randomUUID() }
    const json = { items: [{ product_id: productId, quantity: 1 }] }
    const replies = await Promise.all(
      Array.from({ length: 100 }, () => api<{ id: string }>('POST', '/orders', { token, headers, json })),
    )
    const made = replies.filter(({ status }) => status === 201)
    for (const reply of replies) if (reply.status !== 201) expectRefusal(reply, 409, 'IDEMPOTENCY_IN_FLIGHT')
    expect(new Set(made.map(({ body }) => body.data.id)).size).to.equal(1)
    expect(await world.knex('inventory').where({ product_id: productId }).first('stock')).to.deep.equal({
      stock: 99,
    })
  })

  attack('an Idempotency-Key used again for another body: 422', async () => {
    const [a, b] = [await createSale(world), await createSale(world)]
    const { access_token: token } = nextBuyer()
    const headers = { 'idempotency-key': randomUUID() }
    const first = await api('POST', `/spike-events/${a}/orders`, { token, headers, json: {} })
    expect(first.status).to.equal(202)
    await atRest(world, a)
    await unchanged(world, [a, b], async () => {
      for (const [path, json] of [
        [a, { quantity: 1 }],
        [b, {}],
      ] as const) {
        const reply = await api('POST', `/spike-events/${path}/orders`, { token, headers, json })
        expectRefusal(reply, 422, 'IDEMPOTENCY_MISMATCH')
      }
    })
  })

  attack('an Idempotency-Key used while its request is under way: 409', async () => {
    const productId = await createProduct(world, 100)
    const { access_token: token } = nextBuyer()
    const headers = { 'idempotency-key': randomUUID() }
    const json = { items: [{ product_id: productId, quantity: 1 }] }
    const ask = () => api('POST', '/orders', { token, headers, json })
    const lock = await world.knex.transaction()
    await lock('inventory').where({ product_id: productId }).forUpdate().select('product_id')
    const first = ask()
    try {
      await until('the first to wait for the lock', async () => {
        const { rows } = await world.knex.raw(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
        return rows.length > 0
      })
      expectRefusal(await ask(), 409, 'IDEMPOTENCY_IN_FLIGHT')
    } finally {
      await lock.rollback()
    }
    expect((await first).status).to.equal(201)
  })

  attack('the Idempotency-Key of another, to read the stored reply or to block it: independent', async () => {
    const eventId = await createSale(world)
    const [victim, thief] = [nextBuyer(), nextBuyer()]
    const headers = { 'idempotency-key': randomUUID() }
    const ask = ({ access_token: token }: LoadBuyer) =>
      api<{ reservation_id: string }>('POST', `/spike-events/${eventId}/orders`, { token, headers, json: {} })
    const theirs = await ask(victim)
    const stolen = await ask(thief)
    expect([theirs.status, stolen.status]).to.deep.equal([202, 202])
    expect(stolen.headers.get('idempotent-replayed')).to.equal(null)
    expect(stolen.body.data.reservation_id).to.not.equal(theirs.body.data.reservation_id)
    const rid = theirs.body.data.reservation_id
    expectRefusal(await api('GET', `/reservations/${rid}`, { token: thief.access_token }), 404, 'NOT_FOUND')
    await atRest(world, eventId)
  })

  attack('an Idempotency-Key of 10 KB, none at all, or of characters that are none: 400', async () => {
    const productId = await createProduct(world)
    const { access_token: token } = nextBuyer()
    const json = { items: [{ product_id: productId, quantity: 1 }] }
    await unchanged(world, [], async () => {
      for (const key of ['x'.repeat(10_000), 'x'.repeat(256), '""', 'clé', 'tab\there', '\u00a0\u00a0']) {
        const reply = await api('POST', '/orders', { token, json, headers: { 'idempotency-key': key } })
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
      }
      const bare = await api('POST', '/orders', { token, json })
      expectRefusal(bare, 400, 'IDEMPOTENCY_KEY_REQUIRED')
    })
  })

  attack('writes over a version that was never seen: 428 or 412', async () => {
    const productId = await createProduct(world)
    const { token } = await createAccount(world, 'admin')
    const patch = (headers: Record<string, string>) =>
      api('PATCH', `/products/${productId}`, { token, json: { price: 1 }, headers })
    await unchanged(world, [], async () => {
      expectRefusal(await patch({}), 428, 'PRECONDITION_REQUIRED')
      for (const tag of [
        '"0"',
        '"2"',
        '1',
        'W/"2"',
        '"1", "2"',
        '"1"x',
        '"-1"',
        '"1e0"',
        `"${'9'.repeat(40)}"`,
        '"*"',
      ])
        expectRefusal(await patch({ 'if-match': tag }), 412, 'PRECONDITION_FAILED')
    })
  })
})

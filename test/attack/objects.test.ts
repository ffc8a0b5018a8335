import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createDraft, createProduct, createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { order } from '../support/buying.ts'
import { expectRefusal, type Client } from '../support/http.ts'
import { atRest } from '../support/state.ts'
import { openStream } from '../support/streams.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks on what belongs to others', () => {
  let world: World
  let api: Client
  let draftId: string
  let eventId: string
  let productId: string
  let victim: LoadBuyer
  let thief: LoadBuyer
  let rid: string
  let orderId: string
  let admin: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    ;[victim, thief] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    admin = (await createAccount(world, 'admin')).token
    draftId = await createDraft(world)
    eventId = await createSale(world)
    productId = await createProduct(world)
    ;({ rid, orderId } = await order(api, eventId, victim))
    await atRest(world, eventId)
  })
  after(() => world.close())

  const asThief = (method: string, path: string, json?: unknown) =>
    api(method, path, { token: thief.access_token, json })
  const nothing = <T>(run: () => Promise<T>) => unchanged(world, [eventId], run)

  attack(
    'the order of another read, paid, cancelled or traced: 404, the same as for one that is not there',
    () =>
      nothing(async () => {
        for (const [method, path] of [
          ['GET', ''],
          ['GET', '/timeline'],
          ['POST', '/payments'],
          ['POST', '/cancel'],
        ] as const) {
          const theirs = await asThief(method, `/orders/${orderId}${path}`)
          const unknown = await asThief(method, `/orders/${randomUUID()}${path}`)
          expectRefusal(theirs, 404, 'NOT_FOUND')
          expect({ ...theirs.body, request_id: '' }).to.deep.equal({ ...unknown.body, request_id: '' })
        }
      }),
  )

  attack('the reservation of another, an unknown one or a forged one asked for: 404', () =>
    nothing(async () => {
      const forged = `${randomUUID().slice(0, -8)}${rid.slice(-8)}` // names the right event
      for (const id of [rid, rid.toUpperCase(), forged, randomUUID()])
        for (const path of [`/reservations/${id}`, `/reservations/${id}/stream`])
          expectRefusal(await asThief('GET', path), 404, 'NOT_FOUND')
      expectRefusal(await asThief('GET', '/reservations/1'), 400, 'VALIDATION_FAILED')
    }),
  )

  attack('the stream of another opened with the mark of one that has ended: 404', async () => {
    const headers = { 'last-event-id': 'ordered' }
    const reply = await api('GET', `/reservations/${rid}/stream`, { token: thief.access_token, headers })
    expectRefusal(reply, 404, 'NOT_FOUND')
  })

  attack('an eleventh stream of one buyer: 429', async () => {
    const saleId = await createSale(world)
    const held = await world.scripts.reserve({
      eventId: saleId,
      rid: `${randomUUID().slice(0, -8)}${saleId.slice(-8)}`,
      userId: thief.user_id,
      quantity: 1,
      requestId: 'test',
    })
    if (held.kind !== 'accepted') throw new Error(`not held: ${held.kind}`)
    const streams = await Promise.all(Array.from({ length: 10 }, () => openStream(world, held.rid, thief)))
    try {
      expectRefusal(await asThief('GET', `/reservations/${held.rid}/stream`), 429, 'RATE_LIMITED')
    } finally {
      for (const stream of streams) stream.leave()
    }
  })

  attack('lists widened by user_id, include, fields or a secret column to sort by: 400', () =>
    nothing(async () => {
      for (const query of [
        `user_id=${victim.user_id}`,
        `userId=${victim.user_id}`,
        'include=user.password_hash',
        'fields=*',
        'sort=password_hash,asc',
        'sort=user_id,asc',
        'sort=created_at,asc;drop table orders',
        'status=paid&status=pending',
        'page_size=101',
        'page=-1',
        'page=1e9',
      ])
        expectRefusal(await asThief('GET', `/orders?${query}`), 400, 'VALIDATION_FAILED')
      for (const query of ['sort=password_hash,asc', 'sort=token_version,asc', 'include=refresh_tokens'])
        expectRefusal(await api('GET', `/users?${query}`, { token: admin }), 400, 'VALIDATION_FAILED')
      const own = await api<{ items: unknown[] }>('GET', '/orders', { token: thief.access_token })
      expect(own.body.data.items).to.deep.equal([])
    }),
  )

  attack('fields that nobody may see: in no answer, not even to an admin', async () => {
    for (const reply of [
      await api('GET', '/users/me', { token: victim.access_token }),
      await api('GET', '/users', { token: admin }),
      await api('GET', `/orders/${orderId}`, { token: victim.access_token }),
    ]) {
      expect(reply.status, reply.text).to.equal(200)
      expect(reply.text).to.not.match(/password|hash|argon2|token_version|txn_id|"user_id"/)
    }
  })

  attack('an order made paid, cheaper or longer: there is no such route, and 400 where orders are made', () =>
    nothing(async () => {
      for (const method of ['PATCH', 'PUT', 'DELETE'])
        for (const json of [{ status: 'paid' }, { amount: 1 }, { expires_at: '2099-01-01T00:00:00Z' }]) {
          const reply = await api(method, `/orders/${orderId}`, { token: victim.access_token, json })
          expectRefusal(reply, 405, 'METHOD_NOT_ALLOWED')
        }
      const items = [{ product_id: productId, quantity: 1 }]
      for (const more of [
        { status: 'paid' },
        { amount: 1 },
        { expires_at: '2099-01-01T00:00:00Z' },
        { user_id: thief.user_id },
      ]) {
        const ask = { token: victim.access_token, headers: { 'idempotency-key': randomUUID() } }
        const reply = await api('POST', '/orders', { ...ask, json: { items, ...more } })
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
      }
    }),
  )

  attack('an event guessed before it is published: 404 to read and to buy, and no draft in a list', () =>
    nothing(async () => {
      for (const path of [`/spike-events/${draftId}`, `/spike-events/${randomUUID()}`])
        for (const token of [undefined, thief.access_token])
          expectRefusal(await api('GET', path, { token }), 404, 'NOT_FOUND')
      expectRefusal(await asThief('POST', `/spike-events/${draftId}/orders`), 404, 'NOT_FOUND')
      expectRefusal(await asThief('GET', '/spike-events?state=draft'), 403, 'FORBIDDEN')
      expect((await asThief('GET', '/spike-events?page_size=100')).text).to.not.include(draftId)
    }),
  )

  attack('fields that are nobody’s to set, by an admin: 400', () =>
    nothing(async () => {
      const user = (await world.knex('users').first('id')).id
      for (const [path, fields] of [
        [`/users/${user}`, ['id', 'email', 'password_hash', 'token_version', 'created_at']],
        [`/products/${productId}`, ['id', 'version', 'stock', 'deleted_at', '__proto__']],
        [`/spike-events/${eventId}`, ['id', 'status', 'state', 'granted', 'available', 'epoch', 'version']],
      ] as const)
        for (const field of fields) {
          const ask = { token: admin, headers: { 'if-match': '*' }, raw: `{"${field}":1}` }
          expectRefusal(await api('PATCH', path, ask), 400, 'VALIDATION_FAILED')
        }
    }),
  )
})

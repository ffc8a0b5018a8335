import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import { inHours, type EventData } from '../../support/events.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('changing a spike event', () => {
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

  const patch = (id: string, json: unknown, ifMatch: string | undefined = '*') =>
    api<EventData>('PATCH', `/spike-events/${id}`, {
      token: admin.token,
      json,
      headers: { ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }), 'x-request-id': 'patch-test' },
    })
  const act = (id: string, action: string) =>
    api<EventData>('POST', `/spike-events/${id}/${action}`, { token: admin.token })
  const rowOf = (id: string) => world.knex('spike_events').where({ id }).first()
  const fieldsOf = (reply: Reply<unknown>): string[] =>
    (reply.body.data as { fields: { field: string }[] }).fields.map(({ field }) => field)

  /** A valid new value for everything that a draft may change. */
  const CHANGE = {
    start_at: inHours(-0.25),
    end_at: inHours(3),
    spike_price: 1,
    stock: 20,
    payment_window_s: 60,
    per_user_limit: 3,
    lapse_limit: 0,
  }
  const FROZEN = Object.keys(CHANGE).filter((field) => field !== 'payment_window_s')

  it('changes a draft in everything but its product, and that is what is published', async () => {
    const id = await createDraft(world)
    const reply = await patch(id, CHANGE, '"1.draft.null"')
    expect(reply.status, reply.text).to.equal(200)
    expect(reply.body.data).to.include({ ...CHANGE, id, state: 'draft', version: 2 })
    expect(reply.headers.get('etag')).to.equal('"2.draft.null"')
    const published = await act(id, 'publish')
    expect(published.body.data).to.include({ ...CHANGE, state: 'live', remaining: 20, version: 3 })
    expect(await world.redis.hgetall(`{spike:${id}}:gate`)).to.include({
      start_ms: String(Date.parse(CHANGE.start_at)),
      end_ms: String(Date.parse(CHANGE.end_at)),
      granted: '20',
      per_user_limit: '3',
      lapse_limit: '0',
    })
  })

  it('changes what is named and nothing else, and writes down what was before', async () => {
    const id = await createDraft(world)
    const before = await rowOf(id)
    const changed = await patch(id, { stock: 11, end_at: CHANGE.end_at })
    expect(changed.status, changed.text).to.equal(200)
    const after = await rowOf(id)
    const changes = { stock: 11, end_at: new Date(CHANGE.end_at), version: 2, updated_at: after.updated_at }
    expect(after).to.deep.equal({ ...before, ...changes })
    const audit = await world.knex('audit_log').where({ target: id, action: 'spike-event.patch' })
    expect(audit).to.have.length(1)
    expect(audit[0]).to.deep.include({
      actor_id: admin.id,
      request_id: 'patch-test',
      before: { stock: 10, end_at: before.end_at.toISOString() },
      after: { stock: 11, end_at: CHANGE.end_at },
    })
  })

  it('refuses a window that would end before it starts, whichever side is moved', async () => {
    const id = await createDraft(world)
    const { start_at: start, end_at: end } = await rowOf(id)
    const before = await stateOf(world, id)
    const at = (date: Date, ms = 0): string => new Date(date.getTime() + ms).toISOString()
    for (const [json, field] of [
      [{ end_at: at(start) }, 'end_at'],
      [{ end_at: at(start, -1) }, 'end_at'],
      [{ start_at: at(end) }, 'start_at'],
      [{ start_at: at(end, 1) }, 'start_at'],
      [{ start_at: at(end, 2), end_at: at(end, 1) }, 'end_at'],
    ] as const) {
      const reply = await patch(id, json)
      expectRefusal(reply, 400, 'VALIDATION_FAILED')
      expect(fieldsOf(reply)).to.deep.equal([field])
    }
    expect(await stateOf(world, id)).to.deep.equal(before)
    const moved = await patch(id, { start_at: at(end, 1), end_at: at(end, 2) })
    expect(moved.status, moved.text).to.equal(200)
  })

  it('refuses what nobody may set, and values out of bounds, naming the field', async () => {
    const id = await createDraft(world)
    const before = await stateOf(world, id)
    const bad: Record<string, unknown[]> = {
      start_at: ['tomorrow', '1999-12-31T23:59:59Z', 0, null],
      end_at: ['', '9999-12-31T23:59:59-00:01', null],
      spike_price: [-1, 1.5, '500', null, 1_000_000_000_001],
      stock: [0, -1, 1.5, 1_000_001, '10', null],
      payment_window_s: [0, -1, 86_401, 1.5, null],
      per_user_limit: [0, 101, 1.5, '1', null],
      lapse_limit: [-1, 101, 0.5, null],
      status: ['published'],
      state: ['live'],
      product_id: [randomUUID()],
      currency: ['USD'],
      granted: [1_000],
      available: [1_000],
      epoch: [9],
      version: [1],
      opened_at: [inHours(0)],
      ended_at: [null],
      id: [randomUUID()],
    }
    for (const [field, values] of Object.entries(bad))
      for (const value of values) {
        const reply = await patch(id, { [field]: value })
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
        expect(JSON.stringify(reply.body.data), `${field}: ${String(value)}`).to.include(field)
      }
    for (const json of [{}, [], { __proto__: null, constructor: { prototype: { stock: 1 } } }])
      expectRefusal(await patch(id, json), 400, 'VALIDATION_FAILED')
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  for (const state of ['published', 'paused'] as const)
    it(`changes nothing of a ${state} event but the payment window, not even to the same value`, async () => {
      const id = await createSale(world)
      if (state === 'paused') await act(id, 'pause')
      const row = await rowOf(id)
      const before = await stateOf(world, id)
      for (const field of FROZEN)
        for (const value of [CHANGE[field as keyof typeof CHANGE], row[field]]) {
          const reply = await patch(id, { [field]: value })
          expectRefusal(reply, 409, 'FROZEN')
          expect(reply.body.data).to.deep.equal({ fields: [field] })
        }
      const mixed = await patch(id, CHANGE)
      expectRefusal(mixed, 409, 'FROZEN')
      expect((mixed.body.data as unknown as { fields: string[] }).fields).to.have.members(FROZEN)
      expect(await stateOf(world, id)).to.deep.equal(before)
      const allowed = await patch(id, { payment_window_s: 60 }, `"${row.version}"`)
      expect(allowed.status, allowed.text).to.equal(200)
      expect(allowed.body.data).to.include({ payment_window_s: 60, version: row.version + 1 })
    })

  it('changes nothing once the sale has ended', async () => {
    const id = await createSale(world)
    await act(id, 'end')
    const before = await stateOf(world, id)
    for (const json of [{ payment_window_s: 60 }, { stock: 11 }]) {
      const reply = await patch(id, json)
      expectRefusal(reply, 409, 'WRONG_STATE')
      expect(reply.body.data).to.deep.equal({ state: 'ended' })
    }
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  it('wants to know which version was seen, and that it is the present one', async () => {
    const id = await createDraft(world)
    const before = await stateOf(world, id)
    const blind = await api('PATCH', `/spike-events/${id}`, { token: admin.token, json: { stock: 11 } })
    expectRefusal(blind, 428, 'PRECONDITION_REQUIRED')
    for (const stale of ['"0"', '"2"', '"2.draft.null"', '1', 'W/"2"', '"one"'])
      expectRefusal(await patch(id, { stock: 11 }, stale), 412, 'PRECONDITION_FAILED')
    expect(await stateOf(world, id)).to.deep.equal(before)
    expectRefusal(await patch(randomUUID(), { stock: 11 }), 404, 'NOT_FOUND')
  })

  it('is won by one of ten who have seen the same version', async () => {
    const id = await createDraft(world)
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, i) => patch(id, { stock: 11 + i }, '"1.draft.null"')),
    )
    const [winner, ...others] = replies.toSorted((a, b) => a.status - b.status)
    expect(winner?.status, winner?.text).to.equal(200)
    for (const reply of others) expectRefusal(reply, 412, 'PRECONDITION_FAILED')
    expect(await rowOf(id)).to.include({ version: 2, stock: winner?.body.data.stock })
  })

  it('comes before a publish or too late for it, never in its middle', async () => {
    const productId = await createProduct(world, 1_000)
    const ids = await Promise.all(Array.from({ length: 8 }, () => createDraft(world, { productId })))
    await Promise.all(ids.flatMap((id) => [patch(id, { stock: 20 }, '"1"'), act(id, 'publish')]))
    let granted = 0
    for (const id of ids) {
      const row = await rowOf(id)
      expect(row.granted).to.equal(row.stock).and.equal(row.available)
      expect(await world.redis.get(`{spike:${id}}:stock`)).to.equal(String(row.stock))
      granted += row.granted
    }
    const { stock } = await world.knex('inventory').where({ product_id: productId }).first('stock')
    expect(stock).to.equal(1_000 - granted)
  })
})

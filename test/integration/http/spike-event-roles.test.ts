import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { Role } from '../../../src/users/model.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import { draftOf } from '../../support/events.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

interface AuditRow {
  action: string
  actor_id: string | null
  before: object | null
  after: Record<string, unknown> | null
  request_id: string
}

const ACTIONS = ['publish', 'pause', 'resume', 'end']

describe('who may run a sale', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  /** Tries every route of the admin, on an event where it would be possible. */
  async function refusedEverywhere(token: string | undefined, status: number, error: string): Promise<void> {
    const draft = await createDraft(world)
    const live = await createSale(world)
    const json = draftOf(await createProduct(world))
    const before = await stateOf(world, draft, live)
    expectRefusal(await api('POST', '/spike-events', { token, json }), status, error)
    for (const id of [draft, live, randomUUID()]) {
      for (const action of ACTIONS)
        expectRefusal(await api('POST', `/spike-events/${id}/${action}`, { token }), status, error)
      const patch = { token, json: { payment_window_s: 1 }, headers: { 'if-match': '*' } }
      expectRefusal(await api('PATCH', `/spike-events/${id}`, patch), status, error)
      const stock = { token, json: { delta: 1, reason: 'mine' } }
      expectRefusal(await api('POST', `/spike-events/${id}/stock`, stock), status, error)
    }
    expect(await stateOf(world, draft, live)).to.deep.equal(before)
  }

  it('is nobody without a token', () => refusedEverywhere(undefined, 401, 'UNAUTHENTICATED'))

  for (const role of ['user', 'viewer', 'operator'] as Role[])
    it(`is no ${role}`, async () => {
      const { token } = await createAccount(world, role)
      await refusedEverywhere(token, 403, 'FORBIDDEN')
    })

  it('is no user who writes the role admin into a request', async () => {
    const { token } = await createAccount(world)
    const eventId = await createSale(world)
    const reply = await api('POST', `/spike-events/${eventId}/pause?role=admin`, {
      token,
      json: { role: 'admin' },
      headers: { 'x-role': 'admin', 'x-user-role': 'admin' },
    })
    expectRefusal(reply, 403, 'FORBIDDEN')
  })

  it('is no admin any more from the moment of the demotion, whatever the token says', async () => {
    const admin = await createAccount(world, 'admin')
    const eventId = await createSale(world)
    const allowed = await api('POST', `/spike-events/${eventId}/pause`, { token: admin.token })
    expect(allowed.status, allowed.text).to.equal(200)
    await world.knex('users').where({ id: admin.id }).update({ role: 'user' })
    await refusedEverywhere(admin.token, 403, 'FORBIDDEN')
  })

  it('is no admin who was disabled, or whose account is gone', async () => {
    const disabled = await createAccount(world, 'admin')
    await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
    await refusedEverywhere(disabled.token, 401, 'UNAUTHENTICATED')
    const gone = await createAccount(world, 'admin')
    await world.knex('users').where({ id: gone.id }).delete()
    await refusedEverywhere(gone.token, 401, 'UNAUTHENTICATED')
  })

  it('is written down for every change: who, what, before, after, and in which request', async () => {
    const admin: Account = await createAccount(world, 'admin')
    const created = await api<{ id: string }>('POST', '/spike-events', {
      token: admin.token,
      json: draftOf(await createProduct(world)),
      headers: { 'x-request-id': 'audit-test-create' },
    })
    const { id } = created.body.data
    for (const action of ACTIONS)
      await api('POST', `/spike-events/${id}/${action}`, {
        token: admin.token,
        headers: { 'x-request-id': `audit-test-${action}` },
      })
    const rows: AuditRow[] = await world
      .knex('audit_log')
      .where({ target: id, actor_id: admin.id })
      .orderBy('id')
      .select('action', 'actor_id', 'before', 'after', 'request_id')
    const told = rows.map((row) => ({ ...row, after: { status: row.after?.status } }))
    const row = (action: string, before: object | null, status: string) => ({
      action: `spike-event.${action}`,
      actor_id: admin.id,
      before,
      after: { status },
      request_id: `audit-test-${action}`,
    })
    expect(told).to.deep.equal([
      row('create', null, 'draft'),
      row('publish', { status: 'draft' }, 'published'),
      row('pause', { status: 'published' }, 'paused'),
      row('resume', { status: 'paused' }, 'published'),
      row('end', { status: 'published' }, 'ended'),
    ])
    expect(rows[1]?.after).to.include({ granted: 10, available: 10 })
  })

  it('leaves no trace in the audit log for what was refused', async () => {
    const admin = await createAccount(world, 'admin')
    const eventId = await createSale(world)
    const count = async (): Promise<unknown> => world.knex('audit_log').where({ target: eventId }).count()
    const before = await count()
    expectRefusal(
      await api('POST', `/spike-events/${eventId}/resume`, { token: admin.token }),
      409,
      'WRONG_STATE',
    )
    expect(await count()).to.deep.equal(before)
  })
})

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { lapse, orderUnits, reserveUnits } from '../../support/claims.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import type { Ordered } from '../../support/reservations.ts'
import { createShop } from '../../support/shop.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('repairing an event over HTTP', () => {
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

  const repair = (eventId: string, json?: object, token: string | undefined = admin.token) =>
    api('POST', `/spike-events/${eventId}/repair`, { token, json })

  it('only reports unless it is told to repair', async () => {
    const eventId = await createSale(world)
    const [closed] = (await orderUnits(world, eventId, 2)) as [Ordered]
    await reserveUnits(world, eventId, 1) // in flight, and no finding
    await lapse(world, closed)
    const before = await stateOf(world, eventId)
    const report = {
      event_id: eventId,
      dry_run: true,
      drift: 0,
      findings: { unreleased: 1 },
      reservations: [
        { reservation_id: closed.rid, kind: 'unreleased', redis: 'confirmed', postgres: 'gone' },
      ],
      repaired: {},
      rebuilt: false,
    }
    for (const json of [undefined, {}, { dry_run: true }]) {
      const reply = await repair(eventId, json)
      expect(reply.status, reply.text).to.equal(200)
      expect(reply.body.data).to.deep.equal(report)
    }
    expect(await stateOf(world, eventId)).to.deep.equal(before)

    const done = await repair(eventId, { dry_run: false })
    expect(done.body.data).to.deep.equal({ ...report, dry_run: false, repaired: { unreleased: 1 } })
    expect(await world.scripts.countUnits({ eventId })).to.include({
      stock: 8,
      confirmed: 1,
      held: 1,
      released: 1,
    })
    const audit = await world.knex('audit_log').where({ target: eventId, action: 'spike-event.repair' })
    expect(audit.map((row) => row.actor_id)).to.deep.equal([admin.id])
  })

  it('tells of a rebuild, and lists a hundred reservations of many, to the typed client', async () => {
    const eventId = await createSale(world, { stock: 120 })
    for (const one of await orderUnits(world, eventId, 101))
      await world.scripts.release({ ...one, reason: 'lapsed' })
    const shop = createShop(world.apiUrl, admin.token)
    const { data } = await shop.POST('/api/v1/spike-events/{id}/repair', {
      params: { path: { id: eventId } },
      body: { dry_run: false },
    })
    expect(data?.data).to.deep.include({ findings: { released_alive: 101 }, repaired: {}, rebuilt: true })
    expect(data?.data.reservations).to.have.length(100)
    expect(await world.scripts.countUnits({ eventId })).to.include({ stock: 19, confirmed: 101 })
  })

  it('brings a gate back that is gone', async () => {
    const eventId = await createSale(world)
    await world.redis.unlink(spikeKeys(eventId).gate)
    expect((await repair(eventId)).body.data).to.deep.include({ drift: null, findings: { lost: 1 } })
    expect((await repair(eventId, { dry_run: false })).body.data).to.deep.include({ rebuilt: true })
    expect((await repair(eventId)).body.data).to.deep.include({ drift: 0, findings: {} })
  })

  it('is for admins, and for events that were published', async () => {
    const eventId = await createSale(world)
    for (const role of ['user', 'viewer', 'operator'] as const)
      expectRefusal(await repair(eventId, {}, (await createAccount(world, role)).token), 403, 'FORBIDDEN')
    expectRefusal(await api('POST', `/spike-events/${eventId}/repair`), 401, 'UNAUTHENTICATED')
    expectRefusal(await repair(randomUUID()), 404, 'NOT_FOUND')
    expectRefusal(await repair(await createDraft(world)), 409, 'WRONG_STATE')
    expectRefusal(await repair(eventId, { dry_run: 'no' }), 400, 'VALIDATION_FAILED')
  })
})

import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { serverOf } from '../../../src/platform/redis/server.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { followEvent, pauseSale, publishSale, resumeSale } from '../../../src/sale.ts'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { publishEvent } from '../../../src/spike-events/transitions.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import { createAccount } from '../../factories/accounts.ts'
import { dumpKeys } from '../../support/redis-dump.ts'
import { expectConserved } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('running a sale', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  const eventOf = (id: string) => world.knex('spike_events').where({ id }).first()
  const gateOf = (id: string) => world.redis.hgetall(spikeKeys(id).gate)
  const stockOf = async (productId: string): Promise<number> =>
    (await world.knex('inventory').where({ product_id: productId }).first('stock')).stock
  const everything = async (eventId: string) => ({
    events: await world.knex('spike_events').orderBy('id'),
    adjustments: await world.knex('spike_event_adjustments').orderBy('id'),
    inventory: await world.knex('inventory').orderBy('id'),
    movements: await world.knex('inventory_movements').orderBy('id'),
    audit: await world.knex('audit_log').orderBy('id'),
    redis: await dumpKeys(world.redis, `{spike:${eventId}}:*`),
  })

  it('rings the stock off the inventory and opens the gate with it', async () => {
    const productId = await createProduct(world, 100)
    const id = await createDraft(world, { productId, stock: 30, perUserLimit: 2, lapseLimit: 3 })
    const admin = await createAccount(world, 'admin')
    const result = await publishSale(world, id, { userId: admin.id, requestId: 'request-1' })
    expect(result.kind).to.equal('done')
    const event = await eventOf(id)
    expect(event).to.include({ status: 'published', granted: 30, available: 30, epoch: 1 })
    expect(event.opened_at).to.be.an.instanceOf(Date)
    expect(await stockOf(productId)).to.equal(70)
    expect(await world.redis.get(spikeKeys(id).stock)).to.equal('30')
    expect(await gateOf(id)).to.deep.equal({
      status: 'open',
      epoch: '1',
      start_ms: String(event.start_at.getTime()),
      end_ms: String(event.end_at.getTime()),
      granted: '30',
      paid: '0',
      per_user_limit: '2',
      lapse_limit: '3',
      run_id: (await serverOf(world.redis, spikeKeys(id).gate)).runId,
    })
    const audit = await world.knex('audit_log').where({ target: id, action: 'spike-event.publish' })
    expect(audit).to.have.length(1)
    expect(audit[0]).to.include({ actor_id: admin.id, request_id: 'request-1' })
    expect(await expectConserved(world.knex, id)).to.equal(30)
  })

  it('changes nothing when the inventory has too few units', async () => {
    const productId = await createProduct(world, 9)
    const id = await createDraft(world, { productId, stock: 10 })
    const before = await everything(id)
    expect(await publishSale(world, id, SYSTEM)).to.deep.equal({ kind: 'insufficient_stock' })
    expect(await everything(id)).to.deep.equal(before)
  })

  it('changes nothing when the window is over', async () => {
    const past = { startAt: new Date(Date.now() - 7_200_000), endAt: new Date(Date.now() - 3_600_000) }
    const id = await createDraft(world, past)
    const before = await everything(id)
    expect(await publishSale(world, id, SYSTEM)).to.deep.equal({ kind: 'window_over' })
    expect(await everything(id)).to.deep.equal(before)
  })

  it('knows no event that does not exist', async () => {
    for (const change of [publishSale, pauseSale, resumeSale])
      expect(await change(world, uuidv7(), SYSTEM)).to.deep.equal({ kind: 'not_found' })
  })

  it('publishes once when five operators publish at the same time', async () => {
    const productId = await createProduct(world, 100)
    const id = await createDraft(world, { productId, stock: 30 })
    const results = await Promise.all(Array.from({ length: 5 }, () => publishSale(world, id, SYSTEM)))
    expect(results.filter(({ kind }) => kind === 'done')).to.have.length(1)
    expect(results.filter(({ kind }) => kind === 'wrong_state')).to.have.length(4)
    expect(await stockOf(productId)).to.equal(70)
    expect(await expectConserved(world.knex, id)).to.equal(30)
  })

  it('never grants more than the inventory has to two sales of one product', async () => {
    const productId = await createProduct(world, 15)
    const ids = [await createDraft(world, { productId }), await createDraft(world, { productId })]
    const results = await Promise.all(ids.map((id) => publishSale(world, id, SYSTEM)))
    expect(results.map(({ kind }) => kind).sort()).to.deep.equal(['done', 'insufficient_stock'])
    expect(await stockOf(productId)).to.equal(5)
  })

  it('pauses and resumes the gate with the event, and raises its version', async () => {
    const id = await createSale(world)
    const { version } = await eventOf(id)
    expect((await pauseSale(world, id, SYSTEM)).kind).to.equal('done')
    expect([(await eventOf(id)).status, (await gateOf(id)).status]).to.deep.equal(['paused', 'paused'])
    expect((await resumeSale(world, id, SYSTEM)).kind).to.equal('done')
    expect([(await eventOf(id)).status, (await gateOf(id)).status]).to.deep.equal(['published', 'open'])
    expect((await eventOf(id)).version).to.equal(version + 2)
  })

  it('refuses a change that the state does not allow, and changes nothing', async () => {
    const draft = await createDraft(world)
    const running = await createSale(world)
    const before = [await everything(draft), await everything(running)]
    expect(await pauseSale(world, draft, SYSTEM)).to.deep.equal({ kind: 'wrong_state', status: 'draft' })
    expect(await resumeSale(world, running, SYSTEM)).to.deep.equal({
      kind: 'wrong_state',
      status: 'published',
    })
    expect(await publishSale(world, running, SYSTEM)).to.deep.equal({
      kind: 'wrong_state',
      status: 'published',
    })
    expect([await everything(draft), await everything(running)]).to.deep.equal(before)
  })

  it('opens the gate later when the process died between PostgreSQL and Redis, once', async () => {
    const id = await createDraft(world)
    await publishEvent(world.knex, id, SYSTEM)
    expect(await gateOf(id)).to.deep.equal({})
    await Promise.all(Array.from({ length: 5 }, () => followEvent(world, id)))
    expect(await gateOf(id)).to.include({ status: 'open', granted: '10' })
    const before = await everything(id)
    await followEvent(world, id)
    expect(await everything(id)).to.deep.equal(before)
  })

  for (const [what, spoil] of [
    ['a gate that is gone', (key: string) => world.redis.del(key)],
    ['a gate that a rebuild has closed', (key: string) => world.redis.hset(key, 'status', 'closed')],
  ] as const)
    it(`does not touch ${what}: that takes a rebuild`, async () => {
      const id = await createSale(world)
      await spoil(spikeKeys(id).gate)
      const before = await everything(id)
      await followEvent(world, id)
      expect(await everything(id)).to.deep.equal(before)
    })
})

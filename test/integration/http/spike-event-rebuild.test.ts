import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createAccount, createBuyers, type Account } from '../../factories/accounts.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { buy, order, pay } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('rebuilding an event over HTTP', () => {
  let world: World
  let api: Client
  let admin: Account

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    admin = await createAccount(world, 'admin')
  })
  after(() => world.close())

  const rebuild = (eventId: string, token: string | undefined = admin.token) =>
    api('POST', `/spike-events/${eventId}/rebuild`, { token })

  it('keeps every unit where it is and raises the epoch', async () => {
    const eventId = await createSale(world)
    const [payer, holder] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    await pay(api, (await order(api, eventId, payer)).orderId, payer)
    await order(api, eventId, holder)
    const reply = await rebuild(eventId)
    expect(reply.status, reply.text).to.equal(200)
    expect(reply.body.data).to.include({ id: eventId, state: 'live', remaining: 8 })
    expect(await world.scripts.countUnits({ eventId })).to.include({ stock: 8, confirmed: 1, paid: 1 })
    expect(await world.redis.hget(spikeKeys(eventId).gate, 'epoch')).to.equal('2')
    expectRefusal(await buy(api, eventId, holder), 409, 'ALREADY_PURCHASED')
  })

  it('happens by itself when Redis has lost the event: not ready, then on sale again with what is left', async () => {
    const eventId = await createSale(world, { stock: 2 })
    const [first, second, third] = (await createBuyers(world, 3)) as [LoadBuyer, LoadBuyer, LoadBuyer]
    await order(api, eventId, first)
    await world.redis.unlink(...Object.values(spikeKeys(eventId)))
    expectRefusal(await buy(api, eventId, second), 503, 'NOT_READY')
    await until('the gate to be back', async () => (await world.redis.exists(spikeKeys(eventId).gate)) === 1)
    await order(api, eventId, second)
    expectRefusal(await buy(api, eventId, third), 409, 'ALL_HELD')
  })

  it('is for admins, and for events that were published', async () => {
    const eventId = await createSale(world)
    for (const role of ['user', 'viewer', 'operator'] as const)
      expectRefusal(await rebuild(eventId, (await createAccount(world, role)).token), 403, 'FORBIDDEN')
    expectRefusal(await api('POST', `/spike-events/${eventId}/rebuild`), 401, 'UNAUTHENTICATED')
    expectRefusal(await rebuild(randomUUID()), 404, 'NOT_FOUND')
    expectRefusal(await rebuild(await createDraft(world)), 409, 'WRONG_STATE')
    expect(await world.redis.hget(spikeKeys(eventId).gate, 'epoch')).to.equal('1')
  })
})

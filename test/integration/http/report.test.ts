import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { z } from 'zod'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { conservationData, reportData } from '../../../src/http/contract/figures.ts'
import { pauseSale } from '../../../src/sale.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { buy, order, pay } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

type Conservation = z.infer<typeof conservationData>
type Report = z.infer<typeof reportData>

describe('the figures of a sale over HTTP', () => {
  let world: World
  let api: Client
  let operator: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    operator = (await createAccount(world, 'operator')).token
  })
  after(() => world.close())

  async function read<Data extends object>(path: string, token = operator): Promise<Data> {
    const { status, body, text } = await api<Data>('GET', path, { token })
    expect(status, text).to.equal(200)
    return body.data
  }
  const conservationOf = (id: string) => read<Conservation>(`/spike-events/${id}/conservation`)
  const reportOf = (id: string) => read<Report>(`/spike-events/${id}/report`)

  for (const path of ['conservation', 'report']) {
    it(`of the ${path} are for viewers, operators and admins only`, async () => {
      const url = `/spike-events/${await createSale(world)}/${path}`
      expectRefusal(await api('GET', url), 401, 'UNAUTHENTICATED')
      const { token } = await createAccount(world)
      expectRefusal(await api('GET', url, { token }), 403, 'FORBIDDEN')
      for (const role of ['viewer', 'operator', 'admin'] as const)
        await read(url, (await createAccount(world, role)).token)
    })

    it(`of the ${path} are not there for an event that nobody made`, async () => {
      const unknown = `/spike-events/${randomUUID()}/${path}`
      expectRefusal(await api('GET', unknown, { token: operator }), 404, 'NOT_FOUND')
      const none = `/spike-events/1/${path}`
      expectRefusal(await api('GET', none, { token: operator }), 400, 'VALIDATION_FAILED')
    })
  }

  it('have the declared form, for a draft, a sale and an event that Redis has lost', async () => {
    const [draft, sale, lost] = [await createDraft(world), await createSale(world), await createSale(world)]
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    await order(api, sale, buyer)
    await world.redis.unlink(`{spike:${lost}}:gate`)
    for (const id of [draft, sale, lost]) {
      expect(z.strictObject(conservationData.shape).parse(await conservationOf(id)).event_id).to.equal(id)
      expect(z.strictObject(reportData.shape).parse(await reportOf(id)).event.id).to.equal(id)
    }
  })

  it('show a sound sale, and say which numbers that is judged on', async () => {
    const eventId = await createSale(world, { stock: 4 })
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    const { orderId } = await order(api, eventId, buyer)
    await pay(api, orderId, buyer)
    const { as_of: asOf, invariants, ...numbers } = await conservationOf(eventId)
    expect(numbers).to.deep.equal({
      event_id: eventId,
      granted: 4,
      available: 3,
      live: 1,
      pending: 0,
      paid: 1,
      redis: { granted: 4, stock: 3, held: 0, queued: 0, confirmed: 0, paid: 1, released: 0 },
      in_flight: 0,
      pending_releases: 0,
      drift: 0,
      oversold: 0,
    })
    expect(Math.abs(Date.parse(asOf) - Date.now())).to.be.below(60_000)
    expect(invariants.map(({ name }) => name[0]).join('')).to.equal('123467')
    expect(invariants.filter(({ holds }) => !holds)).to.deep.equal([])
    expect(invariants[0]?.shown_by).to.equal('A 3 + live 1 = T 4, ledger 4, oversold 0')
  })

  it('show what is wrong', async () => {
    const eventId = await createSale(world)
    await world.redis.decr(`{spike:${eventId}}:stock`)
    const { drift, invariants } = await conservationOf(eventId)
    expect(drift).to.equal(1)
    expect(invariants.filter(({ holds }) => !holds).map(({ name }) => name[0])).to.deep.equal(['2', '3'])
  })

  it('tell how requests ended at the gate, by the errors that buyers read', async () => {
    const eventId = await createSale(world, { stock: 2, perUserLimit: 2 })
    const early = await createSale(world, { startAt: new Date(Date.now() + 60_000) })
    const paused = await createSale(world)
    await pauseSale(world, paused, SYSTEM)
    const [one, two, three] = (await createBuyers(world, 3)) as [LoadBuyer, LoadBuyer, LoadBuyer]
    const told: Record<string, number> = {}
    const refused = async (id: string, buyer: LoadBuyer, json = {}) => {
      const name = (await buy(api, id, buyer, json)).body.error ?? 'none'
      told[name] = (told[name] ?? 0) + 1
    }
    await refused(eventId, one, { quantity: 3 })
    const first = await order(api, eventId, one)
    await refused(eventId, one)
    const second = await order(api, eventId, two) // takes the last unit
    await refused(eventId, three)
    await refused(eventId, three)
    await pay(api, first.orderId, one)
    await pay(api, second.orderId, two)
    await until('all units to be paid in Redis', async () => {
      const counts = await world.scripts.countUnits({ eventId })
      return counts !== 'NOT_READY' && counts.paid === 2
    })
    await refused(eventId, three)
    const rejected = { VALIDATION_FAILED: 1, ALREADY_PURCHASED: 1, ALL_HELD: 2, SOLD_OUT: 1 }
    expect(told).to.deep.equal(rejected)
    await refused(early, one)
    await refused(paused, one)
    await refused(randomUUID(), one) // has no gate to be counted at

    const requestsOf = async (id: string) => (await reportOf(id)).requests
    const sum = ({ accepted, rejected }: Report['requests']) =>
      Object.values(rejected).reduce((total, n) => total + n, accepted)
    await until('the first counts to be written', async () => sum(await requestsOf(eventId)) === 7)
    expect(await requestsOf(eventId)).to.deep.equal({ accepted: 2, rejected })
    await until('the last counts to be written', async () => sum(await requestsOf(paused)) === 1)
    expect(await requestsOf(paused)).to.deep.equal({ accepted: 0, rejected: { SALE_PAUSED: 1 } })
    expect(await requestsOf(early)).to.deep.equal({ accepted: 0, rejected: { SALE_NOT_STARTED: 1 } })
  })

  it('keep the last second of an API that stops', async () => {
    const other = await createWorld({ RATE_LIMIT: 'off' })
    try {
      const process = await other.start('api')
      const eventId = await createSale(other)
      const buyers = await createBuyers(other, 5)
      const client = createClient(`${other.apiUrl}/api/v1`)
      for (const buyer of buyers) expect((await buy(client, eventId, buyer)).status).to.equal(202)
      await process.stop()
      expect(await other.redis.hgetall(`{spike:${eventId}}:outcomes`)).to.deep.equal({ accepted: '5' })
    } finally {
      await other.close()
    }
  })
})

import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { SYSTEM } from '../../../src/audit/audit.ts'
import type { PresentedReport } from '../../../src/figures/present-sale.ts'
import { OutcomeCounts } from '../../../src/reserve/outcome-counts.ts'
import { endSale, pauseSale, resumeSale } from '../../../src/sale.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import { captureOf, lapse, orderUnits, reserveUnits, settle } from '../../support/claims.ts'
import { logIn } from '../../support/dashboard.ts'
import { createClient, type Client, type Reply } from '../../support/http.ts'
import { order, type Ordered } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the report of a sale on the dashboard', () => {
  let world: World
  let dashboard: Client
  let headers: { cookie: string }
  let eventId: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('dashboard')
    dashboard = createClient(world.dashboardUrl)
    headers = await logIn(dashboard, await createAccount(world, 'viewer'))
    eventId = await createSale(world, { stock: 3, spikePrice: 1_234 })
  })
  after(() => world.close())

  const get = (path: string): Promise<Reply<unknown>> => dashboard('GET', path, { headers })
  const read = async (id: string) =>
    JSON.parse((await get(`/sales/${id}/report.json`)).text) as PresentedReport

  async function payFor(ordered: Ordered): Promise<void> {
    expect(await settle(world, await captureOf(world, ordered))).to.equal('paid')
  }

  /** Three units: one paid, one paid by its second buyer, one never sold; counted by two processes of the API. */
  async function sell(): Promise<void> {
    const [paid, lapsing] = (await orderUnits(world, eventId, 2)) as [Ordered, Ordered]
    await payFor(paid)
    await lapse(world, lapsing)
    await world.scripts.release({ ...lapsing, reason: 'lapsed' })
    const [third, second] = (await orderUnits(world, eventId, 2)) as [Ordered, Ordered]
    await payFor(second)
    await payFor(third)
    await pauseSale(world, eventId, SYSTEM)
    await resumeSale(world, eventId, SYSTEM)
    const counts = [new OutcomeCounts(world.scripts, world.log), new OutcomeCounts(world.scripts, world.log)]
    for (const [i, outcome] of (['all_held', 'sold_out', 'sold_out', 'accepted'] as const).entries())
      counts[i % 2]?.add(eventId, outcome)
    for (const one of counts) await one.stop()
    await endSale(world, eventId, SYSTEM)
  }

  it('has the figures of the database, as JSON to keep', async () => {
    await sell()
    const reply = await get(`/sales/${eventId}/report.json`)
    expect(reply.status, reply.text).to.equal(200)
    expect(reply.headers.get('content-disposition')).to.equal(`attachment; filename="sale-${eventId}.json"`)
    expect(reply.headers.get('cache-control')).to.equal('no-store')
    const report = JSON.parse(reply.text) as PresentedReport
    expect(report).to.deep.include({
      units: { granted: 3, returned: 0, sold: 4, paid: 3, pending: 0, released: 1 },
      sell_through: 1,
      second_sales: 1,
      orders: { made: 4, pending: 0, paid: 3, refunded: 0, lapsed: 1, cancelled: 0 },
      reservations: { undecided: 0, ordered: 4, void: 0 },
      requests: { accepted: 1, rejected: { ALL_HELD: 1, SOLD_OUT: 2 } },
      revenue: { captured: 3_702, refunded: 0, refunds: 0, currency: 'CNY' },
      actions: { create: 1, publish: 1, pause: 1, resume: 1, end: 1 },
    })
    expect(report.conservation.invariants.filter(({ holds }) => !holds)).to.deep.equal([])
    const { rows } = await world.knex.raw(
      `SELECT date_trunc('second', created_at) AS second, count(*)::int AS count FROM orders
        WHERE event_id = ? GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1`,
      [eventId],
    )
    expect(report.peak.orders).to.deep.equal({ second: rows[0].second.toISOString(), count: rows[0].count })
    const points = report.course?.points ?? []
    expect(points.reduce((total, { orders }) => total + orders, 0)).to.equal(4)
    expect(points.at(-1)?.free).to.equal(0)
  })

  it('adds up the rejected requests of a second over all processes, and keeps the busiest', async () => {
    const id = await createSale(world)
    const second = Math.floor(Date.now() / 1_000)
    // What each process has of the busiest second is less than all that was rejected in the other one.
    for (const [busiest, other] of [
      [3, 4],
      [3, 0],
    ] as const) {
      const counts = new OutcomeCounts(world.scripts, world.log)
      for (let i = 0; i < busiest; i++) counts.add(id, 'sold_out', second * 1_000 + i)
      for (let i = 0; i < other; i++) counts.add(id, 'all_held', (second - 5) * 1_000 + i)
      counts.add(id, 'accepted', second * 1_000)
      await counts.stop()
    }
    expect((await read(id)).peak.rejected).to.deep.equal({
      second: new Date(second * 1_000).toISOString(),
      count: 6,
    })
  })

  it('is a page with these figures, their proof and a drawing of its course', async () => {
    const { status, text } = await get(`/sales/${eventId}/report`)
    expect(status).to.equal(200)
    const report = await read(eventId)
    expect(text).to.include('Report: Test product')
    expect(text).to.include('100 %').and.include('3 paid of 3 units granted')
    expect(text).to.include('CN¥37.02')
    expect(text).to.match(/second sales<\/th><td class="number">1</)
    expect(text).to.match(/rejected: SOLD_OUT<\/th><td class="number">2</)
    for (const { name, shown_by: numbers } of report.conservation.invariants)
      expect(text).to.include(`<td>${name.replaceAll('>', '&gt;')}</td><td>${numbers}</td><td class="ok">yes`)
    expect(text).to.include('all 6 invariants hold')
    expect(text).to.match(/<svg[^>]*>.*<rect.*<\/svg>/s)
    expect(text).to.include(`href="/sales/${eventId}/report.json"`)
    expect(text).to.not.include('has not ended')
    expect((await get('/assets/report.css')).text).to.include('@media print')
  })

  it('says what does not hold', async () => {
    const id = await createSale(world)
    await endSale(world, id, SYSTEM)
    await world.redis.decr(`{spike:${id}}:stock`)
    const { text } = await get(`/sales/${id}/report`)
    expect(text).to.include('2 of 6 invariants do not hold').and.include('<td class="bad">NO')
  })

  it('takes what moves between the stores for what it is while the sale is on, or units are in flight', async () => {
    const running = await createSale(world)
    await order(world, running, 1) // Redis has not been told
    const ended = await createSale(world)
    await order(world, ended, 1)
    await reserveUnits(world, ended, 1)
    await endSale(world, ended, SYSTEM)
    for (const id of [running, ended]) {
      const { text } = await get(`/sales/${id}/report`)
      expect(text).to.match(/<td>3 drift is 0<\/td><td>[^<]* = -1<\/td><td class="muted">moving/)
      expect(text).to.include('5 of 6 invariants hold, none oversold. Units are moving')
      expect(text).to.not.include('do not hold').and.not.include('class="bad"')
    }
  })

  it('reads a sale once for all who look within seconds', async () => {
    const id = await createSale(world)
    const reports = await Promise.all([read(id), read(id)])
    await get(`/sales/${id}/report`)
    for (const report of [...reports, await read(id)])
      expect(report.conservation.as_of).to.equal(reports[0]?.conservation.as_of)
  })

  it('is there for a draft, and not for what is no sale', async () => {
    const draft = await get(`/sales/${await createDraft(world)}/report`)
    expect(draft.status).to.equal(200)
    expect(draft.text).to.not.include('<svg')
    for (const path of [uuidv7(), '1', '%00'])
      for (const form of ['report', 'report.json'])
        expect((await get(`/sales/${path}/${form}`)).status, `${path} ${form}`).to.equal(404)
  })

  it('is for staff only', async () => {
    for (const form of ['report', 'report.json'])
      expect((await dashboard('GET', `/sales/${eventId}/${form}`)).status).to.equal(302)
  })
})

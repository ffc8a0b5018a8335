import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { lapse, orderUnits, reserveUnits } from '../../support/claims.ts'
import { logIn } from '../../support/dashboard.ts'
import { createClient, type Client } from '../../support/http.ts'
import { expectSum, meterOf, openTab, shown } from '../../support/live.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, serverUrls, type World } from '../../support/world.ts'

const NO_EVENT = '00000000-0000-7000-8000-000000000000'

describe('the live page of a running sale', () => {
  let world: World
  let dashboard: Client
  let viewer: { cookie: string; 'x-xsrf-token': string }
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    await world.start('dashboard')
    dashboard = createClient(world.dashboardUrl)
    viewer = await logIn(dashboard, await createAccount(world, 'viewer'))
  })
  after(() => world.close())

  it('shows a purchase within 2 s, and where its unit is, without a drift on the way', async () => {
    const eventId = await createSale(world, { stock: 60 })
    const api = createClient(`${world.apiUrl}/api/v1`)
    const buyers = await createBuyers(world, 40)
    const tab = await openTab(world, eventId, viewer)
    await tab.sees('all units free', (view) => shown(view, 'free') === '60')
    const boughtAt = performance.now()
    const replies = await Promise.all(buyers.map((buyer) => buy(api, eventId, buyer)))
    expect(replies.map(({ status }) => status)).to.deep.equal(Array(40).fill(202))
    const tookMs = performance.now() - boughtAt
    await tab.sees('units taken', (view) => shown(view, 'free') === '20')
    expect(performance.now() - boughtAt - tookMs).to.be.below(2_000)
    const last = await tab.sees('orders in the books', (view) => meterOf(view).pending === 40)
    expect(meterOf(last)).to.deep.equal({
      granted: 60,
      free: 20,
      held: 0,
      pending: 40,
      paid: 0,
      releasing: 0,
      drift: 0,
    })
    await tab.sees('requests counted', (view) => shown(view, 'accepted.count') === '40')
    for (const view of tab.views()) {
      if (meterOf(view).granted > 0) expectSum(view)
      expect(view.fields.drift?.tone, shown(view, 'drift')).to.not.equal('bad')
    }
    expect(tab.history().pulse[0]?.[1], 'what was before').to.equal(60)
    expect(last.latest.pulse?.[1]).to.equal(20)
    tab.leave()
  })

  it('says how many units are missing, and which reservation does not fit', async () => {
    const eventId = await createSale(world, { stock: 10 })
    await world.redis.decrby(`{spike:${eventId}}:stock`, 2)
    const tab = await openTab(world, eventId, viewer)
    const view = await tab.sees('a drift that lasts', ({ fields }) => fields.drift?.tone === 'bad')
    expect(shown(view, 'drift')).to.match(/^2 units missing/)
    expect(view.announcement).to.contain('2 units missing')
    expect(meterOf(view)).to.include({ free: 8, drift: 2 })
    expect(view.findings.map(({ rid, text }) => `${rid} ${text}`)).to.deep.equal([
      'null free and held units in Redis are not the granted ones: 2 units too few',
    ])
    tab.leave()
  })

  it('is readable without a script, also for a viewer, who is offered nothing to change', async () => {
    const eventId = await createSale(world, { stock: 987 })
    const list = await dashboard('GET', '/sales?state=live', { headers: viewer })
    expect(list.status).to.equal(200)
    expect(list.text).to.contain(`/sales/${eventId}`).and.to.contain('987')
    const page = await dashboard('GET', `/sales/${eventId}`, { headers: viewer })
    expect(page.status, page.text).to.equal(200)
    for (const text of ['On sale', '987', 'Every unit is accounted for.', 'as of ', 'RabbitMQ ready'])
      expect(page.text).to.contain(text)
    expect(page.text).to.not.contain('/actions/')
    const operator = await logIn(dashboard, await createAccount(world, 'operator'))
    const steered = await dashboard('GET', `/sales/${eventId}`, { headers: operator })
    expect(steered.text).to.contain(`/sales/${eventId}/actions/pause`)
  })

  it('is not there for nobody, and not for a sale that is not there', async () => {
    const eventId = await createSale(world)
    for (const path of ['/sales', `/sales/${eventId}`]) {
      const reply = await dashboard('GET', path)
      expect(`${reply.status} ${reply.headers.get('location')}`).to.equal('302 /login')
    }
    const stream = await dashboard('GET', `/sales/${eventId}/events`, {
      headers: { accept: 'text/event-stream' },
    })
    expect(stream.status).to.equal(401)
    for (const path of [
      `/sales/${NO_EVENT}`,
      `/sales/${NO_EVENT}/events`,
      '/sales/none',
      '/sales/none/events',
    ])
      expect((await dashboard('GET', path, { headers: viewer })).status, path).to.equal(404)
    expect((await dashboard('GET', '/sales?state=none&page=0', { headers: viewer })).status).to.equal(200)
  })

  it('ends for an account that may not see it any more, and for nobody else', async () => {
    const eventId = await createSale(world)
    const demoted = await createAccount(world, 'operator')
    const tab = await openTab(world, eventId, await logIn(dashboard, demoted))
    const other = await openTab(world, eventId, viewer)
    await world.knex('users').where({ id: demoted.id }).update({ role: 'user' })
    await tab.ended
    const seen = other.views().length
    await until('another view', () => other.views().length > seen)
    other.leave()
  }).timeout(15_000)
})

describe('the live page without workers', () => {
  let world: World
  let proxy: Proxy
  let running: Running
  let headers: { cookie: string; 'x-xsrf-token': string }
  before(async () => {
    const { REDIS_URL, QUEUE_REDIS_URL } = serverUrls()
    proxy = await Proxy.before(REDIS_URL)
    world = await createWorld({ REDIS_URL: proxy.urlOf(REDIS_URL), QUEUE_REDIS_URL })
    running = await world.start('dashboard')
    headers = await logIn(createClient(world.dashboardUrl), await createAccount(world, 'operator'))
  })
  after(async () => {
    await proxy.restore()
    await world.close()
    await proxy.cut()
  })

  it('tells units that are held, ordered and being released apart, with the oldest and the unreleased', async () => {
    const eventId = await createSale(world, { stock: 10 })
    const [held] = await reserveUnits(world, eventId, 1)
    const [lapsed] = await orderUnits(world, eventId, 3)
    if (held === undefined || lapsed === undefined) throw new Error('no claims')
    await lapse(world, lapsed)
    const tab = await openTab(world, eventId, headers)
    const view = await tab.sees('what lasts', ({ findings }) => findings.length > 0)
    expect(meterOf(view)).to.deep.equal({
      granted: 10,
      free: 6,
      held: 1,
      pending: 2,
      paid: 0,
      releasing: 1,
      drift: 0,
    })
    expect(view.findings).to.deep.equal([
      { rid: lapsed.rid, text: 'let go, but Redis holds its units still' },
    ])
    expect(shown(view, 'oldest')).to.match(new RegExp(`^${held.rid} has waited .* for its verdict$`))
    expect(shown(view, 'orders.lapsed')).to.equal('1')
    await world.scripts.release({ ...held, reason: 'expired' })
    await tab.sees('the release as the oldest', (view) => shown(view, 'oldest').startsWith(lapsed.rid))
    tab.leave()
  })

  it('keeps what it has read while a store is away, says so, and goes on when it is back', async () => {
    const eventId = await createSale(world, { stock: 7 })
    const tab = await openTab(world, eventId, headers)
    await tab.sees('free units', (view) => shown(view, 'free') === '7')
    await proxy.cut()
    const away = await tab.sees(
      'trouble',
      ({ parts }) => parts.gate.trouble !== null && (parts.gate.ageMs ?? 0) > 2_000,
    )
    expect(away.parts.gate.trouble).to.equal('The Redis of the stock does not answer.')
    expect(shown(away, 'free')).to.equal('7')
    expect(away.parts.sale).to.include({ trouble: null })
    await proxy.restore()
    // The first reading that comes through may have been asked for while the store was away.
    await tab.sees(
      'its return, with a young reading',
      ({ parts: { gate, books } }) =>
        gate.trouble === null && books.trouble === null && (gate.ageMs ?? Infinity) < 2_000,
    )
    tab.leave()
  })

  it('ends its streams when the process stops', async () => {
    const tab = await openTab(world, await createSale(world), headers)
    await Promise.all([running.stop(), tab.ended])
  })
})

import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createProduct, createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { createClient, type Client } from '../../support/http.ts'
import { samplesOf } from '../../support/metrics.ts'
import { exchange } from '../../support/sockets.ts'
import { openStream } from '../../support/streams.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the metrics of the API', () => {
  let world: World
  let root: Client
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    root = createClient(world.apiUrl)
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  const samples = () => samplesOf(world.apiUrl)

  it('count requests by method, route and status, and time them', async () => {
    const productId = await createProduct(world)
    for (let i = 0; i < 3; i++) await api('GET', `/products/${productId}`)
    await api('GET', '/products/not-an-id')
    const found = await samples()
    const labels = 'method="GET",route="/api/v1/products/:id"'
    expect(found.get(`http_requests_total{${labels},status="200"}`)).to.equal(3)
    expect(found.get(`http_requests_total{${labels},status="400"}`)).to.equal(1)
    expect(found.get(`http_request_duration_seconds_count{${labels}}`)).to.equal(4)
    expect(found.get('http_requests_in_flight')).to.equal(1)
    expect(found.get('process_resident_memory_bytes')).to.be.above(0)
  })

  it('count tries to buy by their outcome', async () => {
    const eventId = await createSale(world, { stock: 1 })
    const [first, second] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    for (const buyer of [first, first, second]) await buy(api, eventId, buyer)
    const found = await samples()
    expect(found.get('spike_purchases_total{outcome="queued"}')).to.equal(1)
    expect(found.get('spike_purchases_total{outcome="existing"}')).to.equal(1)
    expect(found.get('spike_purchases_total{outcome="all_held"}')).to.equal(1)
  })

  it('count what the broker says of each message', async () => {
    const published = async () =>
      (await samples()).get('spike_publishes_total{message="reservation.accepted",outcome="confirmed"}') ?? 0
    const before = await published()
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    await buy(api, await createSale(world), buyer)
    expect(await published()).to.equal(before + 1)
  })

  it('show the pool, the event loop and who it is', async () => {
    const found = await samples()
    expect(found.get('spike_process_info{role="api"}')).to.equal(1)
    expect(found.get('spike_postgres_pool_max')).to.be.above(1)
    const connections = (state: string) =>
      found.get(`spike_postgres_pool_connections{state="${state}"}`) ?? NaN
    expect(connections('used') + connections('free')).to.be.within(1, 30)
    expect(found.get('spike_postgres_pool_waiting')).to.equal(0)
    expect(found.get('nodejs_eventloop_lag_p99_seconds')).to.be.above(0)
  })

  it('count the streams that are open', async () => {
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    const bought = await buy(api, await createSale(world), buyer)
    expect((await samples()).get('spike_streams_open')).to.equal(0)
    const stream = await openStream(world, bought.body.data.reservation_id, buyer)
    expect((await samples()).get('spike_streams_open')).to.equal(1)
    stream.leave()
    await until('no stream', async () => (await samples()).get('spike_streams_open') === 0)
  })

  it('count lookups in the cache of products', async () => {
    const productId = await createProduct(world)
    const lookups = async () => {
      const found = await samples()
      return [...found].filter(([name]) => name.startsWith('spike_cache_lookups_total{cache="product"'))
    }
    const total = (counted: [string, number][]) => counted.reduce((sum, [, value]) => sum + value, 0)
    const before = total(await lookups())
    await api('GET', `/products/${productId}`)
    await api('GET', `/products/${productId}`)
    expect(total(await lookups())).to.equal(before + 2)
  })

  it('hold no word of a request in their labels', async () => {
    await exchange(world.apiUrl, 'PROPFIND /secret-path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    for (const path of [
      '/secret-path',
      '/api/v1/secret-path',
      '/api/v1/products/secret-id',
      '/docs/secret-file',
    ])
      await root('GET', path)
    await root('DELETE', '/api/v1/products?secret-query=1')
    const found = [...(await samples()).keys()]
    expect(found.filter((name) => name.includes('secret') || name.includes('PROPFIND'))).to.deep.equal([])
    expect(found.some((name) => name.includes('method="other",route="none",status="405"'))).to.equal(true)
  })
})

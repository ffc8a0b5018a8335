import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { byTrace, linksOf, openCollector, type Collector, type SeenSpan } from '../../support/collector.ts'
import { createClient, type Client } from '../../support/http.ts'
import { atRest } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const PURCHASE = 'POST /api/v1/spike-events/:id/orders'

/** What happens to a unit that is bought, not paid, and given back. */
const WAY_OF_A_UNIT = [
  `${PURCHASE} <- nothing`,
  `redis reserve <- ${PURCHASE}`,
  `publish reservation.accepted <- ${PURCHASE}`,
  'consume reservation.accepted <- publish reservation.accepted',
  'add create-order <- consume reservation.accepted',
  'process create-order <- add create-order',
  'sql decide <- process create-order',
  'redis confirm <- process create-order',
  'publish order.created <- consume reservation.accepted',
  'consume order.created <- publish order.created',
  'add close-order <- consume order.created',
  'process close-order <- add close-order',
  'sql close <- process close-order',
  'publish stock.released <- consume reservation.accepted',
  'consume stock.released <- publish stock.released',
  'add release-stock <- consume stock.released',
  'process release-stock <- add release-stock',
  'redis release <- process release-stock',
].sort()

describe('the trace of a purchase', () => {
  let collector: Collector
  let world: World
  let api: Client
  before(async () => {
    collector = await openCollector()
    world = await createWorld({
      RATE_LIMIT: 'off',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      TRACE_SAMPLE_RATIO: '1',
    })
    await world.start('api')
    await world.start('workers')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(async () => {
    await world.close()
    await collector.close()
  })

  const tracesOfPurchases = (): SeenSpan[][] =>
    [...byTrace(collector.spans()).values()].filter((spans) => spans.some(({ name }) => name === PURCHASE))
  const tracesWith = (name: string, eventId: string): SeenSpan[][] =>
    tracesOfPurchases().filter((spans) =>
      spans.some((span) => span.name === name && span.attributes['spike.event_id'] === eventId),
    )

  it('has one trace id over all spans, from the request to the release of its unit', async () => {
    const eventId = await createSale(world, { stock: 1, paymentWindowS: 1 })
    const [buyer] = await createBuyers(world, 1)
    if (buyer === undefined) throw new Error('no buyer')
    const reply = await buy(api, eventId, buyer)
    expect(reply.status, reply.text).to.equal(202)
    const [spans = []] = await until('the release to be told', () => {
      const found = tracesWith('redis release', eventId)
      return found.length > 0 && found
    })
    await atRest(world, eventId)

    expect(linksOf(spans)).to.deep.equal(WAY_OF_A_UNIT)
    expect(new Set(spans.map(({ traceId }) => traceId)).size).to.equal(1)
    const rid = reply.body.data.reservation_id
    const { traceparent } = await world.knex('reservations').where({ rid }).first('traceparent')
    expect(traceparent.split('-')[1]).to.equal(spans[0]?.traceId)
    const attributesOf = (name: string) => spans.find((span) => span.name === name)?.attributes
    expect(attributesOf(PURCHASE)).to.deep.equal({
      'http.request.method': 'POST',
      'http.response.status_code': 202,
      'http.route': '/api/v1/spike-events/:id/orders',
      'spike.request_id': reply.body.request_id,
    })
    expect(attributesOf('redis release')).to.deep.equal({
      'spike.event_id': eventId,
      'spike.rid': rid,
      'spike.outcome': 'released',
    })
    expect(attributesOf('publish reservation.accepted')).to.deep.equal({
      'messaging.message.id': rid,
      'spike.outcome': 'confirmed',
    })
    expect(attributesOf('sql close')).to.include({ 'spike.outcome': 'closed' })
  })

  it('is its own for each buyer of a crowd that is decided in batches', async () => {
    const eventId = await createSale(world, { stock: 20 })
    const buyers = await createBuyers(world, 20)
    const replies = await Promise.all(buyers.map((buyer) => buy(api, eventId, buyer)))
    expect(new Set(replies.map(({ status }) => status))).to.deep.equal(new Set([202]))
    const complete = () =>
      tracesWith('redis reserve', eventId).filter((spans) =>
        spans.some(({ name }) => name === 'process create-order'),
      )
    const traces = await until('twenty traces', () => complete().length === 20 && complete())
    await atRest(world, eventId)
    const decisions = traces.map((spans) => spans.filter(({ name }) => name === 'sql decide'))
    expect(decisions.map(({ length }) => length)).to.deep.equal(Array.from({ length: 20 }, () => 1))
    const sizes = decisions.flat().map(({ attributes }) => attributes['spike.batch_size'] as number)
    expect(Math.max(...sizes), 'members of a batch').to.be.above(1)
    for (const spans of traces) {
      expect(linksOf(spans).filter((link) => link.endsWith('a stranger'))).to.deep.equal([])
      const rids = spans.flatMap(({ attributes }) => attributes['spike.rid'] ?? [])
      expect(new Set(rids).size, 'reservations of a trace').to.equal(1)
    }
  })

  it('tells nothing that a buyer has sent, and nobody’s e-mail', async () => {
    const eventId = await createSale(world)
    const [buyer] = await createBuyers(world, 1)
    if (buyer === undefined) throw new Error('no buyer')
    const secret = 'hunter2-in-a-query'
    const login = { email: buyer.email, password: 'sesame-open-4715' }
    await api('POST', '/auth/login', { json: login })
    await api('GET', `/products?q=${secret}`, { headers: { 'user-agent': secret } })
    await buy(api, eventId, buyer)
    await until('it to be told', () => tracesWith('redis reserve', eventId).length > 0)
    await atRest(world, eventId)
    const raw = collector.raw()
    for (const word of [buyer.email, 'spike.test', buyer.access_token, login.password, secret, '127.0.0.1'])
      expect(raw.includes(word), word).to.equal(false)
    expect(raw).to.include('POST /api/v1/auth/login')
  })
})

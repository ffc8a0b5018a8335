import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { compose as composeApi } from '../../../src/compose.ts'
import { encodeMessage } from '../../../src/contracts/messages/message.ts'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { agedEntries } from '../../../src/reserve/log.ts'
import { traceIdOf } from '../../../src/platform/telemetry/traceparent.ts'
import { logRelay } from '../../../workers/relay/log-relay.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { openCollector, type Collector, type SeenSpan } from '../../support/collector.ts'
import { createClient } from '../../support/http.ts'
import { openSender, openTap } from '../../support/raw-messages.ts'
import { openNet } from '../../support/relays.ts'
import { accepted } from '../../support/reservations.ts'
import { newRid } from '../../support/rids.ts'
import { atRest } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const STRANGER = '0af7651916cd43dd8448eb211c80319c'
const SAMPLED = `00-${STRANGER}-b7ad6b7169203331-01`
const UNSAMPLED = `00-${STRANGER}-b7ad6b7169203331-00`

describe('traces at the boundaries of the product', () => {
  let collector: Collector
  before(async () => {
    collector = await openCollector()
  })
  after(() => collector.close())

  /** A world for one test, with tracing on unless told otherwise. */
  async function within(env: NodeJS.ProcessEnv, work: (world: World) => Promise<void>): Promise<void> {
    const tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, TRACE_SAMPLE_RATIO: '1' }
    const world = await createWorld({ ...tracing, RATE_LIMIT: 'off', ...env })
    try {
      await work(world)
    } finally {
      await world.close()
    }
  }

  const spansOf = (requestId: string): SeenSpan[] =>
    collector.spans().filter(({ attributes }) => attributes['spike.request_id'] === requestId)

  for (const [what, env] of [
    ['that is switched off', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }],
    ['that samples nothing', { TRACE_SAMPLE_RATIO: '0' }],
  ] as const)
    it(`leave nothing behind when it has tracing ${what}`, () =>
      within(env, async (world) => {
        const seenBefore = collector.spans().length
        await world.start('api')
        const tap = await openTap(world)
        const eventId = await createSale(world)
        const [buyer] = await createBuyers(world, 1)
        if (buyer === undefined) throw new Error('no buyer')
        const { body } = await buy(createClient(`${world.apiUrl}/api/v1`), eventId, buyer)
        const rid = body.data.reservation_id
        const [entry] = await world.redis.xrange(`{spike:${eventId}}:log`, '-', '+')
        expect(entry?.[1]).to.include(rid).and.to.not.include('traceparent')
        await world.start('workers')
        const messages = await tap.records(2) // order.created is the second one
        expect(messages.map(({ headers }) => Object.keys(headers))).to.deep.equal([
          ['x-signature'],
          ['x-signature'],
        ])
        await atRest(world, eventId)
        const { traceparent } = await world.knex('reservations').where({ rid }).first('traceparent')
        expect(traceparent).to.equal(null)
        const queue = openQueue('create-order', world.config.namespace, world.queueRedis)
        expect((await queue.getJob(`create-order-${rid}`))?.opts.telemetry).to.equal(undefined)
        await queue.close()
        await tap.close()
        expect(collector.spans().length).to.equal(seenBefore)
      }))

  it('ignore whatever a message says in place of a traceparent', () =>
    within({}, async (world) => {
      const forged = [
        SAMPLED.toUpperCase(),
        `${SAMPLED}-x`,
        UNSAMPLED,
        `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
      ]
      const garbage = [42, true, '', 'x'.repeat(50_000), { traceparent: SAMPLED }, [SAMPLED], ...forged]
      const eventId = await createSale(world, { stock: garbage.length })
      await world.start('workers')
      const sender = await openSender(world)
      for (const [i, { user_id: userId }] of (await createBuyers(world, garbage.length)).entries()) {
        const message = accepted(eventId, userId, { rid: newRid(eventId) })
        const headers = { traceparent: garbage[i] }
        await sender.sendSigned(reservationAccepted, encodeMessage(reservationAccepted, message), { headers })
      }
      const orders = () => world.knex('orders').where({ event_id: eventId })
      await until('all orders', async () => (await orders()).length === garbage.length)
      const traced = await world.knex('reservations').whereNotNull('traceparent')
      expect(traced).to.deep.equal([])
      const dead = openQueue('dead-letter', world.config.namespace, world.queueRedis)
      expect(await dead.getJobCounts('waiting', 'failed')).to.deep.equal({ waiting: 0, failed: 0 })
      await dead.close()
      await sender.close()
    }))

  it('are joined by callers of our own networks, who decide about the sampling', () =>
    within({ TRACE_SAMPLE_RATIO: '0' }, async (world) => {
      await world.start('api')
      const api = createClient(`${world.apiUrl}/api/v1`)
      const { body } = await api('GET', '/products', { headers: { traceparent: SAMPLED } })
      const [span] = await until(
        'the span',
        () => spansOf(body.request_id).length > 0 && spansOf(body.request_id),
      )
      expect(span).to.include({ traceId: STRANGER, parentSpanId: 'b7ad6b7169203331' })
    }))

  it('are neither joined nor prevented by strangers', () =>
    within(
      {
        APP_ENV: 'prod',
        RATE_LIMIT: 'on',
        INTERNAL_NETWORKS: '10.0.0.0/8',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      },
      async (world) => {
        await world.start('api')
        const api = createClient(`${world.apiUrl}/api/v1`)
        for (const traceparent of [SAMPLED, UNSAMPLED]) {
          const { body } = await api('GET', '/products', { headers: { traceparent } })
          const find = () => spansOf(body.request_id)
          const [span] = await until('the span', () => find().length > 0 && find())
          expect(span?.traceId).to.not.equal(STRANGER)
          expect(span?.parentSpanId).to.equal(undefined)
        }
      },
    ))

  it('are kept by the reservation log, so that a message that is published again belongs to its purchase', () =>
    within({}, async (world) => {
      await world.start('api') // tracing is on with it
      const eventId = await createSale(world)
      const tap = await openTap(world)
      const net = await openNet(world)
      const [buyer] = await createBuyers(world, 1)
      if (buyer === undefined) throw new Error('no buyer')
      const claim = {
        eventId,
        rid: newRid(eventId),
        userId: buyer.user_id,
        quantity: 1,
        requestId: 'request-1',
      }
      await world.scripts.reserve({ ...claim, traceparent: SAMPLED })
      const page = await agedEntries(world.redis, eventId, {
        olderThanMs: -1_000,
        limit: 10,
        from: undefined,
      })
      expect(page.entries.map(({ traceparent }) => traceparent)).to.deep.equal([SAMPLED])
      const relay = logRelay({ ...world, republisher: net.republisher, backlog: net.backlog })
      const [message] = await net.during(relay, () => tap.records(1))
      expect(traceIdOf(message?.headers.traceparent as string)).to.equal(STRANGER)
      expect(JSON.parse(message?.body.toString() ?? '')).to.not.have.property('traceparent')
      await net.close()
      await tap.close()
    }))

  it('are kept by the inbox, so that a job that is made again belongs to its purchase', () =>
    within({}, async (world) => {
      const eventId = await createSale(world)
      const [buyer] = await createBuyers(world, 1)
      if (buyer === undefined) throw new Error('no buyer')
      const message = accepted(eventId, buyer.user_id)
      await receiveReservations(world.knex, [{ ...message, traceparent: SAMPLED }])
      await world.knex('reservations').update({ received_at: world.knex.raw(`now() - interval '1 minute'`) })
      await world.start('workers')
      const names = await until('the verdict to be told', () => {
        const found = collector
          .spans()
          .filter(({ traceId }) => traceId === STRANGER)
          .map(({ name }) => name)
        return found.includes('process create-order') && found
      })
      expect(names).to.include.members(['add create-order', 'sql decide', 'redis confirm'])
    }))

  it('name themselves in the log lines of their request', () =>
    within({}, async (world) => {
      const lines: string[] = []
      const log = createLogger('api', 'info', { write: (line) => void lines.push(line) })
      const api = await composeApi(loadConfig(world.env), log)
      await api.start()
      await world.knex.raw('ALTER TABLE products RENAME TO products_away')
      try {
        const reply = await createClient(`${world.apiUrl}/api/v1`)('GET', '/products')
        expect(reply.status, reply.text).to.equal(500)
        const { request_id } = reply.body
        const line = JSON.parse(lines.find((one) => one.includes('request failed')) ?? '{}')
        const [span] = await until('the span', () => spansOf(request_id).length > 0 && spansOf(request_id))
        expect(line).to.include({ request_id, trace_id: span?.traceId, span_id: span?.spanId })
        expect(span?.attributes['http.response.status_code']).to.equal(500)
      } finally {
        await world.knex.raw('ALTER TABLE products_away RENAME TO products')
        await api.stop()
      }
    }))
})

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { Registry } from 'prom-client'
import { v7 as uuidv7 } from 'uuid'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import type { Loop } from '../../../src/platform/loop.ts'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { showDrift } from '../../../workers/metrics/drift.ts'
import { reconcile, type ReconcileWatch } from '../../../workers/sweep/reconcile.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { order, pay } from '../../support/buying.ts'
import { orderUnits } from '../../support/claims.ts'
import { createClient, type Client } from '../../support/http.ts'
import { samplesOf } from '../../support/metrics.ts'
import { Proxy } from '../../support/proxy.ts'
import { openSender, type Sender } from '../../support/raw-messages.ts'
import { accepted } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the metrics of the workers', () => {
  let world: World
  let broker: Sender
  let closing: Queue
  let api: Client
  let buyers: LoadBuyer[]

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    broker = await openSender(world)
    closing = openQueue('close-order', world.config.namespace, world.queueRedis)
    api = createClient(`${world.apiUrl}/api/v1`)
    buyers = await createBuyers(world, 10)
    await until('the listener', () => samplesOf(world.workersUrl).catch(() => undefined))
  })
  after(async () => {
    await broker.close()
    await closing.close()
    await world.close()
  })

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer
  const samples = () => samplesOf(world.workersUrl)
  const valueOf = async (name: string) => (await samples()).get(name) ?? 0

  /** Runs `work` and waits until it has moved each of these samples by at least so much. */
  async function expectMoved(moves: Record<string, number>, work: () => Promise<unknown>): Promise<void> {
    const before = await samples()
    await work()
    let moved: Record<string, number> = {}
    const isThere = async () => {
      const now = await samples()
      moved = Object.fromEntries(
        Object.keys(moves).map((name) => [name, (now.get(name) ?? 0) - (before.get(name) ?? 0)]),
      )
      return Object.entries(moves).every(([name, by]) => (moved[name] ?? 0) >= by)
    }
    await until('the samples to move', isThere, 10_000).catch(() => expect(moved).to.deep.equal(moves))
  }

  it('follow an order from the message to its lapse and the release of its unit', async () => {
    const eventId = await createSale(world, { paymentWindowS: 1 })
    await expectMoved(
      {
        'spike_bridge_messages_total{message="reservation.accepted",outcome="bridged"}': 1,
        'spike_bridge_messages_total{message="order.created",outcome="bridged"}': 1,
        'spike_bridge_messages_total{message="stock.released",outcome="bridged"}': 1,
        'spike_bridge_batch_size_count{message="reservation.accepted"}': 1,
        'spike_publishes_total{message="order.created",outcome="confirmed"}': 1,
        'spike_step_jobs_total{step="create-order",outcome="done"}': 1,
        'spike_step_jobs_total{step="close-order",outcome="done"}': 1,
        'spike_step_jobs_total{step="release-stock",outcome="done"}': 1,
        'spike_step_duration_seconds_count{step="create-order"}': 1,
        'spike_step_wait_seconds_count{step="create-order"}': 1,
        'spike_step_wait_seconds_count{step="close-order"}': 1,
      },
      () => order(api, eventId, nextBuyer()),
    )
    // A delayed job's wait begins when it is due.
    expect(await valueOf('spike_step_wait_seconds_sum{step="close-order"}')).to.be.below(1)
  })

  it('count a job that is put off, and one that has nothing to do', async () => {
    const buyer = nextBuyer()
    const { orderId } = await order(api, await createSale(world), buyer)
    const job = async () => closing.getJob(`close-order-${orderId}`)
    const promoted = async () => (await until('the close job', job)).promote()
    await expectMoved({ 'spike_step_jobs_total{step="close-order",outcome="later"}': 1 }, promoted)
    await pay(api, orderId, buyer)
    await until('the job to be put off', async () => (await job())?.isDelayed())
    await expectMoved({ 'spike_step_jobs_total{step="close-order",outcome="skipped"}': 1 }, promoted)
  })

  it('count a job that can never work, and keep its dead letter in sight', async () => {
    const order_id = uuidv7()
    await expectMoved({ 'spike_step_jobs_total{step="close-order",outcome="failed"}': 1 }, () =>
      closing.add('close-order', { order_id }, { jobId: `close-order-${order_id}` }),
    )
    await until('the dead letter', async () => (await valueOf('spike_dead_letters')) >= 1)
  })

  it('count messages that were parked, and reservations that came twice', async () => {
    await expectMoved(
      {
        'spike_bridge_messages_total{message="reservation.accepted",outcome="parked"}': 1,
        'spike_publishes_total{message="dead-letter",outcome="confirmed"}': 1,
      },
      () => broker.send(world.topology.queueOf(reservationAccepted), { no: 'sense' }),
    )
    const message = accepted(await createSale(world), nextBuyer().user_id)
    await expectMoved({ spike_bridge_duplicates_total: 1 }, async () => {
      await broker.sendGenuine(reservationAccepted, message)
      await broker.sendGenuine(reservationAccepted, message)
    })
  })

  it('show what waits, and how old it is', async () => {
    await world.knex('outbox').delete() // the relay would publish what is put there now
    const found = await samples()
    for (const message of ['reservation.accepted', 'order.created', 'stock.released', 'dead-letter'])
      expect(found.get(`spike_queue_messages{message="${message}"}`), message).to.equal(0)
    for (const step of ['create-order', 'close-order', 'release-stock']) {
      for (const state of ['waiting', 'active', 'delayed', 'failed'])
        expect(found.get(`spike_queue_jobs{step="${step}",state="${state}"}`), state).to.be.at.least(0)
      expect(found.get(`spike_queue_oldest_seconds{step="${step}"}`), step).to.be.at.least(0)
    }
    for (const name of ['outbox_unpublished', 'outbox_oldest_seconds', 'orders_overdue', 'refunds_open'])
      expect(found.get(`spike_${name}`), name).to.equal(0)
    expect(found.get('spike_reservation_log_entries')).to.be.at.least(0)
  })

  it('show the drift of events that are followed', async () => {
    const eventId = await createSale(world)
    await until('drift', async () => (await samples()).get(`spike_drift_units{event_id="${eventId}"}`) === 0)
    expect(await valueOf('spike_drift_age_seconds')).to.be.below(10)
  })

  it('hold no id of a buyer, a reservation or an order', async () => {
    const ids: { id: string }[] = await world
      .knex('users')
      .select('id')
      .unionAll(world.knex('orders').select('id'))
    expect(ids.length).to.be.above(10)
    const names = [...(await samples()).keys()].join('\n')
    expect(ids.filter(({ id }) => names.includes(id))).to.deep.equal([])
  })

  it('are behind health and readiness', async () => {
    const json = async (path: string) => (await fetch(`${world.workersUrl}${path}`)).json()
    expect(await json('/healthz')).to.deep.equal({ status: 'ok' })
    expect(await json('/readyz')).to.deep.equal({
      status: 'ready',
      checks: { postgres: 'ok', redis: 'ok', queue_redis: 'ok', rabbitmq: 'ok', consumers: 'ok' },
    })
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/constructor'],
      ['POST', '/metrics'],
    ] as const)
      expect((await fetch(`${world.workersUrl}${path}`, { method })).status, path).to.equal(404)
  })
})

describe('what the reconcile loop tells', () => {
  let world: World
  let registry: Registry
  let loop: Loop
  let passes = 0

  before(async () => {
    world = await createWorld()
    registry = new Registry()
    const watch = showDrift(registry)
    const compared: ReconcileWatch['compared'] = (...found) => {
      watch.compared(...found)
      passes++
    }
    loop = reconcile({ ...world, backlog: async () => 0, watch: { ...watch, compared } })
    loop.start()
    await until('the first pass', () => passes > 0)
  })
  after(async () => {
    await loop.stop()
    await world.close()
  })

  const text = () => registry.metrics()
  /** Lets the loop pass once, and never in mid-pass, which would make it pass twice: what one pass tells is seen. */
  const pass = async () => {
    const before = passes
    loop.wake()
    await until('a pass', () => passes > before)
  }
  /** Lets the loop pass until this line is there. */
  const shows = (line: string, isThere = true) =>
    until(`${isThere ? '' : 'no '}${line}`, async () => {
      await pass()
      return (await text()).includes(line) === isThere
    })

  it('shows no drift before it has compared anything', async () => {
    const unread = new Registry()
    showDrift(unread)
    const names = (await unread.metrics()).match(/^spike_\w+/gm)
    expect(names, 'but since when it has compared nothing').to.deep.equal(['spike_drift_age_seconds'])
  })

  it('is drift while it is there, what explains it, and that it was mended', async () => {
    const eventId = await createSale(world, { stock: 3 })
    const drift = `spike_drift_units{event_id="${eventId}"}`
    await shows(`${drift} 0`)
    await world.redis.decr(spikeKeys(eventId).stock)
    await shows(`${drift} 1`)
    expect(await text()).to.include(`spike_findings{event_id="${eventId}",kind="miscounted"} 1`)
    await shows(`${drift} 0`)
    await shows('spike_repairs_total{kind="rebuild"} 1')
    expect(await text()).not.to.include('spike_findings{')
    // An event that is not followed any more is not shown.
    await world.knex('spike_events').where({ id: eventId }).update({ status: 'draft' })
    await shows(drift, false)
  })

  it('is a finding where a hold was deleted by hand, and that it was mended', async () => {
    const eventId = await createSale(world, { stock: 3 })
    const [ordered] = await orderUnits(world, eventId, 1)
    await world.redis.hdel(spikeKeys(eventId).states, ordered?.rid ?? '')
    await shows(`spike_findings{event_id="${eventId}",kind="unconfirmed"} 1`)
    await shows(`spike_findings{event_id="${eventId}"`, false)
    await shows(`spike_drift_units{event_id="${eventId}"} 0`)
  })

  it('is nothing while PostgreSQL can not be asked', async () => {
    const eventId = await createSale(world)
    await shows(`spike_drift_units{event_id="${eventId}"} 0`)
    const proxy = await Proxy.before(world.config.databaseUrl)
    const { log } = world
    const url = proxy.urlOf(world.config.databaseUrl)
    const knex = createPostgres({ url, applicationName: 'spike-test', poolMax: 1 }, log)
    const own = new Registry()
    const other = reconcile({ ...world, knex, backlog: async () => 0, watch: showDrift(own) })
    const isShown = async () => {
      other.wake()
      return (await own.metrics()).includes(eventId)
    }
    try {
      other.start()
      await until('drift', isShown)
      await proxy.cut()
      await until('no drift', async () => !(await isShown()))
      const age = async () => Number(/^spike_drift_age_seconds (.+)$/m.exec(await own.metrics())?.[1])
      // It goes on failing, and does not call that a comparison.
      await until('the age to grow', async () => (await isShown()) || (await age()) > 1)
      expect(await isShown()).to.equal(false)
    } finally {
      await other.stop()
      await knex.destroy()
      await proxy.cut()
    }
  })
})

describe('the listener of the workers', () => {
  const statusOf = (url: string) =>
    fetch(url).then(
      ({ status }) => status,
      () => 'closed',
    )

  it('in prod tells metrics and checks to its own networks only', async () => {
    const world = await createWorld({ APP_ENV: 'prod', INTERNAL_NETWORKS: '10.0.0.0/8' })
    try {
      await world.start('workers')
      await until('the listener', async () => (await statusOf(`${world.workersUrl}/healthz`)) === 200)
      expect(await statusOf(`${world.workersUrl}/metrics`)).to.equal(404)
      expect(await (await fetch(`${world.workersUrl}/readyz`)).json()).to.deep.equal({ status: 'ready' })
    } finally {
      await world.close()
    }
  })

  it('is nowhere when its port is 0, and waits for one that is taken while they work', async () => {
    const taken = createServer((_request, response) => void response.writeHead(418).end()).listen(
      0,
      '127.0.0.1',
    )
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const world = await createWorld({ WORKERS_PORT: String(port) })
    try {
      const workers = await world.start('workers')
      expect(await statusOf(`${world.workersUrl}/healthz`)).to.equal(418)
      taken.close()
      taken.closeAllConnections()
      await until('the listener', async () => (await statusOf(`${world.workersUrl}/readyz`)) === 200)
      await workers.stop()
      expect(await statusOf(`${world.workersUrl}/healthz`)).to.equal('closed')
    } finally {
      await world.close()
    }
  })
})

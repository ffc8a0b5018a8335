/** Composition root of the workers process: the bridge, the three steps behind it, and the net. */
import type { Worker } from 'bullmq'
import type { Knex } from 'knex'
import { closeOrderJob, type CloseOrderPayload } from '../src/contracts/jobs/close-order.ts'
import { createOrderJob, type CreateOrderPayload } from '../src/contracts/jobs/create-order.ts'
import { deadLetterJob, type DeadLetter } from '../src/contracts/jobs/dead-letter.ts'
import { releaseStockJob, type ReleaseStockPayload } from '../src/contracts/jobs/release-stock.ts'
import { reservationAccepted } from '../src/contracts/messages/reservation-accepted.ts'
import { MessageSigner } from '../src/contracts/messages/signature.ts'
import { declareTopology, topologyOf, type Topology } from '../src/contracts/messages/topology.ts'
import { POOL_MAX } from '../src/contracts/pools.ts'
import type { PaymentProvider } from '../src/payments/provider.ts'
import { SimulatedProvider } from '../src/payments/simulated-provider.ts'
import { JobProducer, type JobDefinition } from '../src/platform/bullmq/job.ts'
import { producerName } from '../src/platform/bullmq/process-tag.ts'
import { Watchdog } from '../src/platform/bullmq/watchdog.ts'
import { startStepWorker, type JobHandler } from '../src/platform/bullmq/worker.ts'
import type { Config } from '../src/platform/config.ts'
import { StopList, type Running } from '../src/platform/lifecycle.ts'
import type { Loop } from '../src/platform/loop.ts'
import type { Logger } from '../src/platform/logger.ts'
import { contactPostgres, createPostgres } from '../src/platform/postgres/client.ts'
import { isTransient } from '../src/platform/postgres/transaction.ts'
import { closeRabbit, connectRabbit } from '../src/platform/rabbitmq/connection.ts'
import { queueDepth } from '../src/platform/rabbitmq/queue-depth.ts'
import { ConfirmPublisher, type OutgoingMessage } from '../src/platform/rabbitmq/publisher.ts'
import {
  contactDurableRedis,
  contactRedis,
  createQueueRedis,
  createRedis,
  createWorkerRedis,
} from '../src/platform/redis/client.ts'
import { loadScripts, type Scripts } from '../src/platform/redis/define-script.ts'
import { onServerReady, type RedisClient } from '../src/platform/redis/nodes.ts'
import { startTracing } from '../src/platform/telemetry/tracing.ts'
import { spikeScripts } from '../src/reserve/scripts.ts'
import { bridgeConsumers } from './bridge/consumers.ts'
import { letterOfJob, parkWith } from './bridge/dead-letters.ts'
import { closeOrderHandler } from './close-order/handler.ts'
import { createOrderHandler } from './create-order/handler.ts'
import { workersListener } from './listener.ts'
import { createWorkersMetrics, type WorkersMetrics } from './metrics/metrics.ts'
import { showStanding } from './metrics/standing.ts'
import { logRelay } from './relay/log-relay.ts'
import { refundRelay } from './relay/refund-relay.ts'
import { outboxRelay } from './relay/outbox-relay.ts'
import { Republisher } from './relay/republisher.ts'
import { releaseStockHandler } from './release-stock/handler.ts'
import { retention } from './sweep/retention.ts'
import { stuckHolds } from './sweep/stuck-holds.ts'
import { reconcile, type ReconcileWatch } from './sweep/reconcile.ts'
import { catchUp, closeOverdue } from './sweep/sweep.ts'
import { triage } from './sweep/triage.ts'

/** Jobs of one step in hand at the same time; more than a batch, so that the next batch fills meanwhile. */
const CONCURRENCY = 250
const MAX_UNCONFIRMED = 5_000
const PAYMENT_DELAY_MS = 50
/** Time to finish the messages and the jobs in hand; what takes longer is taken over by another process. */
const WORK_WITHIN_MS = 7_000

/**
 * Builds the workers. Stop order: consumers, workers drain, relays and sweep, publishers, producers, stores.
 * @throws ServiceError when a store or the broker can't be used
 */
export async function compose(config: Config, log: Logger): Promise<Running> {
  const parts = new StopList(log)
  try {
    const start = await assemble(config, log, parts)
    return { start, stop: () => parts.stop() }
  } catch (error) {
    await parts.stop()
    throw error
  }
}

async function assemble(config: Config, log: Logger, parts: StopList): Promise<() => Promise<void>> {
  const tracing = await startTracing(config, 'workers', log)
  parts.add('tracing', () => tracing.stop())
  const { knex, redis, queueRedis, workerRedis } = await openStores(config, log, parts)
  const scripts = loadScripts(redis, spikeScripts)
  const signer = new MessageSigner(config.jwtSecret)
  const metrics = createWorkersMetrics(knex)
  const broker = await openBroker(config, { signer, metrics }, log, parts)
  const { consuming, publisher, deadPublisher, topology } = broker

  const producer = <S extends string, P>(definition: JobDefinition<S, P>): JobProducer<S, P> => {
    const made = new JobProducer(definition, config.namespace, queueRedis)
    parts.add(`producer ${definition.step}`, () => made.close())
    return made
  }
  const createOrders = producer(createOrderJob)
  const closeOrders = producer(closeOrderJob)
  const releases = producer(releaseStockJob)
  const deadLetters = producer(deadLetterJob)

  const provider = new SimulatedProvider({
    callbackUrl: config.paymentCallbackUrl,
    secret: config.paymentSecret,
    delayMs: PAYMENT_DELAY_MS,
    log,
  })
  parts.add('payment provider', () => provider.stop(), 5_000)
  const backlog = () => queueDepth(consuming, topology.queueOf(reservationAccepted))
  const stores = { knex, redis, scripts, log }
  const queues = { createOrders, closeOrders, releases, deadLetters }
  const net = netOf({
    ...stores,
    ...queues,
    publisher,
    provider,
    signer,
    topology,
    backlog,
    watch: metrics.reconcile,
  })
  const broom = retention({ ...stores, days: config.retentionDays, watch: metrics.removed })
  const loops = [...net, ...broom]
  parts.add('relay and sweep', () => Promise.all(loops.map((loop) => loop.stop())))

  const watchdogs: Watchdog[] = []
  const work = <S extends string, P>(
    definition: JobDefinition<S, P>,
    { queue }: JobProducer<S, P>,
    handler: JobHandler<P>,
  ): Worker => {
    const watchdog = new Watchdog({ queue, exit: () => process.exit(1), log })
    watchdogs.push(watchdog)
    return startStepWorker({
      definition,
      handler: watchdog.noticing(handler),
      exhausted: (job) => deadLetters.addBulk([{ payload: letterOfJob(job) }]),
      isOutage: isTransient,
      watch: metrics.jobs,
      concurrency: CONCURRENCY,
      namespace: config.namespace,
      connection: workerRedis,
      log,
    })
  }
  const startWorkers = () => [
    work(createOrderJob, createOrders, createOrderHandler({ knex, scripts, log })),
    work(closeOrderJob, closeOrders, closeOrderHandler({ knex })),
    work(releaseStockJob, releases, releaseStockHandler({ knex, scripts })),
  ]

  const consumers = bridgeConsumers({
    knex,
    ...queues,
    bridge: {
      connection: consuming,
      topology,
      signer,
      park: parkWith(deadPublisher),
      watch: metrics.bridge,
      log,
    },
  })

  const { registry } = metrics
  showStanding(registry, { ...stores, ...queues, queueRedis, topology, connection: consuming })
  const listener = workersListener({ ...stores, config, registry, queueRedis, publisher, consumers })
  parts.add('listener', () => listener.stop(), 5_000)

  return async () => {
    const workers = startWorkers()
    parts.add('workers', () => Promise.all(workers.map((worker) => worker.close())), WORK_WITHIN_MS)
    parts.add('watchdogs', () => Promise.all(watchdogs.map((watchdog) => watchdog.stop())))
    for (const loop of [...loops, ...watchdogs]) loop.start()
    parts.add('consumers', () => Promise.all(consumers.map((consumer) => consumer.stop())), WORK_WITHIN_MS)
    await Promise.all(consumers.map((consumer) => consumer.start()))
    await listener.start()
    log.info('workers are running')
  }
}

interface Net extends Stores {
  createOrders: JobProducer<'create-order', CreateOrderPayload>
  closeOrders: JobProducer<'close-order', CloseOrderPayload>
  releases: JobProducer<'release-stock', ReleaseStockPayload>
  deadLetters: JobProducer<'dead-letter', DeadLetter>
  publisher: ConfirmPublisher
  provider: PaymentProvider
  signer: MessageSigner
  topology: Topology
  backlog: () => Promise<number>
  watch: ReconcileWatch
}

interface Stores {
  knex: Knex
  redis: RedisClient
  scripts: Scripts<typeof spikeScripts>
  log: Logger
}

/** Relay and sweep: what looks after everything that the queues forget. */
function netOf(deps: Net): Loop[] {
  const { redis, scripts, publisher, log } = deps
  const republisher = new Republisher({ scripts, publisher, log: log.child({ step: 'relay' }) })
  const following = catchUp({ sale: deps, rebuild: deps, createOrders: deps.createOrders, log })
  // A Redis that comes back may have lost something: buyers shall not wait for the next pass.
  onServerReady(redis, () => following.wake())
  return [
    outboxRelay(deps),
    logRelay({ ...deps, republisher }),
    stuckHolds({ ...deps, republisher }),
    refundRelay(deps),
    closeOverdue(deps),
    following,
    reconcile(deps),
    triage(deps),
  ]
}

async function openStores(
  config: Config,
  log: Logger,
  parts: StopList,
): Promise<{ knex: Knex; redis: RedisClient; queueRedis: RedisClient; workerRedis: RedisClient }> {
  const knex = createPostgres(
    { url: config.databaseUrl, applicationName: 'spike-workers', poolMax: POOL_MAX.workers },
    log,
  )
  parts.add('postgres', () => knex.destroy())
  await contactPostgres(knex, config.databaseUrl)
  const redis = createRedis(config.redisUrl, 'spike-workers', log)
  const queueRedis = createQueueRedis(config.queueRedisUrl, producerName(config.namespace, 'workers'), log)
  const workerRedis = createWorkerRedis(config.queueRedisUrl, 'spike-workers-jobs', log)
  parts.add('redis', async () => [redis, queueRedis, workerRedis].forEach((client) => client.disconnect()))
  await contactDurableRedis(redis, 'REDIS_URL', config.redisUrl)
  await contactRedis(queueRedis, 'QUEUE_REDIS_URL', config.queueRedisUrl)
  await contactRedis(workerRedis, 'QUEUE_REDIS_URL', config.queueRedisUrl)
  return { knex, redis, queueRedis, workerRedis }
}

/** Publishers and consumers have connections of their own: an alarm of the broker blocks a whole connection. */
async function openBroker(
  config: Config,
  { signer, metrics }: { signer: MessageSigner; metrics: WorkersMetrics },
  log: Logger,
  parts: StopList,
) {
  const topology = topologyOf(config.namespace)
  const publishing = await connectRabbit(config.amqpUrl, 'spike-workers publisher', log)
  parts.add('rabbitmq publishers', () => closeRabbit(publishing))
  const consuming = await connectRabbit(config.amqpUrl, 'spike-workers consumer', log)
  parts.add('rabbitmq consumers', () => closeRabbit(consuming))
  const open = async (
    exchange: string,
    headersOf?: (message: OutgoingMessage) => Record<string, string>,
  ): Promise<ConfirmPublisher> => {
    const publisher = new ConfirmPublisher({
      connection: publishing,
      exchange,
      maxUnconfirmed: MAX_UNCONFIRMED,
      prepare: (channel) => declareTopology(channel, topology),
      ...(headersOf === undefined ? {} : { headersOf }),
      onOutcome: metrics.publishes,
      log,
    })
    parts.add(`publisher ${exchange}`, () => publisher.stop())
    await publisher.start()
    return publisher
  }
  const publisher = await open(topology.exchange, (message) => signer.headersOf(message))
  const deadPublisher = await open(topology.deadExchange) // what is parked keeps the signature that it has
  return { consuming, publisher, deadPublisher, topology }
}

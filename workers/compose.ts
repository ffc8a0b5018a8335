/** Composition root of the workers process: the bridge, the three steps behind it, and the net. */
import type { Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { Knex } from 'knex'
import { closeOrderJob, type CloseOrderPayload } from '../src/contracts/jobs/close-order.ts'
import { createOrderJob, type CreateOrderPayload } from '../src/contracts/jobs/create-order.ts'
import { deadLetterJob, type DeadLetter } from '../src/contracts/jobs/dead-letter.ts'
import { releaseStockJob } from '../src/contracts/jobs/release-stock.ts'
import { orderCreated } from '../src/contracts/messages/order-created.ts'
import { reservationAccepted } from '../src/contracts/messages/reservation-accepted.ts'
import { stockReleased, type StockReleased } from '../src/contracts/messages/stock-released.ts'
import { declareTopology, topologyOf, type Topology } from '../src/contracts/messages/topology.ts'
import { receiveReservations } from '../src/orders/inbox.ts'
import { SimulatedProvider } from '../src/payments/simulated-provider.ts'
import { JobProducer, type JobDefinition } from '../src/platform/bullmq/job.ts'
import { startStepWorker, type JobHandler } from '../src/platform/bullmq/worker.ts'
import type { Config } from '../src/platform/config.ts'
import { StopList, type Running } from '../src/platform/lifecycle.ts'
import type { Logger } from '../src/platform/logger.ts'
import { contactPostgres, createPostgres } from '../src/platform/postgres/client.ts'
import type { BatchConsumer } from '../src/platform/rabbitmq/batch-consumer.ts'
import { closeRabbit, connectRabbit, type RabbitConnection } from '../src/platform/rabbitmq/connection.ts'
import { queueDepth } from '../src/platform/rabbitmq/queue-depth.ts'
import { ConfirmPublisher } from '../src/platform/rabbitmq/publisher.ts'
import {
  contactRedis,
  createQueueRedis,
  createRedis,
  createWorkerRedis,
} from '../src/platform/redis/client.ts'
import { loadScripts } from '../src/platform/redis/define-script.ts'
import { spikeScripts } from '../src/reserve/scripts.ts'
import { bridgeConsumer, type Park } from './bridge/bridge.ts'
import { deadLetterConsumer, letterOfJob, parkWith } from './bridge/dead-letters.ts'
import { closeOrderHandler } from './close-order/handler.ts'
import { createOrderHandler } from './create-order/handler.ts'
import { logRelay } from './relay/log-relay.ts'
import { refundRelay } from './relay/refund-relay.ts'
import { outboxRelay } from './relay/outbox-relay.ts'
import { releaseStockHandler } from './release-stock/handler.ts'
import { catchUp, closeOverdue } from './sweep/sweep.ts'

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
  const { knex, redis, queueRedis, workerRedis } = await openStores(config, log, parts)
  const scripts = loadScripts(redis, spikeScripts)
  const { consuming, publisher, deadPublisher, topology } = await openBroker(config, log, parts)

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
  const loops = [
    outboxRelay({ knex, publisher, log }),
    logRelay({ knex, redis, scripts, publisher, log }),
    refundRelay({ knex, provider, log }),
    closeOverdue({ knex, log }),
    catchUp({
      sale: { knex, redis, scripts, log },
      rebuild: { knex, redis, scripts, backlog, log },
      createOrders,
      log,
    }),
  ]
  parts.add('relay and sweep', () => Promise.all(loops.map((loop) => loop.stop())))

  const work = <S extends string, P>(definition: JobDefinition<S, P>, handler: JobHandler<P>): Worker =>
    startStepWorker({
      definition,
      handler,
      exhausted: (job) => deadLetters.addBulk([{ payload: letterOfJob(job) }]),
      concurrency: CONCURRENCY,
      namespace: config.namespace,
      connection: workerRedis,
      log,
    })
  const startWorkers = () => [
    work(createOrderJob, createOrderHandler({ knex, scripts, log })),
    work(closeOrderJob, closeOrderHandler({ knex })),
    work(releaseStockJob, releaseStockHandler({ scripts })),
  ]

  const consumers = bridgeConsumers({
    knex,
    createOrders,
    closeOrders,
    releases,
    deadLetters,
    bridge: { connection: consuming, topology, park: parkWith(deadPublisher), log },
  })

  return async () => {
    const workers = startWorkers()
    parts.add('workers', () => Promise.all(workers.map((worker) => worker.close())), WORK_WITHIN_MS)
    for (const loop of loops) loop.start()
    parts.add('consumers', () => Promise.all(consumers.map((consumer) => consumer.stop())), WORK_WITHIN_MS)
    await Promise.all(consumers.map((consumer) => consumer.start()))
    log.info('workers are running')
  }
}

interface BridgeDependencies {
  knex: Knex
  createOrders: JobProducer<'create-order', CreateOrderPayload>
  closeOrders: JobProducer<'close-order', CloseOrderPayload>
  releases: JobProducer<'release-stock', StockReleased>
  deadLetters: JobProducer<'dead-letter', DeadLetter>
  bridge: { connection: RabbitConnection; topology: Topology; park: Park; log: Logger }
}

/** Three kinds of message to three queues, and the dead letters of the broker to theirs. */
function bridgeConsumers({
  knex,
  createOrders,
  closeOrders,
  releases,
  deadLetters,
  bridge,
}: BridgeDependencies): BatchConsumer[] {
  return [
    bridgeConsumer({
      ...bridge,
      message: reservationAccepted,
      forward: async (batch) => {
        await receiveReservations(knex, batch)
        await createOrders.addBulk(batch.map(({ rid }) => ({ payload: { rid } })))
      },
    }),
    bridgeConsumer({
      ...bridge,
      message: orderCreated,
      forward: (batch) =>
        closeOrders.addBulk(
          batch.map(({ order_id, expires_at_ms }) => ({
            payload: { order_id },
            // The deadline is PostgreSQL's; a clock that is off here only makes the job come early or late.
            delayMs: expires_at_ms - Date.now(),
          })),
        ),
    }),
    bridgeConsumer({
      ...bridge,
      message: stockReleased,
      forward: (batch) => releases.addBulk(batch.map((payload) => ({ payload }))),
    }),
    deadLetterConsumer({
      ...bridge,
      keep: (letters) => deadLetters.addBulk(letters.map((payload) => ({ payload }))),
    }),
  ]
}

async function openStores(
  config: Config,
  log: Logger,
  parts: StopList,
): Promise<{ knex: Knex; redis: Redis; queueRedis: Redis; workerRedis: Redis }> {
  const knex = createPostgres({ url: config.databaseUrl, applicationName: 'spike-workers', poolMax: 12 }, log)
  parts.add('postgres', () => knex.destroy())
  await contactPostgres(knex, config.databaseUrl)
  const redis = createRedis(config.redisUrl, 'spike-workers', log)
  const queueRedis = createQueueRedis(config.queueRedisUrl, 'spike-workers producer', log)
  const workerRedis = createWorkerRedis(config.queueRedisUrl, 'spike-workers worker', log)
  parts.add('redis', async () => [redis, queueRedis, workerRedis].forEach((client) => client.disconnect()))
  await contactRedis(redis, 'REDIS_URL', config.redisUrl)
  await contactRedis(queueRedis, 'QUEUE_REDIS_URL', config.queueRedisUrl)
  await contactRedis(workerRedis, 'QUEUE_REDIS_URL', config.queueRedisUrl)
  return { knex, redis, queueRedis, workerRedis }
}

/** Publishers and consumers have connections of their own: an alarm of the broker blocks a whole connection. */
async function openBroker(config: Config, log: Logger, parts: StopList) {
  const topology = topologyOf(config.namespace)
  const publishing = await connectRabbit(config.amqpUrl, 'spike-workers publisher', log)
  parts.add('rabbitmq publishers', () => closeRabbit(publishing))
  const consuming = await connectRabbit(config.amqpUrl, 'spike-workers consumer', log)
  parts.add('rabbitmq consumers', () => closeRabbit(consuming))
  const open = async (exchange: string): Promise<ConfirmPublisher> => {
    const publisher = new ConfirmPublisher({
      connection: publishing,
      exchange,
      maxUnconfirmed: MAX_UNCONFIRMED,
      prepare: (channel) => declareTopology(channel, topology),
      log,
    })
    parts.add(`publisher ${exchange}`, () => publisher.stop())
    await publisher.start()
    return publisher
  }
  const publisher = await open(topology.exchange)
  const deadPublisher = await open(topology.deadExchange)
  return { consuming, publisher, deadPublisher, topology }
}

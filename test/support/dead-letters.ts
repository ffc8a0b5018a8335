/** Dead letters planted straight into their queue, and what people do to them, as the dashboard does it. */
import { randomUUID } from 'node:crypto'
import type { Actor } from '../../src/audit/audit.ts'
import { closeOrderJob } from '../../src/contracts/jobs/close-order.ts'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { deadLetterJob, type DeadLetter } from '../../src/contracts/jobs/dead-letter.ts'
import { releaseStockJob } from '../../src/contracts/jobs/release-stock.ts'
import { encodeMessage, type MessageDefinition } from '../../src/contracts/messages/message.ts'
import { MessageSigner, SIGNATURE_HEADER } from '../../src/contracts/messages/signature.ts'
import { declareTopology } from '../../src/contracts/messages/topology.ts'
import { listDeadLetters, type LetterGroup } from '../../src/dead-letters/letters.ts'
import type { DeadLetterDependencies, Replayed } from '../../src/dead-letters/replay.ts'
import { JobProducer } from '../../src/platform/bullmq/job.ts'
import { closeRabbit, connectRabbit } from '../../src/platform/rabbitmq/connection.ts'
import { ConfirmPublisher } from '../../src/platform/rabbitmq/publisher.ts'
import { createAccount } from '../factories/accounts.ts'
import { signatureOn } from './raw-messages.ts'
import type { World } from './world.ts'

export interface Undertaker extends DeadLetterDependencies {
  /** Keeps letters as the bridge does. */
  plant(...letters: Partial<DeadLetter>[]): Promise<void>
  groups(): Promise<LetterGroup[]>
  letters(): Promise<DeadLetter[]>
  /** Makes BullMQ refuse to remove a letter. @returns ends that */
  lock(id: string): Promise<() => Promise<unknown>>
  close(): Promise<void>
}

export async function openUndertaker(world: World): Promise<Undertaker> {
  const { config, knex, redis, queueRedis, topology, log } = world
  const connection = await connectRabbit(config.amqpUrl, 'spike-test', log)
  const returns = new ConfirmPublisher({
    connection,
    exchange: topology.exchange,
    maxUnconfirmed: 100,
    prepare: (channel) => declareTopology(channel, topology),
    log,
  })
  await returns.start()
  const createOrders = new JobProducer(createOrderJob, config.namespace, queueRedis)
  const closeOrders = new JobProducer(closeOrderJob, config.namespace, queueRedis)
  const releases = new JobProducer(releaseStockJob, config.namespace, queueRedis)
  const deadLetters = new JobProducer(deadLetterJob, config.namespace, queueRedis)
  const list = () => listDeadLetters(deadLetters.queue, { offset: 0, limit: 1_000 })
  return {
    knex,
    redis,
    topology,
    log,
    returns,
    createOrders,
    closeOrders,
    releases,
    deadLetters,
    signer: new MessageSigner(config.jwtSecret),
    plant: (...letters) => deadLetters.addBulk(letters.map((letter) => ({ payload: letterLike(letter) }))),
    groups: async () => (await list()).groups,
    letters: async () => (await list()).letters.map(({ letter }) => letter),
    async lock(id) {
      const key = `${deadLetters.queue.toKey(`dead-letter-${id}`)}:lock`
      await queueRedis.set(key, 'somebody')
      return () => queueRedis.del(key)
    },
    async close() {
      for (const producer of [createOrders, closeOrders, releases, deadLetters]) await producer.close()
      await returns.stop()
      await closeRabbit(connection)
    },
  }
}

/** A letter of a genuine message, which the triage has given up on. */
export function letterOfMessage<P extends object>(
  world: World,
  message: MessageDefinition<P>,
  payload: P,
  letter: Partial<DeadLetter> = {},
): Partial<DeadLetter> {
  const body = encodeMessage(message, payload)
  return {
    source: 'message',
    origin: world.topology.queueOf(message),
    payload: body.toString(),
    signature: signatureOn(world, message, body)[SIGNATURE_HEADER],
    ...letter,
  }
}

/** An operator who presses a button once. */
export async function actorIn(world: World): Promise<Actor & { userId: string }> {
  const { id } = await createAccount(world, 'operator')
  return { userId: id, requestId: 'test', idempotencyKey: randomUUID() }
}

export const NOTHING_REPLAYED: Replayed = {
  letters: 0,
  settled: 0,
  returned: 0,
  waiting: 0,
  hopeless: 0,
  left: 0,
  interrupted: false,
}

export const auditOf = (world: World, action: string) =>
  world.knex('audit_log').where({ action }).orderBy('id')

function letterLike(letter: Partial<DeadLetter>): DeadLetter {
  return {
    id: randomUUID(),
    source: 'job',
    origin: 'create-order',
    reason: 'a bug of then',
    attempts: 10,
    payload: {},
    replays: 10,
    replayed_at: new Date().toISOString(),
    dead_at: new Date().toISOString(),
    ...letter,
  }
}

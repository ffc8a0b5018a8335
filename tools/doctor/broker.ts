import { randomUUID } from 'node:crypto'
import type { Channel, ChannelModel } from 'amqplib'
import { piecesOf, topologyOf } from '../../src/contracts/messages/topology.ts'
import type { Config } from '../../src/platform/config.ts'
import { nodeUrls } from '../../src/platform/node-urls.ts'
import { connectOnce } from '../../src/platform/rabbitmq/connection.ts'
import { hostOf } from '../../src/platform/service-error.ts'
import { withinTime } from '../../src/platform/time-limit.ts'
import { finding, START_WORKERS, untold, unusable, type Finding } from './finding.ts'
import { checkVersion } from './versions.ts'

const TIMEOUT_MS = 5_000
const CONFIRM_WITHIN_MS = 2_000
const MEND = 'start RabbitMQ (docker compose up -d rabbitmq), or correct AMQP_URL'
/** AMQP's answers to what is not there, and to what is there with other arguments. */
const NOT_FOUND = 404
const OTHER_ARGUMENTS = 406

type Piece =
  | { kind: 'as declared'; consumers: number }
  | { kind: 'missing'; reason: string }
  | { kind: 'different'; reason: string }

/**
 * Reachable and new enough, each node of a cluster; takes messages, and has the exchanges and queues that the processes
 * declare, asked of the first node that answers.
 */
export async function checkBroker(config: Config): Promise<Finding[]> {
  const visits = await Promise.all(nodeUrls(config.amqpUrl).map(visit))
  const connections = visits.flatMap(({ connection }) => connection ?? [])
  const [connection] = connections
  try {
    const inside = connection === undefined ? [] : await checkInside(connection, config.namespace)
    return [...visits.map(({ finding }) => finding), ...inside]
  } catch (error) {
    return [unusable(nameOf(config.amqpUrl), error, MEND)]
  } finally {
    const closed = connections.map((each) => withinTime(each.close(), TIMEOUT_MS).catch(() => undefined))
    await Promise.all(closed)
  }
}

async function visit(node: string): Promise<{ finding: Finding; connection?: ChannelModel }> {
  try {
    const connection = await connectOnce(node, 'spike-doctor')
    connection.on('error', () => undefined) // what is missing closes its channel only
    const { version = 'unknown' } = connection.connection.serverProperties as { version?: string }
    return { finding: checkVersion(nameOf(node), 'RabbitMQ', version), connection }
  } catch (error) {
    return { finding: unusable(nameOf(node), error, MEND) }
  }
}

async function checkInside(connection: ChannelModel, namespace: string): Promise<Finding[]> {
  return [
    ...(await checkTopology(connection, namespace)),
    untold('bindings', 'AMQP does not list them; every process declares them when it starts'),
    await checkPublishing(connection),
  ]
}

function nameOf(url: string): string {
  return `RabbitMQ ${hostOf(url)}`
}

async function checkTopology(connection: ChannelModel, namespace: string): Promise<Finding[]> {
  const { exchanges, queues } = piecesOf(topologyOf(namespace))
  const findings: Finding[] = []
  for (const { name, type } of exchanges) {
    const piece = await examine(
      connection,
      (channel) => channel.checkExchange(name),
      (channel) => channel.assertExchange(name, type, { durable: true }),
    )
    const mend =
      piece.kind === 'different'
        ? `rabbitmqadmin delete exchange name=${name}, then ${START_WORKERS}`
        : START_WORKERS
    findings.push(finding(`exchange ${name}`, piece.kind === 'as declared', wordsOf(piece, type), mend))
  }
  for (const { name, arguments: args } of queues) {
    const piece = await examine(
      connection,
      (channel) => channel.checkQueue(name),
      (channel) => channel.assertQueue(name, { durable: true, arguments: args }),
    )
    findings.push(judgeQueue(name, piece))
  }
  return findings
}

function judgeQueue(name: string, piece: Piece): Finding {
  const what = `queue ${name}`
  if (piece.kind === 'different')
    return finding(
      what,
      false,
      wordsOf(piece),
      `once it is empty: rabbitmqctl delete_queue ${name}, then ${START_WORKERS}`,
    )
  if (piece.kind === 'missing') return finding(what, false, wordsOf(piece), START_WORKERS)
  return finding(what, piece.consumers > 0, `quorum, ${piece.consumers} consumers`, START_WORKERS)
}

function wordsOf(piece: Piece, whenGood = ''): string {
  return piece.kind === 'as declared' ? whenGood : piece.reason
}

/**
 * Declaring what is there with the arguments that it has changes nothing, and with others is refused; so it is asked
 * for passively first, which never makes it. Each question has a channel of its own, since a refusal closes it.
 */
async function examine(
  connection: ChannelModel,
  passive: (channel: Channel) => Promise<object>,
  active: (channel: Channel) => Promise<object>,
): Promise<Piece> {
  try {
    const found = (await onChannel(connection, passive)) as { consumerCount?: number }
    await onChannel(connection, active)
    return { kind: 'as declared', consumers: found.consumerCount ?? 0 }
  } catch (error) {
    const { code, message } = error as Error & { code?: number }
    if (code === NOT_FOUND) return { kind: 'missing', reason: 'missing' }
    if (code !== OTHER_ARGUMENTS) throw error
    return { kind: 'different', reason: /"PRECONDITION_FAILED - (.+)"/.exec(message)?.[1] ?? message }
  }
}

async function onChannel<T>(connection: ChannelModel, ask: (channel: Channel) => Promise<T>): Promise<T> {
  const channel = await connection.createChannel()
  channel.on('error', () => undefined) // rejects the question as well
  const answer = await withinTime(ask(channel), TIMEOUT_MS)
  await channel.close()
  return answer
}

/**
 * A broker that is short of memory or disk says so only to those who publish. The default exchange drops what names
 * no queue, and confirms it: this message never gets anywhere.
 */
async function checkPublishing(connection: ChannelModel): Promise<Finding> {
  const what = 'RabbitMQ takes messages'
  const mend = 'rabbitmq-diagnostics alarms names what it is short of: give it memory or disk'
  let blocked: string | undefined
  connection.on('blocked', (reason) => (blocked = reason))
  const began = Date.now()
  try {
    const channel = await connection.createConfirmChannel()
    channel.on('error', () => undefined)
    channel.publish('', `doctor-${randomUUID()}`, Buffer.alloc(0))
    await withinTime(channel.waitForConfirms(), CONFIRM_WITHIN_MS)
    return finding(what, true, `confirmed in ${Date.now() - began} ms, no alarm`, mend)
  } catch (error) {
    return finding(
      what,
      false,
      blocked === undefined ? (error as Error).message : `blocked: ${blocked}`,
      mend,
    )
  }
}

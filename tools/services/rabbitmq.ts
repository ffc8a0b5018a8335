import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Binaries } from './binaries.ts'
import type { Instance } from './instance.ts'
import { converse, LOOPBACK, untilReady, withPorts } from './ports.ts'
import { startService } from './restartable.ts'
import type { RunningService } from './service.ts'

const READY_MS = 120_000
// It does not listen to signals in the first second of its start, and its data is thrown away.
const GRACE_MS = 3000
const EPMD_READY_MS = 15_000
const USER = 'spike'

/** Starts a private single-node RabbitMQ with one user of its own (no guest). */
export async function startRabbitmq(instance: Instance, binaries: Binaries): Promise<RunningService> {
  const epmdPort = await startEpmd(instance, binaries)
  const [password, cookie] = [instance.password(), instance.password()]
  return startNode(instance, binaries, {
    name: 'rabbitmq',
    node: nodeName('spike'),
    password,
    cookie,
    epmdPort,
  })
}

interface NodeOptions {
  /** Of its folder. */
  name: string
  /** As Erlang names it. */
  node: string
  /** Of the one user; a node that joins others has theirs. */
  password: string
  /** Nodes of one cluster share it. */
  cookie: string
  epmdPort: number
  /** Further lines of its configuration. */
  conf?: readonly string[]
}

/** Starts one node, alone or to be one of a cluster. */
export async function startNode(
  instance: Instance,
  binaries: Binaries,
  { name, node, password, cookie, epmdPort, conf = [] }: NodeOptions,
): Promise<RunningService> {
  const folder = instance.folder(name)
  instance.write(join(folder, '.erlang.cookie'), cookie, 0o400)
  instance.write(join(folder, 'enabled_plugins'), '[].\n')
  instance.write(join(folder, 'advanced.config'), '[].\n')
  // Names are looked up in this file only: a start must not hang on a name server.
  instance.write(join(folder, 'inetrc'), '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file]}.\n')
  const log = join(folder, 'log')
  return withPorts(2, async ([port = 0, distPort = 0]) => {
    instance.write(join(folder, 'rabbitmq.conf'), configText(port, password, conf))
    const env = { ...binaries.env, ...brokerEnv({ folder, node, port, distPort, epmdPort }) }
    const probe = (): Promise<boolean> => acceptsUser(port, password)
    return startService({
      instance,
      url: `amqp://${USER}:${password}@${LOOPBACK}:${port}`,
      folder,
      spec: { command: binaries.command, args: [], env, cwd: folder, log, graceMs: GRACE_MS },
      ready: (child) => untilReady({ name, child, log, timeoutMs: READY_MS, probe }),
    })
  })
}

/** A numeric host needs no name resolution, which bare machines lack even for localhost. */
export function nodeName(name: string): string {
  return `${name}@${LOOPBACK}`
}

/**
 * Evaluates an Erlang expression on a node, with the tool that comes with Erlang: RabbitMQ's own takes seconds to start.
 * @param env that the node runs in
 * @returns what the expression gave, as Erlang writes it
 */
export async function onNode(env: NodeJS.ProcessEnv, expression: string): Promise<string> {
  const args = ['-name', env['RABBITMQ_NODENAME'] ?? '', '-timeout', '2', '-e']
  const telling = promisify(execFile)('erl_call', args, { env })
  telling.child.stdin?.end(`${expression}.\n`)
  const { stdout } = await telling
  const answer = /^\{ok, ([^]*)\}\s*$/.exec(stdout)?.[1]
  if (answer === undefined) throw new Error(`the broker's node answered ${stdout.trim()}`)
  return answer
}

/**
 * The Erlang port mapper, as a foreground child: the broker would otherwise start one as a daemon that nobody owns
 * and that outlives everything.
 */
export function startEpmd(instance: Instance, binaries: Binaries): Promise<number> {
  const folder = instance.folder('epmd')
  const log = join(folder, 'log')
  return withPorts(1, async ([port = 0]) => {
    const child = instance.start({
      command: binaries.helpers['epmd'] ?? 'epmd',
      args: ['-port', String(port), '-address', LOOPBACK],
      env: binaries.env,
      cwd: folder,
      log,
      last: true,
    })
    const probe = (): Promise<boolean> => answersNames(port)
    await untilReady({ name: 'epmd', child, log, timeoutMs: EPMD_READY_MS, probe })
    return port
  })
}

/** True when an epmd answers its names request with its own port number: another program on the port does not. */
function answersNames(port: number): Promise<boolean> {
  return converse(port, (socket, received) => {
    if (received.length === 0) socket.write(Buffer.from([0, 1, 0x6e]))
    return received.length >= 4 && received.readUInt32BE(0) === port
  })
}

function configText(port: number, password: string, conf: readonly string[]): string {
  return [
    `listeners.tcp.1 = ${LOOPBACK}:${port}`,
    // The default user is made before the listeners open; naming it is all it takes to have no guest.
    `default_user = ${USER}`,
    `default_pass = ${password}`,
    'disk_free_limit.absolute = 50MB',
    ...conf,
    '',
  ].join('\n')
}

interface BrokerPlace {
  folder: string
  node: string
  port: number
  distPort: number
  epmdPort: number
}

function brokerEnv({ folder, node, port, distPort, epmdPort }: BrokerPlace): NodeJS.ProcessEnv {
  return {
    HOME: folder,
    RABBITMQ_NODENAME: node,
    RABBITMQ_USE_LONGNAME: 'true',
    RABBITMQ_NODE_IP_ADDRESS: LOOPBACK,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_LOGS: '-',
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'no-such-env.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    ERL_INETRC: join(folder, 'inetrc'),
    ERL_EPMD_ADDRESS: LOOPBACK,
    ERL_EPMD_PORT: String(epmdPort),
  }
}

const HEADER = Buffer.from('AMQP\0\0\x09\x01', 'latin1')

/** True when the broker accepts our user: it answers the login with connection.tune (class 10, method 30). */
function acceptsUser(port: number, password: string): Promise<boolean> {
  let loggedIn = false
  return converse(port, (socket, received) => {
    if (received.length === 0) {
      socket.write(HEADER)
      return false
    }
    if (received.length < 7 || received.length < 8 + received.readUInt32BE(3)) return false
    if (!loggedIn) socket.write(startOk(password))
    loggedIn = true
    const second = received.subarray(8 + received.readUInt32BE(3))
    return second.length >= 11 && second.readUInt16BE(7) === 10 && second.readUInt16BE(9) === 30
  })
}

/** connection.start-ok (class 10, method 11) with an empty property table and a PLAIN login. */
function startOk(password: string): Buffer {
  const login = `\0${USER}\0${password}`
  const payload = Buffer.concat([
    Buffer.from([0, 10, 0, 11, 0, 0, 0, 0, 5]),
    Buffer.from('PLAIN'),
    Buffer.from([0, 0, 0, login.length]),
    Buffer.from(login, 'latin1'),
    Buffer.from([5]),
    Buffer.from('en_US'),
  ])
  const head = Buffer.from([1, 0, 0, 0, 0, 0, payload.length])
  return Buffer.concat([head, payload, Buffer.from([0xce])])
}

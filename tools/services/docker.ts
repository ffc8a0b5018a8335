import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ServiceDied, tail } from './errors.ts'
import type { Instance } from './instance.ts'
import { LOOPBACK } from './ports.ts'
import type { ServiceName, Starter } from './service.ts'

const ANSWER_MS = 4000
const USER = 'spike'
const DATABASE = 'flash_sale'

interface Container {
  image: string
  port: number
  environment?: Record<string, string>
  command?: string[]
  check: string[]
  url: (port: string) => string
}

/** True when a Docker engine answers and has Compose; a client without an engine does not count. */
export function dockerAnswers(env: NodeJS.ProcessEnv): boolean {
  const succeeds = (...args: string[]): boolean =>
    spawnSync('docker', args, { env, stdio: 'ignore', timeout: ANSWER_MS }).status === 0
  return succeeds('info') && succeeds('compose', 'version')
}

/** Starts the services as containers of a Compose project of this run; the keeper takes it down at the end. */
export const startDocker: Starter = async ({ instance, names, env, log }) => {
  const began = Date.now()
  const containers = new Map(names.map((name) => [name, container(name, instance.password())]))
  const file = join(instance.scratch('docker'), 'compose.json')
  instance.write(file, JSON.stringify({ services: Object.fromEntries([...containers].map(composeEntry)) }))
  const project = ['compose', '-p', basename(instance.path).toLowerCase(), '-f', file]
  const docker = dockerRunner(instance, env, file, project)

  instance.keeper.atEnd('docker', [...project, 'down', '-v', '--timeout', '5'], env)
  log(`docker: starting ${names.join(', ')} (the first time, images are pulled)`)
  await docker('up', '-d', '--wait')
  const urls = new Map<ServiceName, string>()
  for (const [name, { port, url }] of containers) {
    const address = (await docker('port', name, String(port))).trim().split('\n').at(-1) ?? ''
    urls.set(name, url(address.slice(address.lastIndexOf(':') + 1)))
  }
  log(`docker: ${names.join(', ')} ready in ${((Date.now() - began) / 1000).toFixed(1)} s`)
  return urls
}

function dockerRunner(
  instance: Instance,
  env: NodeJS.ProcessEnv,
  file: string,
  project: string[],
): (...args: string[]) => Promise<string> {
  let count = 0
  return async (...args) => {
    const log = `${file}.${count++}.log`
    const spec = { command: 'docker', args: [...project, ...args], cwd: instance.path, env, log }
    const { code, error } = await instance.keeper.start(spec).exited
    if (code !== 0) {
      throw new ServiceDied(
        `docker compose ${args[0]} failed (${error ?? `exit code ${code}`}):\n${tail(log)}`,
      )
    }
    return readFileSync(log, 'utf8')
  }
}

/** Docker picks the host's port itself (nothing before the second colon), on the loopback address only. */
function composeEntry([name, { image, port, environment, command, check }]: [ServiceName, Container]): [
  string,
  object,
] {
  const healthcheck = { test: ['CMD', ...check], interval: '1s', timeout: '5s', retries: 90 }
  return [name, { image, ports: [`${LOOPBACK}::${port}`], environment, command, healthcheck }]
}

function container(name: ServiceName, password: string): Container {
  if (name === 'postgres') {
    return {
      image: 'postgres:17',
      port: 5432,
      environment: { POSTGRES_USER: USER, POSTGRES_PASSWORD: password, POSTGRES_DB: DATABASE },
      command: ['postgres', '-c', 'max_connections=200', '-c', 'shared_buffers=256MB', '-c', 'jit=off'],
      // Over TCP: the server that the image runs to initialise itself only listens on a socket file.
      check: ['pg_isready', '-h', LOOPBACK, '-U', USER, '-d', DATABASE],
      url: (port) => `postgres://${USER}:${password}@${LOOPBACK}:${port}/${DATABASE}`,
    }
  }
  if (name === 'rabbitmq') {
    return {
      image: 'rabbitmq:3-management',
      port: 5672,
      environment: { RABBITMQ_DEFAULT_USER: USER, RABBITMQ_DEFAULT_PASS: password },
      check: ['rabbitmq-diagnostics', '-q', 'check_port_connectivity'],
      url: (port) => `amqp://${USER}:${password}@${LOOPBACK}:${port}`,
    }
  }
  const durable = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction']
  return {
    image: 'redis:7',
    port: 6379,
    command: ['redis-server', '--requirepass', password, ...durable],
    check: ['redis-cli', '-a', password, 'ping'],
    url: (port) => `redis://:${password}@${LOOPBACK}:${port}`,
  }
}

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Software } from './binaries.ts'
import { dockerAnswers, startDocker } from './docker.ts'
import { ServicesUnavailable, unavailable } from './errors.ts'
import { openHome, removeStale, type Home } from './home.ts'
import { installCommand } from './install-command.ts'
import { openInstance, type Instance } from './instance.ts'
import { startLocal } from './local.ts'
import { filledBy, startClusters, type ClusterName, type StartedCluster } from './clusters.ts'
import type { ServiceName, ServiceUrls } from './service.ts'

export { ServicesUnavailable } from './errors.ts'
export type { ServiceUrls } from './service.ts'

export type ServiceOrigin = 'given' | 'docker' | 'local' | 'cluster'

export interface Services {
  urls: ServiceUrls
  origins: Record<keyof ServiceUrls, ServiceOrigin>
  /** Of the clusters, by name. */
  nodes: StartedCluster['nodes']
  /** Ends what was started; given services are left alone. May be called twice. */
  stop(): Promise<void>
}

export interface ProvideOptions {
  env: NodeJS.ProcessEnv
  log: (line: string) => void
  /** Gives up a start that is under way; services that are up are ended by `stop()` only. */
  signal?: AbortSignal
  /** Clusters to start in the place of plain services, whatever the environment names in that place. */
  clusters?: readonly ClusterName[]
  /** Where instances and fetched packages are kept; by default the project's ignored data folder. */
  dataDir?: string
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const SERVICES: Record<keyof ServiceUrls, ServiceName> = {
  DATABASE_URL: 'postgres',
  REDIS_URL: 'redis',
  QUEUE_REDIS_URL: 'queue-redis',
  AMQP_URL: 'rabbitmq',
}
const VARIABLES = Object.keys(SERVICES) as (keyof ServiceUrls)[]
const SOFTWARE: Software[] = ['postgres', 'redis', 'rabbitmq']

/**
 * Provides the four services: those that the environment names are used as they are, the others are started for
 * this process alone, in Docker when an engine answers, else as private local instances. Clusters always are private
 * local instances. Whatever was started ends with `stop()`, and also when this process dies in any other way.
 */
export async function provideServices(options: ProvideOptions): Promise<Services> {
  const { env, signal, clusters = [], dataDir = join(PROJECT, '.data') } = options
  let failed = false
  // Once one service has failed, what its neighbours say while they are being ended only misleads.
  const log = (line: string): void => {
    if (!failed) options.log(line)
  }
  signal?.throwIfAborted()
  const filled = filledBy(clusters)
  const given = givenUrls(env, filled)
  const missing = VARIABLES.filter((variable) => given[variable] === undefined && !filled.has(variable))
  for (const variable of VARIABLES) if (given[variable] !== undefined) log(`${SERVICES[variable]}: given`)
  const plain = { origin: 'given' as ServiceOrigin, urls: given }
  if (missing.length === 0 && clusters.length === 0) return assemble(given, plain, undefined, async () => {})

  let instance: Instance | undefined
  try {
    const home = openHome(dataDir)
    removeStale(home)
    instance = openInstance(home)
    const { keeper } = instance
    const giveUp = (): void => void keeper.stop()
    signal?.addEventListener('abort', giveUp)
    const start = async (frame: Instance) => {
      const started = missing.length === 0 ? plain : await startMissing(frame, home, missing, { env, log })
      const urls = { ...given, ...started.urls }
      return { started, cluster: await startClusters(clusters, { instance: frame, home, env, log, urls }) }
    }
    const { started, cluster } = await start(instance).finally(() =>
      signal?.removeEventListener('abort', giveUp),
    )
    signal?.throwIfAborted()
    keeper.release()
    return assemble(given, started, cluster, () => keeper.stop())
  } catch (error) {
    failed = true
    await instance?.keeper.stop()
    signal?.throwIfAborted()
    if (error instanceof ServicesUnavailable) throw error
    throw unavailable([(error as Error).message], installCommand(SOFTWARE, env))
  }
}

function givenUrls(env: NodeJS.ProcessEnv, filled: ReadonlySet<keyof ServiceUrls>): Partial<ServiceUrls> {
  const given: Partial<ServiceUrls> = {}
  for (const variable of VARIABLES) {
    const url = env[variable]
    if (url !== undefined && url !== '' && !filled.has(variable)) given[variable] = url
  }
  if (given.REDIS_URL !== undefined) given.QUEUE_REDIS_URL ??= given.REDIS_URL
  return given
}

async function startMissing(
  instance: Instance,
  home: Home,
  missing: (keyof ServiceUrls)[],
  { env, log }: Pick<ProvideOptions, 'env' | 'log'>,
): Promise<StartedServices> {
  const order = { instance, home, env, log, names: missing.map((variable) => SERVICES[variable]) }
  const byVariable = (urls: Map<ServiceName, string>): Partial<ServiceUrls> =>
    Object.fromEntries(missing.map((variable) => [variable, urls.get(SERVICES[variable])]))
  if (dockerAnswers(env)) {
    try {
      return { origin: 'docker', urls: byVariable(await startDocker(order)) }
    } catch (error) {
      log(`${(error as Error).message}\ndocker did not work, trying private instances`)
    }
  }
  return { origin: 'local', urls: byVariable(await startLocal(order)) }
}

interface StartedServices {
  origin: ServiceOrigin
  urls: Partial<ServiceUrls>
}

function assemble(
  given: Partial<ServiceUrls>,
  started: StartedServices,
  cluster: StartedCluster = { urls: {}, nodes: new Map() },
  stop: () => Promise<void>,
): Services {
  const originOf = (variable: keyof ServiceUrls): ServiceOrigin => {
    if (cluster.urls[variable] !== undefined) return 'cluster'
    return given[variable] === undefined ? started.origin : 'given'
  }
  const origins = Object.fromEntries(VARIABLES.map((variable) => [variable, originOf(variable)]))
  return {
    urls: { ...started.urls, ...given, ...cluster.urls } as ServiceUrls,
    origins: origins as Record<keyof ServiceUrls, ServiceOrigin>,
    nodes: cluster.nodes,
    stop,
  }
}

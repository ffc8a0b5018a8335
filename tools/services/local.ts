import { findInstalled, findUnpacked, type Binaries, type Software } from './binaries.ts'
import { unavailable } from './errors.ts'
import type { Home } from './home.ts'
import type { Instance } from './instance.ts'
import { installCommand } from './install-command.ts'
import { canFetch, packageFetcher, packageFolder } from './packages.ts'
import { startPostgres } from './postgres.ts'
import { startRabbitmq } from './rabbitmq.ts'
import { startRedis } from './redis.ts'
import type { RunningService, ServiceName, Starter, StartOptions } from './service.ts'

const SOFTWARE: Record<ServiceName, Software> = {
  postgres: 'postgres',
  redis: 'redis',
  'queue-redis': 'redis',
  rabbitmq: 'rabbitmq',
}

/** Starts private instances; see `startRestartable`. */
export const startLocal: Starter = async (options) => {
  const services = await startRestartable(options)
  return new Map([...services].map(([name, { url }]) => [name, url]))
}

/** Starts private instances from the machine's own programs, or from packages fetched for the purpose. */
export async function startRestartable({
  instance,
  home,
  names,
  env,
  log,
}: StartOptions): Promise<Map<ServiceName, RunningService>> {
  const binaries = binariesOf(instance, home, [...new Set(names.map((name) => SOFTWARE[name]))], env, log)
  const began = Date.now()
  const started = names.map(async (name) => {
    const service = await start(name, instance, await binaries(SOFTWARE[name]))
    log(`${name}: private instance ready in ${((Date.now() - began) / 1000).toFixed(1)} s`)
    return [name, service] as const
  })
  return new Map(await Promise.all(started))
}

function start(name: ServiceName, instance: Instance, binaries: Binaries): Promise<RunningService> {
  if (name === 'postgres') return startPostgres(instance, binaries)
  if (name === 'rabbitmq') return startRabbitmq(instance, binaries)
  return startRedis(instance, binaries, name)
}

/** Finds the programs; those that are missing are fetched, all at once, each service going on with its own. */
export function binariesOf(
  instance: Instance,
  home: Home,
  wanted: Software[],
  env: NodeJS.ProcessEnv,
  log: (line: string) => void,
): (software: Software) => Promise<Binaries> {
  const find = (software: Software): Binaries | undefined =>
    findInstalled(software, env['PATH']) ?? findUnpacked(software, packageFolder(home, software))
  const missing = wanted.filter((software) => find(software) === undefined)
  if (missing.length > 0 && !canFetch(env)) {
    const reason = `not installed: ${missing.join(', ')}; and there is no apt-get to fetch them with`
    throw unavailable([reason], installCommand(missing, env))
  }
  const fetchPackages = packageFetcher(instance, home, env, log)
  const fetched = new Map(missing.map((software) => [software, fetchPackages(software)]))
  return async (software) => {
    await fetched.get(software)
    const found = find(software)
    if (found === undefined) throw new Error(`${software}: the fetched packages hold no server`)
    return found
  }
}

/** Private services that can be killed, stopped and started again, each on the port and the data it had. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Software } from '../../tools/services/binaries.ts'
import { ServicesUnavailable, unavailable } from '../../tools/services/errors.ts'
import { openHome, removeStale } from '../../tools/services/home.ts'
import { installCommand } from '../../tools/services/install-command.ts'
import { openInstance } from '../../tools/services/instance.ts'
import { startRestartable } from '../../tools/services/local.ts'
import type { RunningService, ServiceName } from '../../tools/services/service.ts'

const DATA = fileURLToPath(new URL('../../.data', import.meta.url))

export const STORES = ['postgres', 'redis', 'queueRedis', 'rabbitmq'] as const
export type StoreName = (typeof STORES)[number]

const SERVICE_OF: Record<StoreName, ServiceName> = {
  postgres: 'postgres',
  redis: 'redis',
  queueRedis: 'queue-redis',
  rabbitmq: 'rabbitmq',
}

const SOFTWARE: Software[] = ['postgres', 'redis', 'rabbitmq']

/** One service. What is done already is not done again: a dead one can be killed, a running one restarted. */
export interface Service {
  /** Past every proxy. */
  readonly url: string
  readonly folder: string
  /** The environment that it runs in, for tools that come with it. */
  readonly env: NodeJS.ProcessEnv
  /** SIGKILL; resolves when it has ended. PostgreSQL's backends see it and follow, as after any crash. */
  kill(): Promise<void>
  /** SIGSTOP of all its processes. */
  stop(): void
  cont(): void
  /** Brings it back from whatever was done to it; resolves when it answers. */
  restart(): Promise<void>
}

export interface Services {
  services: Record<StoreName, Service>
  close: () => Promise<void>
}

/**
 * Starts one of each. They end with `close`, and also when this process dies in any other way.
 * @throws ServicesUnavailable
 */
export async function startServices(say: (line: string) => void, signal?: AbortSignal): Promise<Services> {
  signal?.throwIfAborted()
  const home = openHome(DATA)
  removeStale(home)
  const instance = openInstance(home)
  const close = () => instance.keeper.stop()
  signal?.addEventListener('abort', () => void close(), { once: true })
  try {
    const names = Object.values(SERVICE_OF)
    const running = await startRestartable({ instance, home, names, env: process.env, log: say })
    const serviceOf = (store: StoreName): Service => {
      const found = running.get(SERVICE_OF[store])
      if (found === undefined) throw new Error(`${store} was not started`)
      return createService(found)
    }
    const services = {
      postgres: serviceOf('postgres'),
      redis: serviceOf('redis'),
      queueRedis: serviceOf('queueRedis'),
      rabbitmq: serviceOf('rabbitmq'),
    }
    return { services, close }
  } catch (error) {
    await close()
    signal?.throwIfAborted()
    if (error instanceof ServicesUnavailable) throw error
    throw unavailable([(error as Error).message], installCommand(SOFTWARE, process.env))
  }
}

function createService(running: RunningService): Service {
  let stopped = false
  const signalAll = (name: NodeJS.Signals) => {
    const pid = running.pid()
    if (pid !== undefined) for (const member of family(pid)) signal(member, name)
  }
  const cont = () => {
    if (!stopped) return
    stopped = false
    signalAll('SIGCONT')
  }
  return {
    url: running.url,
    folder: running.folder,
    env: running.spec.env,
    async kill() {
      const pid = running.pid()
      if (pid === undefined) return
      // Who is stopped can't follow its leader.
      if (stopped) signalAll('SIGKILL')
      else signal(-pid, 'SIGKILL')
      stopped = false
      await running.ended()
    },
    stop() {
      stopped = true
      signalAll('SIGSTOP')
      // The leader came first, so whoever it had just started is found now.
      signalAll('SIGSTOP')
    },
    cont,
    async restart() {
      cont()
      if (running.pid() === undefined) await running.restart()
    },
  }
}

/** A process and all that it started, itself first. PostgreSQL's backends have sessions of their own, so groups won't do. */
function family(leader: number): number[] {
  const parents = new Map(
    readdirSync('/proc')
      .filter(isNumber)
      .map((pid) => [Number(pid), parentOf(pid)]),
  )
  const members = [leader]
  // Members that are found on the way are looked at in their turn.
  for (const member of members) for (const [pid, parent] of parents) if (parent === member) members.push(pid)
  return members
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text)
}

function parentOf(pid: string): number | undefined {
  return Number(statOf(pid)?.[1])
}

/** State, parent, group and so on of a process; undefined when it is gone. */
export function statOf(pid: number | string): string[] | undefined {
  try {
    const text = readFileSync(join('/proc', String(pid), 'stat'), 'utf8')
    // The command's name stands in brackets, and may hold anything.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Sends a signal to a process that may be gone already. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

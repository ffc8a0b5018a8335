/**
 * Start and stop of a process: settings, composition, signals, ordered stop with a hard stop behind.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError, loadConfig, loadEnvFile, type Config } from './config.ts'
import { armFailpoints } from './failpoints.ts'
import { createLogger, type Logger } from './logger.ts'
import { reasonOf, ServiceError } from './service-error.ts'
import { withinTime } from './time-limit.ts'

/** What `compose` of every process returns. Both are safe to call more than once. */
export interface Running {
  start(): Promise<void>
  stop(): Promise<void>
}

/** A stop that takes longer than this is cut off with exit code 1. */
export const HARD_STOP_MS = 24_000

/** Collects what has to be stopped, in the order it was started, and stops it in the reverse order. */
export class StopList {
  readonly #parts: { name: string; stop: () => Promise<unknown>; withinMs: number }[] = []
  readonly #log: Logger
  #stopping: Promise<void> | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Remembers how `name` is stopped. Parts added last are stopped first.
   * @param withinMs a part that takes longer is left behind, so that the others still get their turn
   */
  add(name: string, stop: () => Promise<unknown>, withinMs = 3_000): void {
    this.#parts.push({ name, stop, withinMs })
  }

  /** Stops all parts; a part that fails is logged and does not keep the others from stopping. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  async #stopAll(): Promise<void> {
    for (const part of this.#parts.toReversed()) {
      try {
        await withinTime(part.stop(), part.withinMs)
        this.#log.debug({ part: part.name }, 'part stopped')
      } catch (error) {
        this.#log.error({ part: part.name, err: error }, 'part did not stop cleanly')
      }
    }
  }
}

/**
 * Runs a process until SIGTERM or SIGINT, then stops it in order and exits.
 * Exit codes: 0 stopped on request, 1 could not start, crashed, or did not stop in time.
 */
export async function runProcess(
  role: string,
  compose: (config: Config, log: Logger) => Promise<Running>,
): Promise<void> {
  let config: Config
  try {
    loadEnvFile()
    config = loadConfig(process.env)
  } catch (error) {
    return exitWithLine(role, error)
  }
  const log = createLogger(role, config.logLevel)
  crashOnSurprise(log)
  armFailpoints(config.failpoints, config.failpointSeed)
  const signal = nextSignal()
  let running: Running | undefined
  const start = async (): Promise<undefined> => {
    running = await compose(config, log)
    await running.start()
  }
  try {
    // A broker that went away in mid-start is waited for: whoever asks the process to end must not wait as well.
    if ((await Promise.race([start(), signal])) !== undefined) {
      await Promise.race([running?.stop(), sleep(2_000)])
      log.info('stopped before it was started')
      process.exit(0)
    }
    process.send?.('ready')
  } catch (error) {
    await Promise.race([running?.stop(), sleep(2_000)])
    return exitWithLine(role, error)
  }
  if (running === undefined) throw new Error('started without anything that runs')
  log.info({ signal: await signal }, 'stopping')
  const hardStop = setTimeout(() => {
    log.fatal(`not stopped after ${HARD_STOP_MS} ms: exit now`)
    process.exit(1)
  }, HARD_STOP_MS)
  await running.stop()
  clearTimeout(hardStop)
  log.info('stopped')
  process.exit(0)
}

/** Resolves with the first thing that asks the process to end. */
function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => resolve(name))
    // A process that was started with a channel to its parent does not outlive the parent.
    process.on('disconnect', () => resolve('disconnect'))
  })
}

/** A rejection or exception that nobody handles leaves unknown state behind: log once and let the supervisor restart. */
function crashOnSurprise(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error) => {
      log.fatal({ err: error }, event)
      process.exit(1)
    })
}

function exitWithLine(role: string, error: unknown): never {
  process.stderr.write(`${role}: ${startFailure(role, error)}\n`)
  process.exit(1)
}

/** One line for what people can mend; the stack for what only we can. */
function startFailure(role: string, error: unknown): string {
  if (error instanceof ConfigError || error instanceof ServiceError) return error.message
  const code = (error as NodeJS.ErrnoException).code
  const { port } = error as { port?: number }
  if (code === 'EADDRINUSE')
    return `port ${port} is in use: stop the program that holds it, or choose another with ${role === 'dashboard' ? 'DASHBOARD_PORT' : 'PORT'}.`
  if (code === 'EACCES') return `port ${port} may not be opened by this user: choose one above 1023.`
  return error instanceof Error ? (error.stack ?? reasonOf(error)) : reasonOf(error)
}

/**
 * Keeps the product's processes of a run alive, as systemd or Kubernetes would: one that dies is started again after
 * a moment, a start that fails or takes too long is tried again. And, as an operator would, continues a process that
 * a fail point has stopped.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { launchProcess, type LaunchedProcess } from '../../tools/lib/processes.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import type { Random } from '../support/random.ts'
import { signal, statOf } from './services.ts'

export type KeptRole = 'api' | 'workers'

/** What became of the processes of one place. */
export interface Counts {
  starts: number
  /** Ended, or were given up, before they were ready. */
  failedStarts: number
  /** Ended after they were ready, for whatever reason. */
  deaths: number
  /** Stopped by a fail point, with SIGSTOP. */
  selfStops: number
  /** How often each fail point struck. */
  strikes: Map<string, number>
  /** How often each exit code was seen; 128 stands for a signal. */
  exitCodes: Map<number, number>
}

/** A place that is never empty for long: when its process ends, the next one is started. */
export interface Kept {
  readonly role: KeptRole
  readonly name: string
  /** Of an api; the same for all its processes. */
  readonly port: number | undefined
  /** Undefined while there is no process. */
  readonly pid: number | undefined
  readonly counts: Readonly<Counts>
  /** Resolves when there is a process that is ready. */
  ready(): Promise<void>
  kill(): void
  pause(): void
  resume(): void
  /** SIGTERM; the exit code of the process that ended so, undefined when there was none. */
  roll(): Promise<number | undefined>
  /**
   * Starts the process again with fail points, which it has until `deaths` processes died with them. With them it may
   * never be ready: that is not waited for.
   */
  arm(points: string, deaths?: number): Promise<void>
  /** Starts it again without fail points, if it has any still; resolves when it is ready. */
  disarm(): Promise<void>
}

export interface Supervisor {
  readonly kept: readonly Kept[]
  /** Resolves when the first process is ready. An api without a PORT gets a free one. */
  keep(role: KeptRole, env?: NodeJS.ProcessEnv): Promise<Kept>
  of(role: KeptRole): readonly Kept[]
  /** SIGTERM to all, SIGKILL to those that take too long. */
  stopAll(): Promise<void>
}

interface SupervisorOptions {
  /** Of every process. */
  env: NodeJS.ProcessEnv
  /** Folder of the build that they run from. */
  build?: string
  /** Folder of the logs, one file for each place. */
  logs: string
  random: Random
  say: (line: string) => void
}

const STOP_WITHIN_MS = 25_000
const START_WITHIN_MS = 20_000
const READY_WITHIN_MS = 60_000
const WATCH_EVERY_MS = 50
const ARMED_DEATHS = 3

export function openSupervisor(options: SupervisorOptions): Supervisor {
  const places: Place[] = []
  return {
    kept: places,
    async keep(role, env = {}) {
      const port = role === 'api' ? Number(env.PORT ?? (await freePort())) : undefined
      const nth = places.filter((place) => place.role === role).length + 1
      const place = new Place(role, `${role}-${nth}`, port, options, env)
      places.push(place)
      await place.ready()
      return place
    },
    of: (role) => places.filter((place) => place.role === role),
    async stopAll() {
      await Promise.all(places.map((place) => place.end()))
    },
  }
}

const heardStrike = z.object({ failpoint: z.string() })

class Place implements Kept {
  readonly role: KeptRole
  readonly name: string
  readonly port: number | undefined
  readonly counts: Counts = {
    starts: 0,
    failedStarts: 0,
    deaths: 0,
    selfStops: 0,
    strikes: new Map(),
    exitCodes: new Map(),
  }
  readonly #options: SupervisorOptions
  readonly #env: NodeJS.ProcessEnv
  readonly #life: Promise<void>
  #process: LaunchedProcess | undefined
  #isReady = false
  #paused = false
  #ending = false
  #points: string | undefined
  #deathsLeft = ARMED_DEATHS
  #lastWords = 'it has said nothing'

  constructor(
    role: KeptRole,
    name: string,
    port: number | undefined,
    options: SupervisorOptions,
    { FAILPOINTS, ...env }: NodeJS.ProcessEnv,
  ) {
    this.role = role
    this.name = name
    this.port = port
    this.#options = options
    this.#env = { ...options.env, ...env, ...(port === undefined ? {} : { PORT: String(port) }) }
    this.#points = FAILPOINTS
    this.#life = this.#live()
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  async ready(): Promise<void> {
    for (const end = Date.now() + READY_WITHIN_MS; !this.#isReady; await sleep(WATCH_EVERY_MS))
      if (this.#ending || Date.now() > end) throw new Error(`${this.name} is not ready: ${this.#lastWords}`)
  }

  kill(): void {
    this.#signal('SIGKILL')
  }

  pause(): void {
    this.#paused = true
    this.#signal('SIGSTOP')
  }

  resume(): void {
    this.#paused = false
    this.#signal('SIGCONT')
  }

  async roll(): Promise<number | undefined> {
    const process = this.#process
    if (process === undefined) return undefined
    this.#isReady = false
    this.resume()
    const hard = setTimeout(() => signal(process.pid, 'SIGKILL'), STOP_WITHIN_MS)
    const code = await process.stop()
    clearTimeout(hard)
    return code
  }

  async arm(points: string, deaths = ARMED_DEATHS): Promise<void> {
    this.#points = points
    this.#deathsLeft = deaths
    await this.roll()
  }

  async disarm(): Promise<void> {
    if (this.#points !== undefined) {
      this.#points = undefined
      await this.roll()
    }
    await this.ready()
  }

  async end(): Promise<void> {
    this.#ending = true
    await this.roll()
    await this.#life
  }

  #signal(name: NodeJS.Signals): void {
    if (this.#process !== undefined) signal(this.#process.pid, name)
  }

  /** One process after the other. */
  async #live(): Promise<void> {
    const { random } = this.#options
    while (!this.#ending) {
      const wasReady = await this.#liveOnce()
      if (!this.#ending) await sleep(wasReady ? 50 + random.below(450) : 300 + random.below(500))
    }
  }

  /** @returns whether the process was ever ready */
  async #liveOnce(): Promise<boolean> {
    const points = this.#points
    const process = launchProcess(this.role, this.#envWith(points), {
      logDir: this.#options.logs,
      ...(this.#options.build === undefined ? {} : { build: this.#options.build }),
      name: this.name,
      heard: (message) => this.#hear(message),
    })
    this.counts.starts++
    this.#process = process
    this.#paused = false
    const watch = setInterval(() => this.#watch(process), WATCH_EVERY_MS)
    const giveUp = setTimeout(() => this.kill(), START_WITHIN_MS)
    // Asked to end while it was being launched.
    if (this.#ending) this.#signal('SIGTERM')
    let wasReady = false
    void process.ready.then(() => {
      clearTimeout(giveUp)
      wasReady = true
      this.#isReady = !this.#ending
    })
    const code = await process.exited
    clearInterval(watch)
    clearTimeout(giveUp)
    this.#process = undefined
    this.#isReady = false
    this.#lastWords = process.stderr().trim().split('\n').at(-1) || this.#lastWords
    this.#countEnd(code, wasReady, points)
    return wasReady
  }

  #countEnd(code: number, wasReady: boolean, points: string | undefined): void {
    this.counts.exitCodes.set(code, (this.counts.exitCodes.get(code) ?? 0) + 1)
    if (wasReady) this.counts.deaths++
    else this.counts.failedStarts++
    // A death while others fail points are being set is not theirs.
    if (points !== undefined && points === this.#points && --this.#deathsLeft <= 0) this.#points = undefined
    if (!this.#ending) this.#options.say(`${this.name} ended with ${code}`)
  }

  #envWith(points: string | undefined): NodeJS.ProcessEnv {
    if (points === undefined) return this.#env
    // The seed decides when the process is in a certain place, which nothing else fixes: it need not be the run's.
    const seed = String(this.#options.random.below(2 ** 31))
    return { ...this.#env, FAILPOINTS: points, FAILPOINT_SEED: seed }
  }

  #hear(message: unknown): void {
    const strike = heardStrike.safeParse(message)
    if (!strike.success) return
    const { failpoint } = strike.data
    this.counts.strikes.set(failpoint, (this.counts.strikes.get(failpoint) ?? 0) + 1)
  }

  /** Continues a process that has stopped itself, after a pause that is sometimes longer than a job's lock. */
  #watch(process: LaunchedProcess): void {
    if (this.#paused || statOf(process.pid)?.[0] !== 'T') return
    this.counts.selfStops++
    this.#paused = true
    const { random } = this.#options
    const pauseMs = this.#ending ? 0 : 300 + random.below(random.chance(0.2) ? 12_000 : 2_000)
    setTimeout(() => {
      if (this.#process === process) this.resume()
    }, pauseMs)
  }
}

/**
 * Named places in the code where a test makes a process fail: the order of an effect and of what follows it is what
 * keeps units, and these are the gaps between the two. Off unless armed at the start of a process, and then a place
 * costs one comparison.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** Every place, by the process and step it lies in. */
export const FAILPOINTS = [
  'reserve.before',
  'reserve.after',
  'publish.after-send',
  'pay.after-commit',
  'bridge.before-inbox',
  'bridge.before-add',
  'bridge.before-ack',
  'create-order.in-transaction',
  'create-order.after-commit',
  'create-order.after-apply',
  'close-order.in-transaction',
  'close-order.after-commit',
  'release-stock.before-script',
  'release-stock.after-script',
  'outbox.after-publish',
  'log-relay.after-publish',
  'expire.after-commit',
  'reconcile.before-repair',
  'rebuild.gate-closed',
  'rebuild.staged',
  'rebuild.swapped',
  'triage.after-revive',
] as const
export type Failpoint = (typeof FAILPOINTS)[number]

/**
 * - `kill`: SIGKILL to this process; - `stop`: SIGSTOP, until somebody sends SIGCONT; - `throw`: an error here;
 * - `hang`: a pause of `ms`; - `duplicate`: the effect before this place is done once more
 */
export const FAILURES = ['kill', 'stop', 'throw', 'hang', 'duplicate'] as const
export type Failure = (typeof FAILURES)[number]

export interface ArmedFailpoint {
  name: Failpoint
  failure: Failure
  /** On average one of so many passes fails. */
  oneIn: number
  /** How long `hang` takes. */
  ms: number
}

export class FailpointError extends Error {
  constructor(name: Failpoint) {
    super(`fail point ${name}`)
    this.name = 'FailpointError'
  }
}

const HANG_MS = 1_000

let armed: Map<Failpoint, ArmedFailpoint & { random: () => number }> | undefined

/**
 * Reads `name=failure/oneIn`, several with commas between and each name once; `hang` takes its milliseconds as
 * `hang:ms`.
 * @throws naming what can't be read
 */
export function parseFailpoints(text: string): ArmedFailpoint[] {
  const points = text.split(',').map((entry) => parseFailpoint(entry.trim()))
  const names = new Set(points.map(({ name }) => name))
  if (names.size < points.length) throw new Error('names a fail point twice')
  return points
}

function parseFailpoint(entry: string): ArmedFailpoint {
  const match = /^([a-z.-]+)=([a-z]+)(?::(\d{1,5}))?(?:\/([1-9]\d{0,5}))?$/.exec(entry)
  const name = FAILPOINTS.find((known) => known === match?.[1])
  const failure = FAILURES.find((known) => known === match?.[2])
  const [ms, oneIn] = [match?.[3], match?.[4]]
  if (name === undefined || failure === undefined || (ms !== undefined && failure !== 'hang'))
    throw new Error(`"${entry}" is not a fail point such as reserve.after=kill/40`)
  return { name, failure, ms: Number(ms ?? HANG_MS), oneIn: Number(oneIn ?? 1) }
}

/**
 * Arms fail points for the life of the process; none disarms them all.
 * @param seed of the choice which passes fail; each place draws from a row of its own, so that what happens at one
 * does not shift the others
 */
export function armFailpoints(points: readonly ArmedFailpoint[], seed: number): void {
  const choosers = points.map((point) => ({
    ...point,
    random: seededRandom(seed * FAILPOINTS.length + FAILPOINTS.indexOf(point.name)),
  }))
  armed = points.length === 0 ? undefined : new Map(choosers.map((point) => [point.name, point]))
}

/** Whether this process is made to fail: what only makes that exact need not be done otherwise. */
export function failpointsAreArmed(): boolean {
  return armed !== undefined
}

/** A place where the process may fail. @returns undefined, without a pause, when nothing is armed */
export function failpoint(name: Failpoint): Promise<void> | undefined {
  return armed === undefined ? undefined : strike(name).then(() => undefined)
}

/**
 * Does something that is idempotent, with the place where the process may fail behind it; `duplicate` does it twice.
 */
export function withFailpoint<T>(name: Failpoint, effect: () => Promise<T>): Promise<T> {
  return armed === undefined ? effect() : effectAndStrike(name, effect)
}

async function effectAndStrike<T>(name: Failpoint, effect: () => Promise<T>): Promise<T> {
  const result = await effect()
  return (await strike(name)) === 'duplicate' ? effect() : result
}

async function strike(name: Failpoint): Promise<Failure | undefined> {
  const point = armed?.get(name)
  if (point === undefined || point.random() * point.oneIn >= 1) return undefined
  process.send?.({ failpoint: name }) // whoever started this process counts them
  switch (point.failure) {
    case 'kill':
    case 'stop':
      process.kill(process.pid, point.failure === 'kill' ? 'SIGKILL' : 'SIGSTOP')
      break
    case 'throw':
      throw new FailpointError(name)
    case 'hang':
      await sleep(point.ms)
      break
    case 'duplicate':
      break
  }
  return point.failure
}

/** mulberry32: small, and good enough to choose with. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What a fault is, and what it is given to do its damage with. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ShopClient } from '../../client/index.ts'
import type { Random } from '../support/random.ts'
import type { Cell } from './cell.ts'
import type { Supervisor } from './supervisor.ts'

/**
 * One kind of damage. A strike does it, waits a time that the run's seed decides, and ends it: when it resolves, services
 * run, proxies pass, and processes are up. It rejects only when something can't be brought back.
 */
export interface Fault {
  readonly name: string
  strike(context: FaultContext): Promise<void>
}

/**
 * Strikes on different targets may overlap; two on the same service, or two with fail points, may not: the end of the
 * first would end the second.
 */
export interface FaultContext {
  cell: Cell
  supervisor: Supervisor
  namespace: string
  eventId: string
  /** To the API; the admin is the cell's. */
  shop: ShopClient
  random: Random
  say: (line: string) => void
  note: (expectation: Expectation) => void
}

/** What is told of a fault when it is over. */
export type Expectation =
  /** So many messages and jobs were planted, all with `FORGED` in their text: dead letters and failed jobs come of them. */
  | { kind: 'forged'; count: number }
  /** How often the fault did its damage; a fail point may never be passed. */
  | { kind: 'struck'; times: number }

/** In every forged id, where a genuine one has its proof, and in every forged text. */
export const FORGED = '8f0f-f0f0'

/** From `fromMs` to `toMs`, as the seed decides. */
export function between(random: Random, fromMs: number, toMs: number): number {
  return fromMs + random.below(toMs - fromMs + 1)
}

/** A pause as outages are: mostly short, now and then longer than locks, heartbeats and time limits. */
export function outage(random: Random): Promise<void> {
  return sleep(random.chance(0.2) ? between(random, 11_000, 15_000) : between(random, 500, 5_000))
}

/** Does something again and again for a while. */
export async function repeatedly(
  forMs: number,
  everyMs: number,
  work: () => Promise<unknown>,
): Promise<void> {
  for (const end = Date.now() + forMs; Date.now() < end; await sleep(everyMs)) await work()
}

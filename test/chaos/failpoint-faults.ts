/** Damage at named places in the product's own code. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FAILPOINTS, FAILURES, type Failpoint, type Failure } from '../../src/platform/failpoints.ts'
import type { Random } from '../support/random.ts'
import { between, type Fault, type FaultContext } from './fault.ts'
import { rebuildByAdmin } from './forgery-faults.ts'
import type { Kept, KeptRole } from './supervisor.ts'

/** Every place with every failure. */
export const FAILPOINT_FAULTS: readonly Fault[] = FAILPOINTS.flatMap((point) =>
  FAILURES.map((failure) => ({
    name: `failpoint ${point}=${failure}`,
    strike: (context: FaultContext) => strikeAt(context, point, failure),
  })),
)

/** Places that lie in the API; a rebuild can happen in both, all others lie in the workers. */
const IN_API = /^(reserve|publish|pay|rebuild)[.]/
const IN_WORKERS = /^(?!reserve|publish|pay)/

/** The others are passed once for a batch, or seldom. */
const ONCE_A_PURCHASE = /^(reserve|publish|pay)[.]/

/** So many strikes are enough. */
const ENOUGH: Record<Failure, number> = { kill: 3, stop: 2, throw: 10, hang: 5, duplicate: 20 }
const LOOK_EVERY_MS = 100

async function strikeAt(context: FaultContext, point: Failpoint, failure: Failure): Promise<void> {
  const { supervisor, random, note, say } = context
  const places = rolesOf(point).flatMap((role) => supervisor.of(role))
  const before = strikesOn(places, point)
  const armed = armedWith(random, point, failure)
  await Promise.all(places.map((place) => place.arm(armed, ENOUGH.kill)))
  // Two looks of the reconciler, at least.
  const forMs = point.startsWith('reconcile.') ? 20_000 : between(random, 4_000, 8_000)
  const end = Date.now() + forMs
  while (Date.now() < end && strikesOn(places, point) - before < ENOUGH[failure]) {
    // Without one, these places are not passed.
    if (point.startsWith('rebuild.')) await Promise.race([rebuildByAdmin(context), sleep(2_000)])
    await sleep(LOOK_EVERY_MS)
  }
  await Promise.all(places.map((place) => place.disarm()))
  const times = strikesOn(places, point) - before
  note({ kind: 'struck', times })
  say(`${armed} struck ${times} times`)
}

function rolesOf(point: Failpoint): KeptRole[] {
  const roles: KeptRole[] = []
  if (IN_API.test(point)) roles.push('api')
  if (IN_WORKERS.test(point)) roles.push('workers')
  return roles
}

/** Death at each pass, or only now and then, so that what comes after the place is reached too. */
function armedWith(random: Random, point: Failpoint, failure: Failure): string {
  const oneIn = random.pick(ONCE_A_PURCHASE.test(point) ? [1, 2, 5, 20] : [1, 2])
  const ms = failure === 'hang' ? `:${between(random, 50, 3_000)}` : ''
  return `${point}=${failure}${ms}/${oneIn}`
}

function strikesOn(places: readonly Kept[], point: Failpoint): number {
  return places.reduce((sum, { counts }) => sum + (counts.strikes.get(point) ?? 0), 0)
}

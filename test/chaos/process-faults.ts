/** Damage to the product's own processes, from outside. */
import { setTimeout as sleep } from 'node:timers/promises'
import { between, outage, type Fault, type FaultContext } from './fault.ts'
import type { Kept, KeptRole } from './supervisor.ts'

export const PROCESS_FAULTS: readonly Fault[] = (['api', 'workers'] as const).flatMap((role) => [
  { name: `kill-${role}`, strike: (context) => killSome(context, role) },
  { name: `stop-${role}`, strike: (context) => stopOne(context, role) },
  { name: `roll-${role}`, strike: (context) => rollAll(context, role) },
])

/** SIGKILL, up to three times: the last of them may hit a process that is just starting. */
async function killSome({ supervisor, random }: FaultContext, role: KeptRole): Promise<void> {
  const places = supervisor.of(role)
  for (let left = between(random, 1, 3); left > 0; left--) {
    random.pick(places).kill()
    await sleep(between(random, 0, 2_000))
  }
  await allReady(places)
}

/** SIGSTOP and SIGCONT: a process that wakes up again in another time, its locks lost to others. */
async function stopOne({ supervisor, random }: FaultContext, role: KeptRole): Promise<void> {
  const place = random.pick(supervisor.of(role))
  place.pause()
  try {
    await outage(random)
  } finally {
    place.resume()
  }
  await place.ready()
}

/** SIGTERM to one after the other, as a deploy does. */
async function rollAll({ supervisor }: FaultContext, role: KeptRole): Promise<void> {
  for (const place of supervisor.of(role)) {
    await place.roll()
    await place.ready()
  }
}

async function allReady(places: readonly Kept[]): Promise<void> {
  for (const place of places) await place.ready()
}

/** Every kind of damage that the campaign does. The list is closed: docs/reliability.md has a row for each. */
import { FAILPOINT_FAULTS } from './failpoint-faults.ts'
import type { Fault } from './fault.ts'
import { FORGERY_FAULTS } from './forgery-faults.ts'
import { PROCESS_FAULTS } from './process-faults.ts'
import { DAMAGE_REDIS, STORE_FAULTS } from './store-faults.ts'

export type { Expectation, Fault, FaultContext } from './fault.ts'
export { FAILPOINT_FAULTS }

export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...STORE_FAULTS,
  ...FORGERY_FAULTS,
  ...FAILPOINT_FAULTS,
]

/** @throws when there is no such kind */
export function faultOf(name: string): Fault {
  const fault = [...FAULTS, DAMAGE_REDIS].find((known) => known.name === name)
  if (fault === undefined) throw new Error(`"${name}" is no kind of fault`)
  return fault
}

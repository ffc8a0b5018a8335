/** The use case of giving up dead letters: with a reason, and with what they were in the audit log. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Actor } from '../audit/audit.ts'
import { auditedOnce, type Audited } from './audited.ts'
import type { ExaminedLetter } from './fate.ts'
import { addressesOf, type KeptLetter, type Selection } from './letters.ts'
import { examine, roundsOf, targetOf, type DeadLetterDependencies } from './replay.ts'

export const discardReason = z.string().trim().min(1).max(200)

export interface Discarded {
  reason: string
  discarded: number
  /** They owe somebody a verdict, and are kept: replay them. */
  owing: number
  /** More than are discarded at once: discard them again. */
  left: number
  /** What was discarded, as far as anybody may want to know it later. */
  letters: { address: string; origin: string; died_of: string; replays: number; payload_sha256: string }[]
}

/** All of them are named in one row of the audit log. */
const MAX_DISCARDED = 1_000

/**
 * Discards letters. One that may be all that is left of a reservation without a verdict is not discarded: a buyer
 * waits for it. The row in the audit log is there before the first letter goes.
 * @param reason what `discardReason` allows
 */
export async function discardLetters(
  deps: DeadLetterDependencies,
  selection: Selection,
  reason: string,
  actor: Actor,
): Promise<Audited<Discarded>> {
  const going: KeptLetter[] = []
  const audited = await auditedOnce<Discarded>(deps.knex, actor, {
    action: 'dead-letter.discard',
    target: targetOf(selection),
    run: async () => {
      const addresses = await addressesOf(deps.deadLetters.queue, selection)
      let letters = 0
      for (const round of roundsOf(addresses.slice(0, MAX_DISCARDED))) {
        const examined = await examine(deps, round)
        letters += examined.length
        going.push(...examined.filter((letter) => !owesVerdict(letter)))
      }
      const after = {
        reason: discardReason.parse(reason),
        discarded: going.length,
        owing: letters - going.length,
        left: Math.max(0, addresses.length - MAX_DISCARDED),
        letters: going.map(describe),
      }
      return { before: { letters: addresses.length }, after, isWorthNoting: going.length > 0 }
    },
  })
  for (const { job } of going) await job.remove()
  return audited
}

export function owesVerdict({ debt, standing }: ExaminedLetter): boolean {
  return standing === 'open' && debt?.kind === 'verdict'
}

function describe({ address, letter }: KeptLetter): Discarded['letters'][number] {
  const { origin, replays } = letter
  const payload = typeof letter.payload === 'string' ? letter.payload : JSON.stringify(letter.payload)
  const digest = createHash('sha256')
    .update(payload ?? '')
    .digest('hex')
  return { address, origin, died_of: letter.reason.slice(0, 200), replays, payload_sha256: digest }
}

/** The use case of giving up dead letters: with a reason, and with what they were in the audit log. */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Job } from 'bullmq'
import { z } from 'zod'
import type { Actor } from '../audit/audit.ts'
import { removeFinished } from '../platform/bullmq/job.ts'
import { auditedOnce, type Audited } from './audited.ts'
import { producersOf } from './debts.ts'
import type { ExaminedLetter } from './fate.ts'
import { addressesOf, briefly, readLetters, type KeptLetter, type Selection } from './letters.ts'
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
  letters: DiscardedLetter[]
}

interface DiscardedLetter {
  address: string
  origin: string
  died_of: string
  died_at: string
  replays: number
  payload_sha256: string
}

/** All of them are named in one row of the audit log. */
const MAX_DISCARDED = 1_000

/**
 * Discards letters. One that may be all that is left of a reservation without a verdict is not discarded: a buyer
 * waits for it. The row in the audit log is there before the first letter goes; what a press that was cut short has
 * left goes when its form is sent again.
 * @param reason what `discardReason` allows
 */
export function discardLetters(
  deps: DeadLetterDependencies,
  selection: Selection,
  reason: string,
  actor: Actor,
): Promise<Audited<Discarded>> {
  return auditedOnce<Discarded>(deps.knex, actor, {
    action: 'dead-letter.discard',
    target: targetOf(selection),
    run: async () => {
      const addresses = await addressesOf(deps.deadLetters.queue, selection)
      const going: KeptLetter[] = []
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
    finish: ({ letters }) => removeDiscarded(deps, letters),
  })
}

export function owesVerdict({ debt, standing }: ExaminedLetter): boolean {
  return standing === 'open' && debt?.kind === 'verdict'
}

/** Removes what still lies there as it was discarded: another letter may have come to its address since. */
async function removeDiscarded(deps: DeadLetterDependencies, discarded: Discarded['letters']): Promise<void> {
  const byAddress = new Map(discarded.map((letter) => [letter.address, letter]))
  for (const round of roundsOf([...byAddress.keys()])) {
    const there = await readLetters(deps.deadLetters.queue, round)
    const same = there.filter((kept) => isSame(describe(kept), byAddress.get(kept.address)))
    const removals = await Promise.allSettled(same.map((kept) => removeOne(deps, kept)))
    for (const removal of removals) if (removal.status === 'rejected') throw removal.reason
  }
}

/** With the failed job that it speaks of, for which the triage would make another letter. */
async function removeOne(deps: DeadLetterDependencies, { job, letter }: KeptLetter): Promise<void> {
  if (letter.source === 'job' && letter.job_id !== undefined) {
    const step = producersOf(deps).find(({ queue }) => queue.name === letter.origin)
    const dead: Job | undefined = await step?.queue.getJob(letter.job_id)
    // Under its id there may be one by now that carries something else.
    if (dead !== undefined && isDeepStrictEqual(dead.data, letter.payload) && (await dead.isFailed()))
      await removeFinished(dead)
  }
  await job.remove()
}

function isSame(one: DiscardedLetter, other: DiscardedLetter | undefined): boolean {
  return (
    one.died_at === other?.died_at &&
    one.replays === other.replays &&
    one.payload_sha256 === other.payload_sha256
  )
}

function describe({ address, letter }: KeptLetter): DiscardedLetter {
  const { origin, reason, replays, dead_at: diedAt } = letter
  const payload = typeof letter.payload === 'string' ? letter.payload : JSON.stringify(letter.payload)
  const digest = createHash('sha256')
    .update(payload ?? '')
    .digest('hex')
  return {
    address,
    origin: briefly(origin),
    died_of: briefly(reason),
    died_at: diedAt,
    replays,
    payload_sha256: digest,
  }
}

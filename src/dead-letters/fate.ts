/** What a replay does to a letter: told to people before they press, and done when they do. */
import type { MessageDefinition } from '../contracts/messages/message.ts'
import { MESSAGES } from '../contracts/messages/topology.ts'
import { debtOf, standingsOf, type Debt, type DebtDependencies, type Standing } from './debts.ts'
import type { KeptLetter } from './letters.ts'

/**
 * - `settled`: nothing is owed any more: the letter is taken away
 * - `owed`: its debt is worked on again; the letter goes when that is settled
 * - `returned`: PostgreSQL knows nothing of it, or it can't be read: it goes back to where it died, and may die again
 * - `hopeless`: there is nothing that could be put back
 */
export const FATES = ['settled', 'owed', 'returned', 'hopeless'] as const
export type Fate = (typeof FATES)[number]

export interface ExaminedLetter extends KeptLetter {
  /** Undefined for what is not ours, or can't be read. */
  debt: Debt | undefined
  standing: Standing | undefined
  fate: Fate
}

/** Asks the stores what is still owed. @returns the letters in the order given */
export async function examineLetters(
  deps: Pick<DebtDependencies, 'knex' | 'redis' | 'signer' | 'topology'>,
  letters: readonly KeptLetter[],
): Promise<ExaminedLetter[]> {
  const debts = letters.map(({ letter }) => debtOf(letter, deps))
  const standings = await standingsOf(deps, debts)
  return letters.map((kept, i) => {
    const [debt, standing] = [debts[i], standings[i]]
    return { ...kept, debt, standing, fate: fateOf(deps, { ...kept, debt, standing }) }
  })
}

export function tallyFates(letters: readonly { fate: Fate }[]): Record<Fate, number> {
  const tally = { settled: 0, owed: 0, returned: 0, hopeless: 0 }
  for (const { fate } of letters) tally[fate]++
  return tally
}

/** The kind of message that a letter's origin is the queue of. */
export function messageOf(
  { topology }: Pick<DebtDependencies, 'topology'>,
  origin: string,
): Pick<MessageDefinition<never>, 'key'> | undefined {
  return MESSAGES.find((message) => topology.queueOf(message) === origin)
}

function fateOf(
  deps: Pick<DebtDependencies, 'topology'>,
  { letter, debt, standing }: Omit<ExaminedLetter, 'fate'>,
): Fate {
  if (standing === 'settled') return 'settled'
  if (standing === 'open') return 'owed'
  switch (letter.source) {
    case 'job':
      return debt === undefined ? 'hopeless' : 'returned' // a job is made anew, and only of what its step takes
    case 'message':
      // Nobody vouches for a letter's origin: nothing is sent to other queues than ours.
      return messageOf(deps, letter.origin) === undefined || letter.cut === true ? 'hopeless' : 'returned'
  }
}

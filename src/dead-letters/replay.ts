/** The use case of trying dead letters again, one or a group of them; where they came from is found by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Actor } from '../audit/audit.ts'
import { REPLAY_COUNT_HEADER, REPLAYED_BY_HEADER, type DeadLetter } from '../contracts/jobs/dead-letter.ts'
import { SIGNATURE_HEADER } from '../contracts/messages/signature.ts'
import type { JobProducer } from '../platform/bullmq/job.ts'
import type { Logger } from '../platform/logger.ts'
import type { ConfirmPublisher } from '../platform/rabbitmq/publisher.ts'
import { isStoreTrouble } from '../platform/store-trouble.ts'
import { auditedOnce, type Audited } from './audited.ts'
import { isHandedOver, revive, standingsOf, type DebtDependencies } from './debts.ts'
import { examineLetters, FATES, messageOf, tallyFates, type ExaminedLetter, type Fate } from './fate.ts'
import { addressesOf, briefly, readLetters, stampReplay, type KeptLetter, type Selection } from './letters.ts'

export interface DeadLetterDependencies extends DebtDependencies {
  deadLetters: JobProducer<'dead-letter', DeadLetter>
  /** Publishes to the exchange of the messages without signing them: what is put back keeps what it came with. */
  returns: Pick<ConfirmPublisher, 'publish'>
  log: Logger
}

/** Letters by what became of them; together they are all that were there. */
export interface Replayed {
  letters: number
  /** Nothing is owed any more: taken away. */
  settled: number
  /** Put back to its queue, from which it may die again, with its count raised. */
  returned: number
  /** Worked on again, and not settled yet: its letter goes when it is, and stays when it dies again. */
  waiting: number
  /** Nothing could be put back: read it, and discard it. */
  hopeless: number
  /** Time was over, or a store was, or the letter itself met an error: replay them again. */
  left: number
  /** True when it was stopped by an error: of a store, of the broker, or one that nobody expected. */
  interrupted: boolean
}

/** People wait for the answer, and others for the lock. */
const WITHIN_MS = 7_000
const ROUND = 100
const LOOK_AGAIN_MS = 150
const CONFIRM_WITHIN_MS = 3_000

/** Letters by what a replay would do now. Every one of them costs questions to the stores: not for a whole heap. */
export async function planReplay(
  deps: DeadLetterDependencies,
  letters: readonly KeptLetter[],
): Promise<Record<Fate, number>> {
  const fates = tallyFates([])
  for (const round of roundsOf(letters)) {
    const tally = tallyFates(await examineLetters(deps, round))
    for (const fate of FATES) fates[fate] += tally[fate]
  }
  return fates
}

/** @returns undefined when there is no letter at this address */
export async function examineOne(
  deps: DeadLetterDependencies,
  address: string,
): Promise<ExaminedLetter | undefined> {
  const [examined] = await examine(deps, await addressesOf(deps.deadLetters.queue, { address }))
  return examined
}

/**
 * Replays letters: what is owed is worked on again, what is settled goes, and what nothing can be said of is put back
 * to where it died. A letter goes after its effect is durable, so the same letters may be replayed by any number of
 * people and by the triage at once; a form that is sent twice is replayed once. Whatever stops it, what was done has
 * its row in the audit log.
 * @param withinMs no letter is begun after this
 */
export function replayLetters(
  deps: DeadLetterDependencies,
  selection: Selection,
  actor: Actor,
  withinMs = WITHIN_MS,
): Promise<Audited<Replayed>> {
  return auditedOnce(deps.knex, actor, {
    action: 'dead-letter.replay',
    target: targetOf(selection),
    run: async () => {
      const addresses = await addressesOf(deps.deadLetters.queue, selection)
      const { first, ...after } = await replayAll(deps, addresses, actor, Date.now() + withinMs)
      const about = first && {
        origin: briefly(first.origin),
        reason: briefly(first.reason),
        replays: first.replays,
      }
      const before = {
        ...('group' in selection ? { group: selection.group } : {}),
        letters: after.letters,
        ...about,
      }
      deps.log.info({ userId: actor.userId, target: targetOf(selection), ...after }, 'dead letters replayed')
      return { before, after, isWorthNoting: after.letters > 0 }
    },
  })
}

export function targetOf(selection: Selection): string {
  return 'address' in selection ? selection.address : `dead-letter group ${selection.group}`
}

export function* roundsOf<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += ROUND) yield items.slice(i, i + ROUND)
}

export async function examine(
  deps: DeadLetterDependencies,
  addresses: readonly string[],
): Promise<ExaminedLetter[]> {
  return examineLetters(deps, await readLetters(deps.deadLetters.queue, addresses))
}

/** What has become of the letters so far. */
interface Tally {
  settled: number
  returned: number
  hopeless: number
  /** With all of the above, and those that are worked on again. */
  done: number
  /** Those of them that may be settled in a moment. */
  owed: ExaminedLetter[]
  first: DeadLetter | undefined
}

async function replayAll(
  deps: DeadLetterDependencies,
  addresses: readonly string[],
  actor: Actor,
  endsAt: number,
): Promise<Replayed & { first: DeadLetter | undefined }> {
  const tally: Tally = { settled: 0, returned: 0, hopeless: 0, done: 0, owed: [], first: undefined }
  let interrupted = false
  try {
    for (const round of roundsOf(addresses)) {
      if (Date.now() > endsAt) break
      await replayRound(deps, round, actor, endsAt, tally)
    }
    tally.settled += await removeSettled(deps, tally.owed, endsAt)
  } catch (error) {
    deps.log[isTrouble(error) ? 'warn' : 'error']({ err: error }, 'replay of dead letters interrupted')
    interrupted = true
  }
  const { settled, returned, hopeless, done, first } = tally
  const waiting = done - settled - returned - hopeless
  const [letters, left] = [addresses.length, addresses.length - done]
  return { letters, settled, returned, waiting, hopeless, left, interrupted, first }
}

/** An error of one letter is its own: it is left, and the others go on. */
async function replayRound(
  deps: DeadLetterDependencies,
  addresses: readonly string[],
  actor: Actor,
  endsAt: number,
  tally: Tally,
): Promise<void> {
  const round = await examine(deps, addresses)
  // Those that have gone since were settled by somebody else.
  tally.settled += addresses.length - round.length
  tally.done += addresses.length - round.length
  for (const examined of round) {
    if (Date.now() > endsAt) return
    tally.first ??= examined.letter
    try {
      const outcome = await replayOne(deps, examined, actor)
      if (outcome !== 'waiting') tally[outcome]++
      else if (isSoonSettled(examined)) tally.owed.push(examined)
      tally.done++
    } catch (error) {
      if (isTrouble(error)) throw error
      deps.log.error({ letter: examined.letter.id, err: error }, 'dead letter not replayed')
    }
  }
}

/** The broker has not confirmed what was put back: the letter stays. */
class NotReturned extends Error {}

/** What no letter can be blamed for. */
function isTrouble(error: unknown): boolean {
  return isStoreTrouble(error) || error instanceof NotReturned
}

async function replayOne(
  deps: DeadLetterDependencies,
  examined: ExaminedLetter,
  actor: Actor,
): Promise<'settled' | 'returned' | 'waiting' | 'hopeless'> {
  const { job, letter, fate } = examined
  switch (fate) {
    case 'settled':
      await job.remove()
      return 'settled'
    case 'returned':
      if (letter.source === 'message') {
        await putBack(deps, letter, actor)
        await job.remove()
        return 'returned'
      }
      return reviveOne(deps, examined, actor)
    case 'owed':
      return reviveOne(deps, examined, actor)
    case 'hopeless':
      return 'hopeless'
  }
}

async function reviveOne(
  deps: DeadLetterDependencies,
  { job, letter, debt }: ExaminedLetter,
  { userId }: Actor,
): Promise<'settled' | 'waiting'> {
  if (debt === undefined) throw new Error(`letter ${letter.id} owes nothing`)
  try {
    await revive(deps, debt)
    if (isHandedOver(letter, debt)) {
      await job.remove()
      return 'settled'
    }
  } catch (error) {
    if (isStoreTrouble(error)) throw error
    deps.log.warn({ letter: letter.id, err: error }, 'dead letter failed again')
  }
  await stampReplay(job, letter, userId)
  return 'waiting'
}

/** As it came, with its old signature or without any: it is no more believed than before. */
async function putBack(
  deps: Pick<DeadLetterDependencies, 'returns' | 'topology'>,
  letter: DeadLetter,
  { userId }: Actor,
): Promise<void> {
  const message = messageOf(deps, letter.origin)
  if (message === undefined) throw new Error(`letter ${letter.id} is of no queue of ours`)
  const headers = {
    [REPLAY_COUNT_HEADER]: letter.replays + 1,
    ...(userId === undefined ? {} : { [REPLAYED_BY_HEADER]: userId }),
    ...(letter.signature === undefined ? {} : { [SIGNATURE_HEADER]: letter.signature }),
  }
  const body = Buffer.from(String(letter.payload))
  const outcome = await deps.returns.publish(
    { routingKey: message.key, messageId: letter.id, body, headers },
    CONFIRM_WITHIN_MS,
  )
  if (outcome !== 'confirmed') throw new NotReturned(`message not put back: ${outcome}`)
}

/** An order is closed at its deadline, not before; and what PostgreSQL knows nothing of is never settled. */
function isSoonSettled({ debt, standing }: ExaminedLetter): boolean {
  return standing === 'open' && debt?.kind !== 'close'
}

/** Waits a while for what is worked on again, so that a group is seen to empty. @returns letters that it took away */
async function removeSettled(
  deps: DeadLetterDependencies,
  owed: readonly ExaminedLetter[],
  endsAt: number,
): Promise<number> {
  let open = owed
  while (open.length > 0) {
    const standings = await standingsOf(
      deps,
      open.map(({ debt }) => debt),
    )
    for (const { job } of open.filter((_letter, i) => standings[i] === 'settled')) await job.remove()
    open = open.filter((_letter, i) => standings[i] !== 'settled')
    if (Date.now() + LOOK_AGAIN_MS > endsAt) break
    await sleep(LOOK_AGAIN_MS)
  }
  return owed.length - open.length
}

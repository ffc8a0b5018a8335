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
import { examineLetters, messageOf, tallyFates, type ExaminedLetter, type Fate } from './fate.ts'
import { addressesOf, readLetters, stampReplay, type Selection } from './letters.ts'

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
  /** Time was over, or a store was: replay them again. */
  left: number
  /** True when a store or the broker stopped it. */
  interrupted: boolean
}

/** People wait for the answer, and others for the lock. */
const WITHIN_MS = 7_000
const ROUND = 100
const LOOK_AGAIN_MS = 150
const CONFIRM_WITHIN_MS = 3_000

/** Letters of a selection by what a replay would do now. @returns undefined when there are none */
export async function planReplay(
  deps: DeadLetterDependencies,
  selection: Selection,
): Promise<{ letters: number; fates: Record<Fate, number>; examined: ExaminedLetter[] } | undefined> {
  const addresses = await addressesOf(deps.deadLetters.queue, selection)
  const examined: ExaminedLetter[] = []
  for (const round of roundsOf(addresses)) examined.push(...(await examine(deps, round)))
  if (examined.length === 0) return undefined
  return { letters: examined.length, fates: tallyFates(examined), examined }
}

/**
 * Replays letters: what is owed is worked on again, what is settled goes, and what nothing can be said of is put back
 * to where it died. A letter goes after its effect is durable, so the same letters may be replayed by any number of
 * people and by the triage at once; a form that is sent twice is replayed once.
 */
export function replayLetters(
  deps: DeadLetterDependencies,
  selection: Selection,
  actor: Actor,
): Promise<Audited<Replayed>> {
  return auditedOnce(deps.knex, actor, {
    action: 'dead-letter.replay',
    target: targetOf(selection),
    run: async () => {
      const addresses = await addressesOf(deps.deadLetters.queue, selection)
      const { first, ...after } = await replayAll(deps, addresses, actor)
      const about = first && { origin: first.origin, reason: first.reason, replays: first.replays }
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

export function* roundsOf(addresses: readonly string[]): Generator<string[]> {
  for (let i = 0; i < addresses.length; i += ROUND) yield addresses.slice(i, i + ROUND)
}

export async function examine(
  deps: DeadLetterDependencies,
  addresses: readonly string[],
): Promise<ExaminedLetter[]> {
  return examineLetters(deps, await readLetters(deps.deadLetters.queue, addresses))
}

async function replayAll(
  deps: DeadLetterDependencies,
  addresses: readonly string[],
  actor: Actor,
): Promise<Replayed & { first: DeadLetter | undefined }> {
  const endsAt = Date.now() + WITHIN_MS
  const counts = { letters: addresses.length, settled: 0, returned: 0, waiting: 0, hopeless: 0, left: 0 }
  const owed: ExaminedLetter[] = []
  let done = 0
  let first: DeadLetter | undefined
  let interrupted = false
  try {
    for (const round of roundsOf(addresses)) {
      if (Date.now() > endsAt) break
      const examined = await examine(deps, round)
      // Those that have gone since were settled by somebody else.
      counts.settled += round.length - examined.length
      done += round.length - examined.length
      for (const letter of examined) {
        first ??= letter.letter
        const outcome = await replayOne(deps, letter, actor)
        if (outcome !== 'waiting') counts[outcome]++
        else if (isSoonSettled(letter)) owed.push(letter)
        done++
      }
    }
    counts.settled += await removeSettled(deps, owed, endsAt)
  } catch (error) {
    if (!isStoreTrouble(error) && !(error instanceof NotReturned)) throw error
    deps.log.warn({ err: error }, 'replay of dead letters interrupted')
    interrupted = true
  }
  const known = counts.settled + counts.returned + counts.hopeless
  return { ...counts, waiting: done - known, left: addresses.length - done, interrupted, first }
}

/** The broker has not confirmed what was put back: the letter stays. */
class NotReturned extends Error {}

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

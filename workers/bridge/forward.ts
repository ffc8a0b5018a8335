/** Forwarding a batch, and finding the messages in it that can't be forwarded. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConsumeMessage } from 'amqplib'
import { blamesValues } from '../../src/platform/postgres/transaction.ts'
import { isStoreTrouble } from '../../src/platform/store-trouble.ts'

/** A batch that fails for an unknown reason is tried so often before each of its messages is tried alone. */
const TRIES_TOGETHER = 3
/** A message that fails alone so often is to blame itself. */
const TRIES_ALONE = 5
const FIRST_PAUSE_MS = 50

export interface Readable<Payload> {
  delivery: ConsumeMessage
  payload: Payload
}

export interface Refused {
  delivery: ConsumeMessage
  reason: string
  attempts: number
}

interface Suspect<Payload> extends Readable<Payload> {
  error: unknown
}

/** Makes the batch durable on the other side; idempotent. */
export type Forward<Payload> = (batch: readonly Payload[]) => Promise<void>

/**
 * Forwards a batch. A bug that one message sets off must not hold up all others for ever: what fails alone, again and
 * again, is told apart. Trouble of a store is nobody's fault and goes to the caller.
 * @returns the messages that could not be forwarded, with the reason
 * @throws when a store is in trouble; some may have been forwarded then
 */
export async function forwardBatch<Payload>(
  forward: Forward<Payload>,
  batch: readonly Readable<Payload>[],
): Promise<Refused[]> {
  if (batch.length === 0) return []
  let together = 0
  for (; together < TRIES_TOGETHER; together++) {
    await pauseBefore(together)
    const error = await failureOf(forward, batch)
    if (error === undefined) return []
    if (blamesValues(error)) break // the same again, however often: one of them has a value that can't be kept
  }
  return forwardAlone(forward, batch, together)
}

async function forwardAlone<Payload>(
  forward: Forward<Payload>,
  batch: readonly Readable<Payload>[],
  triesBefore: number,
): Promise<Refused[]> {
  const refused: Refused[] = []
  let left = batch
  for (let tries = 1; left.length > 0; tries++) {
    await pauseBefore(tries - 1)
    const failed = await failedAlone(forward, left)
    const isToBlame = ({ error }: Suspect<Payload>) => tries === TRIES_ALONE || blamesValues(error)
    for (const { delivery, error } of failed.filter(isToBlame))
      refused.push({ delivery, reason: (error as Error).message, attempts: triesBefore + tries })
    left = failed.filter((suspect) => !isToBlame(suspect))
  }
  return refused
}

async function failedAlone<Payload>(
  forward: Forward<Payload>,
  batch: readonly Readable<Payload>[],
): Promise<Suspect<Payload>[]> {
  const failed: Suspect<Payload>[] = []
  for (const one of batch) {
    const error = await failureOf(forward, [one])
    if (error !== undefined) failed.push({ ...one, error })
  }
  return failed
}

/** @throws when a store is in trouble */
async function failureOf<Payload>(
  forward: Forward<Payload>,
  batch: readonly Readable<Payload>[],
): Promise<Error | undefined> {
  try {
    await forward(batch.map(({ payload }) => payload))
    return undefined
  } catch (error) {
    if (isStoreTrouble(error)) throw error
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** None before the first try, then growing ones. */
async function pauseBefore(earlierTries: number): Promise<void> {
  if (earlierTries > 0) await sleep(FIRST_PAUSE_MS * 2 ** earlierTries)
}

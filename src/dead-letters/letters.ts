/** The dead letters that are kept: read, grouped by what killed them, stamped when they are tried again. */
import { createHash } from 'node:crypto'
import type { Job, Queue } from 'bullmq'
import { deadLetterJob, type DeadLetter } from '../contracts/jobs/dead-letter.ts'

/** Of a heap that is larger, only the oldest are looked at; what is done with them makes room for the others. */
export const MAX_SCANNED = 10_000
const PAGE = 500

/** A letter as it lies in its queue. Its address is the id of the job, which says the same whatever the job carries. */
export interface KeptLetter {
  job: Job
  address: string
  letter: DeadLetter
}

/** Letters of one origin that died of the same error but for its ids and numbers. */
export interface LetterGroup {
  fingerprint: string
  origin: string
  source: DeadLetter['source']
  /** With `#` in place of ids and numbers. */
  reason: string
  count: number
  /** When the first and the last of them died, ISO 8601. */
  oldest: string
  newest: string
  maxReplays: number
}

/** One letter, or all of a group. */
export type Selection = { address: string } | { group: string }

export interface LetterList {
  /** All that are kept, and how many of them were looked at. */
  total: number
  scanned: number
  /** The largest first. */
  groups: LetterGroup[]
  /** Letters of the group that was asked for, or of all, and one page of them, the oldest first. */
  matching: number
  letters: KeptLetter[]
}

/** @param group fingerprint of the only group whose letters are wanted */
export async function listDeadLetters(
  queue: Queue,
  { group, offset, limit }: { group?: string | undefined; offset: number; limit: number },
): Promise<LetterList> {
  const groups = new Map<string, LetterGroup>()
  const letters: KeptLetter[] = []
  let [scanned, matching] = [0, 0]
  for await (const kept of scan(queue)) {
    scanned++
    const { fingerprint } = addTo(groups, kept.letter)
    if (group !== undefined && group !== fingerprint) continue
    if (matching >= offset && letters.length < limit) letters.push(kept)
    matching++
  }
  const total = Math.max(scanned, await queue.getWaitingCount())
  const bySize = [...groups.values()].toSorted((a, b) => b.count - a.count)
  return { total, scanned, groups: bySize, matching, letters }
}

/** Addresses of the letters that a selection means now. */
export async function addressesOf(queue: Queue, selection: Selection): Promise<string[]> {
  if ('address' in selection) {
    const job = await queue.getJob(selection.address)
    // Another key of the queue under that name is no letter. Asking goes through the whole list: not for a group.
    return job !== undefined && (await job.isWaiting()) ? [selection.address] : []
  }
  const addresses: string[] = []
  for await (const { address, letter } of scan(queue))
    if (fingerprintOf(letter) === selection.group) addresses.push(address)
  return addresses
}

/** The letters at addresses that `addressesOf` has found; those that are gone since are left out. */
export async function readLetters(queue: Queue, addresses: readonly string[]): Promise<KeptLetter[]> {
  const jobs: (Job | undefined)[] = await Promise.all(addresses.map((address) => queue.getJob(address)))
  return jobs.filter((job) => job !== undefined).map(keptLetter)
}

/** Counts a replay on its letter, which stays until what it owes is settled. @param by none for the triage */
export async function stampReplay(job: Job, letter: DeadLetter, by: string | undefined): Promise<void> {
  const { replayed_by: _by, ...rest } = letter
  const stamped: DeadLetter = {
    ...rest,
    replays: letter.replays + 1,
    replayed_at: new Date().toISOString(),
    ...(by === undefined ? {} : { replayed_by: by }),
  }
  await job.updateData(stamped).catch(async (error: unknown) => {
    if ((await job.getState()) !== 'unknown') throw error // else another process has settled it
  })
}

/** Names the group of a letter: its origin, and its reason without what differs from one letter to the next. */
export function fingerprintOf({ source, origin, reason }: DeadLetter): string {
  const name = JSON.stringify([source, origin, withoutIds(reason)])
  return createHash('sha256').update(name).digest('hex').slice(0, 16)
}

/** Its first letter, and its host. It is looked for from where a word begins only, so that a long one costs no more. */
export const E_MAIL = /(?<![\w.+-])([\w.+-])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)/g
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi
const LONG_HEX = /\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b/gi
const NUMBER = /\d+/g

function withoutIds(reason: string): string {
  return [E_MAIL, UUID, LONG_HEX, NUMBER].reduce((text, pattern) => text.replaceAll(pattern, '#'), reason)
}

/** Text of nobody's warrant, short and as PostgreSQL takes it: without NUL, and no half of a character. */
export function briefly(text: string): string {
  return text.slice(0, 200).replaceAll('\0', '\uFFFD').toWellFormed()
}

function addTo(groups: Map<string, LetterGroup>, letter: DeadLetter): LetterGroup {
  const fingerprint = fingerprintOf(letter)
  const { origin, source, replays, dead_at: deadAt } = letter
  const group = groups.get(fingerprint) ?? {
    fingerprint,
    origin,
    source,
    reason: withoutIds(letter.reason),
    count: 0,
    oldest: deadAt,
    newest: deadAt,
    maxReplays: 0,
  }
  group.count++
  group.maxReplays = Math.max(group.maxReplays, replays)
  if (deadAt < group.oldest) group.oldest = deadAt
  if (deadAt > group.newest) group.newest = deadAt
  groups.set(fingerprint, group)
  return group
}

async function* scan(queue: Queue): AsyncGenerator<KeptLetter> {
  for (let offset = 0; offset < MAX_SCANNED; offset += PAGE) {
    const found = await queue.getJobs(['waiting'], offset, offset + PAGE - 1, true)
    // Another process may have taken one away between the reading of the list and of the job.
    for (const job of found as (Job | undefined)[]) if (job !== undefined) yield keptLetter(job)
    if (found.length < PAGE) return
  }
}

/** What was put into the queue by others is shown as well, as a letter of nobody. */
function keptLetter(job: Job): KeptLetter {
  const address = job.id ?? ''
  const { data: letter } = deadLetterJob.schema.safeParse(job.data)
  return { job, address, letter: letter ?? strayLetter(address, job) }
}

function strayLetter(address: string, job: Job): DeadLetter {
  return {
    id: address,
    source: 'job',
    origin: 'unknown',
    reason: 'not a dead letter',
    attempts: 0,
    payload: job.data,
    replays: 0,
    dead_at: new Date(job.timestamp).toISOString(),
  }
}

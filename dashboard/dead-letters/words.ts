/** What a press has done, in words. */
import type { Audited } from '../../src/dead-letters/audited.ts'
import type { Discarded } from '../../src/dead-letters/discard.ts'
import type { Replayed } from '../../src/dead-letters/replay.ts'
import type { Retried } from '../../src/dead-letters/retry.ts'

export interface Answer {
  kind: 'ok' | 'info' | 'bad'
  lines: string[]
}

const BUSY: Answer = {
  kind: 'bad',
  lines: ['Somebody else is at the dead letters. Nothing was changed: try again in a moment.'],
}

export function wordsOfReplay(audited: Audited<Replayed>): Answer {
  if (audited.kind === 'busy') return BUSY
  const { letters, settled, returned, waiting, hopeless, left, interrupted } = audited.result
  return answer(interrupted || left > 0 ? 'bad' : 'ok', [
    [true, `${letters} ${plural(letters, 'letter')} replayed${again(audited)}.`],
    [settled > 0, `${settled} settled, and gone.`],
    [
      returned > 0,
      `${returned} put back to where they died; those that die again come back with their count.`,
    ],
    [waiting > 0, `${waiting} worked on again; their letters go when that is done.`],
    [hopeless > 0, `${hopeless} can not be put back: read and discard them.`],
    [interrupted, 'It was stopped by an error, of a store or of the broker as a rule: see the log.'],
    [left > 0, `${left} left: replay them again.`],
  ])
}

export function wordsOfDiscard(audited: Audited<Discarded>): Answer {
  if (audited.kind === 'busy') return BUSY
  const { discarded, owing, left, reason } = audited.result
  return answer(owing > 0 || left > 0 ? 'bad' : 'ok', [
    [true, `${discarded} ${plural(discarded, 'letter')} discarded${again(audited)}: ${reason}`],
    [owing > 0, `${owing} kept: somebody waits for the verdict that they owe. Replay them.`],
    [left > 0, `${left} left: discard them again.`],
  ])
}

export function wordsOfRetry(audited: Audited<Retried>): Answer {
  if (audited.kind === 'busy') return BUSY
  const { failed, retried, settled, left } = audited.result
  return answer('ok', [
    [true, `${failed} ${plural(failed, 'job')} had failed${again(audited)}.`],
    [retried > 0, `${retried} wait again, with all their attempts.`],
    [settled > 0, `${settled} had nothing left to do, and are gone.`],
    [left > 0, `${left} were left: they carry what no step takes, or time was over.`],
  ])
}

/** A form that was sent twice has done something once. */
function again({ kind }: { kind: 'done' | 'repeated' }): string {
  return kind === 'repeated' ? ', by the first press' : ''
}

function plural(count: number, word: string): string {
  return count === 1 ? word : `${word}s`
}

function answer(kind: Answer['kind'], lines: readonly [boolean, string][]): Answer {
  return { kind, lines: lines.flatMap(([holds, line]) => (holds ? [line] : [])) }
}

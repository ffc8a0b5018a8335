import { finding, type Finding } from './finding.ts'

/** Windows are judged by Redis, deadlines by PostgreSQL: apart by more than this, a sale opens before it is due. */
const LIMIT_MS = 1_000
const TRIES = 3

/** One question about the time: when it was asked and answered by our clock, and the answer, in milliseconds. */
export interface ClockSample {
  asked: number
  answered: number
  theirs: number
}

/** Asks a server for its time a few times and judges by the quickest answer. @param read the server's time in ms */
export async function checkClock(what: string, read: () => Promise<number>): Promise<Finding> {
  const samples: ClockSample[] = []
  for (let i = 0; i < TRIES; i++) {
    const asked = Date.now()
    const theirs = await read()
    samples.push({ asked, answered: Date.now(), theirs })
  }
  samples.sort((a, b) => a.answered - a.asked - (b.answered - b.asked))
  return judgeClock(what, samples[0] ?? { asked: 0, answered: 0, theirs: 0 })
}

/** The server read its clock somewhere between question and answer: half the round trip is the doubt. */
export function judgeClock(what: string, { asked, answered, theirs }: ClockSample): Finding {
  const doubt = Math.ceil((answered - asked) / 2)
  const difference = Math.round(theirs - (asked + answered) / 2)
  return finding(
    what,
    Math.abs(difference) - doubt <= LIMIT_MS,
    `${difference} ms from this machine (± ${doubt}; limit ${LIMIT_MS})`,
    'sudo timedatectl set-ntp true, on this machine and on that one',
  )
}

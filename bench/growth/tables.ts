/** The results as Markdown. */
import { median, spreadOf, spreadText } from '../lib/summary.ts'
import { textTable } from '../lib/table.ts'
import type { Sample } from '../ratio.ts'
import type { WaitingBytes } from './memory.ts'
import type { Cost } from './plans.ts'
import type { Side } from './side.ts'

/** One measurement of each side. */
export interface CostRound {
  what: string
  small: Sample
  /** The big side, all on one new sale, as on the small side. */
  big: Sample
  /** The big side, spread evenly over all its sales. */
  spread: Sample
}

const GOAL = 1.1

export function costTable(rounds: readonly CostRound[], { big, small }: { big: Side; small: Side }): string {
  const rows = [...new Set(rounds.map(({ what }) => what))].flatMap((what) => {
    const of = rounds.filter((round) => round.what === what)
    return (['big', 'spread'] as const).map((side) => {
      const ratio = spreadOf(of.map((round) => round[side].value / round.small.value))
      return [
        side === 'big' ? what : `${what}, spread over all sales`,
        costText(of.map((round) => round.small)),
        costText(of.map((round) => round[side])),
        spreadText(ratio),
        `<= ${GOAL}`,
        ratio.median <= GOAL ? 'yes' : 'NO',
      ]
    })
  })
  const count = ({ size }: Side) => `${size.reservations} of ${size.events}`
  return textTable(['CPU time, us', `at ${count(small)}`, `at ${count(big)}`, 'ratio', 'goal', 'met'], rows)
}

/** The sum, and the medians of its parts. */
function costText(samples: readonly Sample[]): string {
  const parts = Object.keys(samples[0]?.extra ?? {}).map((part) => {
    return `${part} ${Math.round(median(samples.map(({ extra = {} }) => extra[part] ?? NaN)))}`
  })
  return `${spreadText(spreadOf(samples.map(({ value }) => value)))} (${parts.join(', ')})`
}

export function planTable(
  costs: { small: readonly Cost[]; big: readonly Cost[] },
  sides: { big: Side; small: Side },
): string {
  const before = new Map(costs.small.map((cost) => [cost.name, cost]))
  const rows = costs.big.map((cost) => {
    const small = before.get(cost.name)
    return [
      cost.name,
      String(cost.statements),
      String(small?.pages ?? ''),
      String(cost.pages),
      cost.ms.toFixed(1),
      cost.scanned.join(', '),
    ]
  })
  const pages = ({ size }: Side) => `pages at ${size.reservations}`
  return textTable(
    ['reading', 'statements', pages(sides.small), pages(sides.big), 'ms', 'read as a whole'],
    rows,
  )
}

export function bytesTable({ bytes, size }: Side, waiting: WaitingBytes): string {
  const tables = Object.entries(bytes.postgres)
    .filter(([, total]) => total / size.reservations >= 1)
    .toSorted(([, a], [, b]) => b - a)
  const total = tables.reduce((sum, [, each]) => sum + each, 0)
  const each = (n: number) => `${Math.round(n)} bytes`
  return textTable(
    ['memory and disk', 'each'],
    [
      ['Redis, a reservation', each(bytes.redisPerReservation)],
      [`Redis, a delayed close-order job (of ${bytes.jobs})`, each(bytes.redisPerJob)],
      ['API, a buyer who waits on a stream', each(waiting.perStream)],
      ['API, a connection that is kept open', each(waiting.perConnection)],
      ['API, nobody there', `${Math.round(waiting.idle / 2 ** 20)} MB`],
      ['PostgreSQL, all of a purchase with its buyer', each(total / size.reservations)],
      ...tables.map(([name, sum]) => [`of that ${name}`, each(sum / size.reservations)]),
    ],
  )
}

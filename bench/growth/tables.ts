/** The results as Markdown. */
import { median, spreadOf, spreadText } from '../lib/summary.ts'
import { textTable } from '../lib/table.ts'
import type { Sample } from '../ratio.ts'
import type { WaitingBytes } from './memory.ts'
import type { Cost } from './plans.ts'
import type { Side, Sides } from './side.ts'

/** One measurement of each kind. */
export interface CostRound {
  what: string
  /** All on one new sale, beside as little as there is. */
  small: Sample
  /** As little, spread evenly over as many sales as the big side has. */
  many: Sample
  /** The big side, all on one new sale. */
  big: Sample
  /** The big side, spread evenly over all its sales. */
  spread: Sample
}

type Kind = Exclude<keyof CostRound, 'what'>

const GOAL = 1.1

interface Comparison {
  how: string
  from: Kind
  to: Kind
  goal?: number
}

/** Like with like, from the smallest size to the largest; the last is no growth but another way to spend the same. */
const COMPARISONS: readonly Comparison[] = [
  { how: 'on one sale', from: 'small', to: 'big', goal: GOAL },
  { how: 'on all sales', from: 'many', to: 'spread', goal: GOAL },
  { how: 'on one, then on all', from: 'small', to: 'many' },
]

export function costTable(rounds: readonly CostRound[], { small, many, big }: Sides): string {
  const count = ({ size }: Side) => `${size.reservations} of ${size.events}`
  const sizes: Record<Kind, string> = {
    small: count(small),
    many: count(many),
    big: count(big),
    spread: count(big),
  }
  const rows = [...new Set(rounds.map(({ what }) => what))].flatMap((what) => {
    const of = rounds.filter((round) => round.what === what)
    return COMPARISONS.map(({ how, from, to, goal }) => {
      const ratio = spreadOf(of.map((round) => round[to].value / round[from].value))
      return [
        `${what}, ${how}`,
        `${sizes[from]} -> ${sizes[to]}`,
        costText(of.map((round) => round[from])),
        costText(of.map((round) => round[to])),
        spreadText(ratio),
        ...(goal === undefined ? ['-', '-'] : [`<= ${goal}`, ratio.median <= goal ? 'yes' : 'NO']),
      ]
    })
  })
  return textTable(['CPU time, us', 'orders of sales', 'from', 'to', 'ratio', 'goal', 'met'], rows)
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

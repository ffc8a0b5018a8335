/** A course as text: second by second, by phase, and beside its goals. */
import { figure } from '../lib/summary.ts'
import { textTable } from '../lib/table.ts'
import type { Course } from './course.ts'
import { calmAfter, partOf, type Latency, type Part } from './figures.ts'
import { WATCHED, type Look, type Watched } from './watch.ts'

/** A phase with what was seen in it. */
export interface Seen {
  name: string
  fromMs: number
  untilMs: number
  part: Part
  decisionMs: { p50: number; p99: number }
  looks: readonly Look[]
}

export interface Goal {
  what: string
  measured: string
  goal: string
  met: boolean
}

export function seenOf({ phases, flood, looks, decisions }: Course): Seen[] {
  let fromMs = 0
  return phases.map(({ name, seconds }, i) => {
    const span = { fromMs, untilMs: fromMs + seconds * 1_000 }
    fromMs = span.untilMs
    return {
      name,
      ...span,
      part: partOf(flood, span.fromMs, span.untilMs),
      decisionMs: decisions[i] ?? { p50: NaN, p99: NaN },
      looks: looks.filter(({ at }) => at - flood.beganAt >= span.fromMs && at - flood.beganAt < span.untilMs),
    }
  })
}

export function secondsTable({ flood, looks }: Course): string {
  const rows = looks.flatMap((look, i) => {
    const untilMs = look.at - flood.beganAt
    const before = looks[i - 1]
    if (before === undefined || untilMs < 0) return []
    const part = partOf(flood, before.at - flood.beganAt, untilMs)
    if (part.offered === 0) return []
    return [
      [
        (untilMs / 1_000).toFixed(0),
        String(part.offered),
        String(part.accepted.count),
        figure(part.accepted.due.p99),
        String(part.refused.count),
        figure(part.refused.due.p99),
        figure(look.lagMs),
        `${megabytes(look, 'API')}/${megabytes(look, 'workers')}`,
        `${figure(look.redisMb)}/${figure(look.queueRedisMb)}/${megabytes(look, 'RabbitMQ')}`,
        `${look.messages}/${look.jobs}/${look.undecided}`,
        WATCHED.map((name) => share(look, before, name)).join('/'),
      ],
    ]
  })
  return textTable(
    [
      's',
      'offered',
      'accepted',
      'p99 ms',
      'refused',
      'p99 ms',
      'API lag ms',
      'RSS MB api/workers',
      'Redis/queues/RabbitMQ MB',
      'messages/jobs/undecided',
      `% of a core ${WATCHED.join('/')}`,
    ],
    rows,
  )
}

export function phasesTable(seen: readonly Seen[]): string {
  const rows = seen.map(({ name, fromMs, untilMs, part, decisionMs }) => [
    name,
    perSecond(part.offered, untilMs - fromMs),
    perSecond(part.accepted.count, untilMs - fromMs),
    latencyText(part.accepted),
    perSecond(part.refused.count, untilMs - fromMs),
    latencyText(part.refused),
    perSecond(part.asked.count, untilMs - fromMs),
    latencyText(part.asked),
    `${figure(decisionMs.p50)} / ${figure(decisionMs.p99)}`,
    Object.entries(part.errors)
      .map(([error, count]) => `${error} ${count}`)
      .concat(part.unanswered > 0 ? [`unanswered ${part.unanswered}`] : [])
      .join(', '),
  ])
  const times = 'p50 / p99 / max ms when due (when sent)'
  return textTable(
    [
      'phase',
      'offered/s',
      'accepted/s',
      times,
      'refused/s',
      times,
      'asked/s',
      times,
      'decided after ms p50 / p99',
      'errors',
    ],
    rows,
  )
}

/** In which a crowd is a burst still, as far as the API can tell, and is let in up to a number. */
const ONSET_MS = 5_000

export function goalsOf(course: Course, seen: readonly Seen[]): Goal[] {
  const [rest, steady, overload, calm] = seen
  if (rest === undefined || steady === undefined || overload === undefined || calm === undefined)
    throw new Error('a course has four phases')
  const { flood } = course
  const { part } = overload
  const usual = steady.part.accepted.due.p99
  const slower = part.accepted.due.p99 / usual
  const later = partOf(flood, overload.fromMs + ONSET_MS, overload.untilMs).accepted.due.p99 / usual
  const ready = calmAfter(flood, 1.5 * rest.part.accepted.due.p99, overload.untilMs, calm.untilMs)
  const kept =
    part.accepted.count / (overload.untilMs - overload.fromMs) / (course.capacity.acceptedPerS / 1_000)
  const withoutRetryAfter = seen.reduce((sum, one) => sum + one.part.withoutRetryAfter, 0)
  const growth = growthMb(steady.looks, overload.looks)
  const told = flood.told.length
  const lost = Math.max(0, told - course.orders)
  const others = Object.entries(part.errors).filter(([name]) => !name.endsWith('OVERLOADED'))
  const goal = (what: string, measured: string, text: string, met: boolean): Goal => ({
    what,
    measured,
    goal: text,
    met,
  })
  return [
    goal('p99 of accepted : at 70 %', figure(slower), '<= 2', slower <= 2),
    goal(`  without the first ${ONSET_MS / 1_000} s of it`, figure(later), '<= 2', later <= 2),
    goal('accepted : capacity', figure(kept), '>= 0.7', kept >= 0.7),
    goal('p99 of refusals, ms', figure(part.refused.due.p99), '<= 100', part.refused.due.p99 <= 100),
    goal('refusals without Retry-After', String(withoutRetryAfter), '0', withoutRetryAfter === 0),
    goal(
      'other errors, unanswered, not sent',
      `${others.map(([name, n]) => `${name} ${n}`).join(', ') || 0}, ${part.unanswered}, ${flood.unsent.noConnection + flood.unsent.noBuyer}`,
      '0, 0, 0',
      others.length + part.unanswered + flood.unsent.noConnection + flood.unsent.noBuyer === 0,
    ),
    goal('RSS of API and workers, more at most, MB', figure(growth), '<= 200', growth <= 200),
    goal(
      'accepted back to 1.5 x p99 at rest, s',
      ready === undefined ? 'never' : figure(ready / 1_000),
      '<= 2',
      (ready ?? Infinity) <= 2_000,
    ),
    goal('lost: told and not ordered', `${lost} of ${told}`, '0', lost === 0),
  ]
}

export function goalsTable(goals: readonly Goal[]): string {
  return textTable(
    ['under overload', 'measured', 'goal', 'met'],
    goals.map(({ what, measured, goal, met }) => [what, measured, goal, met ? 'yes' : 'NO']),
  )
}

/** From the end of the overload until as few reservations as at rest had no verdict; undefined while they were more. */
export function backlogGoneAfterS(
  { flood, looks }: Course,
  [rest, , overload]: readonly Seen[],
): number | undefined {
  if (rest === undefined || overload === undefined) return undefined
  const usual = 1.5 * Math.max(...rest.looks.map(({ undecided }) => undecided))
  const over = flood.beganAt + overload.untilMs
  const gone = looks.find(({ at, undecided }) => at >= over && undecided <= usual)
  return gone && (gone.at - over) / 1_000
}

function growthMb(before: readonly Look[], during: readonly Look[]): number {
  const most = (looks: readonly Look[]) =>
    Math.max(...looks.map(({ uses }) => (uses.API?.rssMb ?? NaN) + (uses.workers?.rssMb ?? NaN)))
  return most(during) - most(before)
}

function perSecond(count: number, ms: number): string {
  return figure((count / ms) * 1_000)
}

function latencyText({ count, due, sent }: Latency): string {
  if (count === 0) return '-'
  const text = ({ p50, p99, max }: typeof due) => [p50, p99, max].map(figure).join(' / ')
  return `${text(due)} (${text(sent)})`
}

function megabytes({ uses }: Look, name: Watched): string {
  return uses[name] === undefined ? '-' : figure(Math.round(uses[name].rssMb))
}

function share(now: Look, before: Look, name: Watched): string {
  const [to, from] = [now.uses[name], before.uses[name]]
  if (to === undefined || from === undefined) return '-'
  return (((to.cpuS - from.cpuS) / (now.at - before.at)) * 100_000).toFixed(0)
}

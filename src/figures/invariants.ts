/** The invariants of docs/architecture.md that the stores alone can show. */
import type { UnitCounts } from '../reserve/scripts.ts'
import type { Holdings } from './holdings.ts'
import type { LedgerFacts } from './ledger.ts'

export interface Invariant {
  name: string
  ok: boolean
  /** The numbers it was judged on. */
  numbers: string
}

/** The one that compares both stores, which are read one after the other: exact when nothing moves between. */
export const DRIFT_IS_ZERO = '3 drift is 0'

/** Everything that the invariants of one event speak of. */
export interface Facts extends Holdings {
  ledger: LedgerFacts
  redis: UnitCounts | 'NOT_READY'
  /** A - InFlight - PendRel - R; null without a gate, which leaves nothing to compare. */
  drift: number | null
}

/** Units of live claims beyond the granted ones. */
export function oversold({ live, granted }: Pick<LedgerFacts, 'live' | 'granted'>): number {
  return Math.max(0, live - granted)
}

export function judgeStores(facts: Facts): Invariant[] {
  const { ledger } = facts
  const { granted: T, available: A, live } = ledger
  return [
    {
      name: '1 available + live = granted, nothing oversold',
      ok: A + live === T && A >= 0 && oversold(ledger) === 0 && ledger.ledger === T,
      numbers: `A ${A} + live ${live} = T ${T}, ledger ${ledger.ledger}, oversold ${oversold(ledger)}`,
    },
    judgeRedis(facts),
    judgeDrift(facts),
    {
      name: '4 one live claim a buyer and order, one release a rid, no claim without its order',
      ok: ledger.doubleClaims + ledger.doubleOrders + ledger.doubleReleases + ledger.strayClaims === 0,
      numbers: `double claims ${ledger.doubleClaims}, orders ${ledger.doubleOrders}, releases ${ledger.doubleReleases}, stray ${ledger.strayClaims}`,
    },
    {
      name: '6 money: paid is never closed, captured and closed is refunded',
      ok: ledger.paidAndClosed + ledger.capturedWithoutRefund + ledger.overCaptured === 0,
      numbers: `paid and closed ${ledger.paidAndClosed}, not refunded ${ledger.capturedWithoutRefund}, captured twice ${ledger.overCaptured}`,
    },
    {
      name: '7 no order is pending 10 s past its deadline',
      ok: ledger.overdue === 0,
      numbers: `overdue ${ledger.overdue}`,
    },
  ]
}

function judgeRedis({ redis, ledger }: Facts): Invariant {
  const name = '2 redis: remaining + held + confirmed = granted'
  if (redis === 'NOT_READY') return withoutGate(name, ledger)
  const held = redis.held + redis.queued
  const confirmed = redis.confirmed + redis.paid
  return {
    name,
    ok: redis.stock + held + confirmed === redis.granted,
    numbers: `R ${redis.stock} + held ${held} + confirmed ${confirmed} = T ${redis.granted}`,
  }
}

function judgeDrift({ redis, ledger, drift, inFlight, pendingReleases }: Facts): Invariant {
  const name = DRIFT_IS_ZERO
  if (redis === 'NOT_READY') return withoutGate(name, ledger)
  return {
    name,
    ok: drift === 0,
    numbers: `A ${ledger.available} - in flight ${inFlight} - releasing ${pendingReleases} - R ${redis.stock} = ${drift}`,
  }
}

/** An event that has granted nothing needs no gate; any other has lost it. */
function withoutGate(name: string, { granted }: LedgerFacts): Invariant {
  return { name, ok: granted === 0, numbers: `no gate, T ${granted}` }
}

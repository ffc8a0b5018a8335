/** The registry of all scripts over an event's stock: their keys, their arguments and what they may answer. */
import { z } from 'zod'
import type { ReleaseReason } from '../contracts/values.ts'
import { defineBatchScript, defineScript } from '../platform/redis/define-script.ts'
import { nextKeys, rejectedInSecondKey, spikeKeys } from './keys.ts'

const lua = (name: string): URL => new URL(`./lua/${name}.lua`, import.meta.url)
const int = z.coerce.number().int()

/** Answer of the one call that takes units; `corrupt` means that nothing was changed. */
export type ReserveReply =
  | { kind: 'accepted'; rid: string; epoch: number; reservedAtMs: number }
  | { kind: 'existing'; rid: string }
  | { kind: 'not_started'; startsInMs: number }
  | { kind: 'quantity_limit'; limit: number }
  | { kind: 'corrupt'; key: string }
  | { kind: 'not_ready' | 'paused' | 'ended' | 'lapse_limit' | 'all_held' | 'sold_out' }

const reserveReply = z.union([
  z
    .tuple([z.literal('ACCEPTED'), z.string(), int, int])
    .transform(([, rid, epoch, reservedAtMs]) => ({ kind: 'accepted' as const, rid, epoch, reservedAtMs })),
  z.tuple([z.literal('EXISTING'), z.string()]).transform(([, rid]) => ({ kind: 'existing' as const, rid })),
  z
    .tuple([z.literal('NOT_STARTED'), int])
    .transform(([, startsInMs]) => ({ kind: 'not_started' as const, startsInMs })),
  z
    .tuple([z.literal('QUANTITY_LIMIT'), int])
    .transform(([, limit]) => ({ kind: 'quantity_limit' as const, limit })),
  z.tuple([z.literal('CORRUPT'), z.string()]).transform(([, key]) => ({ kind: 'corrupt' as const, key })),
  z
    .tuple([z.enum(['NOT_READY', 'PAUSED', 'ENDED', 'LAPSE_LIMIT', 'ALL_HELD', 'SOLD_OUT'])])
    .transform(([word]) => ({ kind: word.toLowerCase() as Lowercase<typeof word> })),
])

/** @throws when the reply is CORRUPT, because only a person can mend that */
function sound(reply: unknown): unknown {
  if (Array.isArray(reply) && reply[0] === 'CORRUPT')
    throw new Error(`redis key ${reply[1]} has a wrong type or value`)
  return reply
}

/** Decoder for scripts that answer in words. */
function words<const W extends string>(...known: W[]): (reply: unknown) => [W, ...W[]] {
  const isKnown = (word: unknown): word is W => (known as unknown[]).includes(word)
  return (reply) => {
    const list = sound(reply)
    if (!Array.isArray(list) || list.length === 0 || !list.every(isKnown))
      throw new Error(`redis said ${JSON.stringify(reply)}, which is none of ${known.join(', ')}`)
    return list as [W, ...W[]]
  }
}

/** As `words`, for those that answer with one. */
function oneWord<const W extends string>(...known: W[]): (reply: unknown) => W {
  const decode = words(...known)
  return (reply) => decode(reply)[0]
}

/** As `words`, for those that answer with one and a number. */
function numberOf(word: string): (reply: unknown) => number {
  return (reply) => {
    const list = sound(reply)
    const n = Array.isArray(list) && list[0] === word ? Number(list[1]) : NaN
    if (!Number.isInteger(n)) throw new Error(`redis said ${JSON.stringify(reply)}, not ${word} and a number`)
    return n
  }
}

interface RidUnits {
  eventId: string
  rid: string
  userId: string
  quantity: number
}

/** The verdict on a rid. */
interface Ordered extends Omit<RidUnits, 'eventId'> {
  orderId: string
  expiresAtMs: number
}

const idsOf = ({ eventId, rid }: { eventId: string; rid: string }) => ({
  'spike.event_id': eventId,
  'spike.rid': rid,
})

/** What everybody who holds nothing is refused with, until the generation changes; `other`: it depends on the buyer. */
export type Standing = { kind: 'sold_out' | 'all_held'; generation: string } | { kind: 'other' }

const standing = z.union([
  z
    .tuple([z.enum(['SOLD_OUT', 'ALL_HELD']), z.string()])
    .transform(([word, generation]) => ({ kind: word.toLowerCase() as Lowercase<typeof word>, generation })),
  z.tuple([z.literal('OTHER')]).transform(() => ({ kind: 'other' as const })),
])

/** Units of an event by state, from one atomic read of Redis. */
export type UnitCounts = Record<
  'granted' | 'stock' | 'held' | 'queued' | 'confirmed' | 'paid' | 'released',
  number
>

/** How purchase requests of one event in one second ended; all but `accepted` were rejected. */
export interface SecondOfOutcomes {
  eventId: string
  /** Since 1970. */
  second: number
  /** Requests by the outcome's name. */
  outcomes: ReadonlyMap<string, number>
}

/** Every process has added its part of a second long before. */
const SECOND_KEPT_S = 60

export const spikeScripts = {
  reserve: defineScript({
    file: lua('reserve'),
    keys: ({ eventId }: RidUnits & { requestId: string; traceparent?: string | undefined }) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.stock, k.holders, k.states, k.lapses, k.log]
    },
    args: ({ rid, userId, quantity, requestId, traceparent = '' }) => [
      rid,
      userId,
      quantity,
      requestId,
      traceparent,
    ],
    decode: (reply): ReserveReply => reserveReply.parse(reply),
    span: idsOf,
  }),
  standing: defineScript({
    file: lua('standing'),
    keys: ({ eventId }: { eventId: string }) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.stock, k.log]
    },
    args: () => [],
    decode: (reply): Standing => standing.parse(reply),
  }),
  markQueued: defineBatchScript({
    file: lua('mark-queued'),
    keys: ({ eventId }: { eventId: string; rids: readonly string[] }) => [spikeKeys(eventId).states],
    args: ({ eventId, rids }) => [spikeKeys(eventId).notices, rids.length, ...rids],
    decode: numberOf('OK'),
  }),
  confirm: defineBatchScript({
    file: lua('confirm'),
    keys: ({ eventId }: { eventId: string; orders: readonly Ordered[] }) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.stock, k.holders, k.states, k.log]
    },
    args: ({ eventId, orders }) => [
      spikeKeys(eventId).notices,
      orders.length,
      ...orders.flatMap((o) => [o.rid, o.userId, o.quantity, o.orderId, o.expiresAtMs]),
    ],
    decode: words('CONFIRMED', 'ADOPTED', 'HOLDER', 'UNCHANGED', 'NOT_READY'),
  }),
  release: defineScript({
    file: lua('release'),
    keys: ({ eventId }: RidUnits & { reason: ReleaseReason }) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.stock, k.holders, k.states, k.lapses, k.log]
    },
    args: ({ eventId, rid, userId, quantity, reason }) => [
      rid,
      userId,
      quantity,
      reason,
      reason === 'lapsed' || reason === 'cancelled' ? 1 : 0,
      spikeKeys(eventId).notices,
    ],
    decode: oneWord('RELEASED', 'TOMBSTONE', 'FREED', 'UNCHANGED', 'NOT_READY'),
    span: idsOf,
  }),
  markPaid: defineScript({
    file: lua('mark-paid'),
    keys: ({ eventId }: { eventId: string; rid: string }) => [
      spikeKeys(eventId).gate,
      spikeKeys(eventId).states,
    ],
    args: ({ rid }) => [rid],
    decode: oneWord('PAID', 'UNCHANGED'),
    span: idsOf,
  }),
  open: defineScript({
    file: lua('open'),
    keys: ({ eventId }: OpenInput) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.stock, k.holders, k.states]
    },
    args: ({ epoch, status, startMs, endMs, granted, perUserLimit, lapseLimit }) => [
      epoch,
      status,
      startMs,
      endMs,
      granted,
      perUserLimit,
      lapseLimit,
    ],
    decode: oneWord('OPENED', 'EXISTS', 'OCCUPIED'),
  }),
  swap: defineScript({
    file: lua('swap'),
    keys: ({ eventId, epoch }: SwapInput) => {
      const k = spikeKeys(eventId)
      const next = nextKeys(eventId, epoch)
      return [
        k.gate,
        k.stock,
        k.holders,
        k.states,
        k.lapses,
        k.adjustments,
        next.holders,
        next.states,
        next.lapses,
        next.adjustments,
      ]
    },
    args: ({ epoch, startMs, endMs, granted, paid, perUserLimit, lapseLimit, stock, staged }) => [
      epoch,
      startMs,
      endMs,
      granted,
      paid,
      perUserLimit,
      lapseLimit,
      stock,
      staged.holders,
      staged.records,
    ],
    decode: oneWord('SWAPPED', 'STALE', 'LOST'),
  }),
  clear: defineScript({
    file: lua('clear'),
    keys: ({ eventId }: { eventId: string; epoch: number; records: number; released: number }) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.holders, k.states, k.lapses, k.log, k.adjustments]
    },
    args: ({ epoch, records, released }) => [epoch, records, released],
    decode: oneWord('CLEARED', 'CHANGED'),
  }),
  setStatus: defineScript({
    file: lua('set-status'),
    keys: ({ eventId }: { eventId: string; status: GateStatus }) => [spikeKeys(eventId).gate],
    args: ({ status }) => [status],
    decode: oneWord('OK', 'NOT_READY'),
  }),
  adjust: defineScript({
    file: lua('adjust'),
    keys: ({ eventId }: { eventId: string; adjustmentId: string; delta: number }) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.stock, k.adjustments]
    },
    args: ({ adjustmentId, delta }) => [adjustmentId, delta],
    decode: oneWord('ADJUSTED', 'UNCHANGED', 'NOT_READY'),
  }),
  countOutcomes: defineBatchScript({
    file: lua('count-outcomes'),
    keys: ({ eventId, second }: SecondOfOutcomes) => {
      const k = spikeKeys(eventId)
      return [k.outcomes, k.rejectedPeak, rejectedInSecondKey(eventId, second)]
    },
    args: ({ second, outcomes }) => [second, SECOND_KEPT_S, outcomes.size, ...[...outcomes].flat()],
    decode: oneWord('OK'),
  }),
  countUnits: defineScript({
    file: lua('count-units'),
    keys: ({ eventId }: { eventId: string }) => {
      const k = spikeKeys(eventId)
      return [k.gate, k.stock, k.states]
    },
    args: () => [],
    decode: (reply): UnitCounts | 'NOT_READY' => {
      if (Array.isArray(reply) && reply[0] === 'NOT_READY') return 'NOT_READY'
      const [, granted, stock, held, queued, confirmed, paid, released] = z
        .tuple([z.literal('OK'), int, int, int, int, int, int, int])
        .parse(reply)
      return { granted, stock, held, queued, confirmed, paid, released }
    },
  }),
} as const

export type GateStatus = 'open' | 'paused' | 'ended' | 'closed'

export interface SwapInput extends Omit<OpenInput, 'status'> {
  paid: number
  stock: number
  /** How much was gathered: none of it may be missing. */
  staged: { holders: number; records: number }
}

interface OpenInput {
  eventId: string
  epoch: number
  status: Extract<GateStatus, 'open' | 'paused'>
  startMs: number
  endMs: number
  granted: number
  perUserLimit: number
  lapseLimit: number
}

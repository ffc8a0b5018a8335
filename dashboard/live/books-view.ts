/** What the books of a sale say, in words and numbers. */
import type { Meter } from '../../src/figures/units.ts'
import type { Books } from '../../src/snapshot.ts'
import type { Field } from './wire.ts'
import { age, count, fault, milliseconds, money, percent, units } from '../words.ts'

/** Parts of the meter, in the order in which a unit that is sold goes backwards; and what their colours mean. */
export const METER_PARTS: readonly { name: keyof Meter; words: string }[] = [
  { name: 'paid', words: 'paid' },
  { name: 'pending', words: 'ordered, not paid yet' },
  { name: 'held', words: 'held, without a verdict' },
  { name: 'free', words: 'available' },
  { name: 'releasing', words: 'being released' },
  { name: 'drift', words: 'drift' },
]

export function booksFields(books: Books | undefined): Record<string, Field> {
  if (books === undefined) return {}
  const { orders, money: cash, currency, decisions, recentDecisions: recent } = books
  return {
    ...meterFields(books),
    oldest: oldestField(books),
    'recent.p50': milliseconds(recent.p50),
    'recent.p99': milliseconds(recent.p99),
    'whole.p50': milliseconds(decisions.p50),
    'whole.p99': milliseconds(decisions.p99),
    'whole.max': milliseconds(decisions.max),
    ...Object.fromEntries(Object.entries(orders).map(([name, n]) => [`orders.${name}`, count(n)])),
    'due.soon': count(books.due.soon),
    'due.overdue': fault(books.due.overdue),
    'money.captured': money(cash.captured, currency),
    'money.refunded': money(cash.refunded, currency),
    'money.refunds': count(cash.refunds),
    'money.conversion': { text: percent(orders.paid, orders.made) },
    secondSales: count(books.secondSales),
    voids: { text: voidWords(books.voids) },
  }
}

function meterFields({ meter }: Books): Record<string, Field> {
  const names = ['granted', ...METER_PARTS.map(({ name }) => name)] as (keyof Meter)[]
  return Object.fromEntries(names.map((name) => [`meter.${name}`, count(meter?.[name])]))
}

/** Whether all units are there, in a sentence. */
export function driftField(books: Books | undefined): Field {
  if (books === undefined) return { text: 'The units are being counted.' }
  const { meter, drifting, lasting } = books
  if (meter === null) return { text: 'There is no gate in Redis to count.' }
  if (meter.drift === 0 && lasting.length > 0) {
    const n = lasting.length
    // The sum is right, and Redis has forgotten or invented whose units they are.
    return {
      text: `The stores disagree in ${n} place${n === 1 ? '' : 's'}, which are named below.`,
      tone: 'bad',
    }
  }
  if (meter.drift === 0) return { text: 'Every unit is accounted for.', tone: 'ok' }
  const n = units(Math.abs(meter.drift))
  if (!drifting) return { text: `${n} on the move: looking again.` }
  if (meter.drift > 0) return { text: `${n} missing: nobody has them and nobody can buy them.`, tone: 'bad' }
  return { text: `${n} too many in Redis: as many buyers will be refused late.`, tone: 'bad' }
}

function oldestField({ oldest }: Books): Field {
  if (oldest === null) return { text: 'Nothing is on its way.' }
  const { text, tone } = age(oldest.ageMs)
  const words = `${oldest.rid} has waited ${text} for its ${oldest.waitsFor}`
  return tone === undefined ? { text: words } : { text: words, tone }
}

function voidWords(voids: Books['voids']): string {
  const parts = Object.entries(voids).map(([reason, n]) => `${n} ${reason.replaceAll('_', ' ')}`)
  return parts.length === 0 ? 'none' : parts.join(', ')
}

/** What the look-up says of moments, standings and ids. */
import type { Clock, MomentWord, Place } from '../../src/figures/purchase-moments.ts'
import type { Standing } from '../../src/figures/purchase.ts'
import type { Store } from '../../src/figures/silent-stores.ts'
import type { Sought } from '../../src/look-up.ts'
import type { UnitState } from '../../src/reserve/record.ts'

export const MOMENT_WORDS: Record<MomentWord, string> = {
  requested: 'The API gave the purchase its reservation id',
  reserved: 'Units taken',
  received: 'Message of the broker written to the inbox',
  decided: 'Verdict',
  ordered: 'Order made',
  payment_started: 'Payment started',
  payment_captured: 'The provider has taken the money',
  payment_failed: 'The provider could not take the money',
  payment_refunded: 'The provider has given the money back',
  closed: 'Order closed, its units are free in PostgreSQL',
  paid: 'Order paid',
  refund_opened: 'Refund opened',
  refund_done: 'Refund done',
  told: 'Message left in the outbox',
  published: 'Message published, the broker has it',
  job_added: 'Job added',
  job_due: 'Job is due',
  job_started: 'Job started, its last attempt',
  job_completed: 'Job completed',
  job_failed: 'Job given up',
  dead_letter: 'Dead letter',
}

export const PLACE_WORDS: Record<Place, string> = {
  http: 'HTTP',
  reserve: '1 reserve',
  publish: '2 publish',
  bridge: '3 bridge',
  'create-order': '4 create-order',
  'close-order': '5 close-order',
  'release-stock': '6 release-stock',
  payment: 'payment',
  provider: 'provider',
}

export const CLOCK_WORDS: Record<Clock, string> = {
  api: 'API',
  redis: 'Redis',
  postgresql: 'PostgreSQL',
  bullmq: 'workers',
}

type Tone = 'ok' | 'info' | 'warn' | 'bad'

export const STANDING: Record<Standing['word'], { text: string; tone: Tone }> = {
  reserving: { text: 'reserving: held in Redis, the broker is not known to have it', tone: 'warn' },
  queued: { text: 'queued: waits for its verdict', tone: 'info' },
  void: { text: 'void', tone: 'bad' },
  pending: { text: 'ordered, not paid yet', tone: 'info' },
  paid: { text: 'paid', tone: 'ok' },
  closed: { text: 'closed', tone: 'warn' },
  refunded: { text: 'refunded', tone: 'warn' },
  unknown_to_postgresql: { text: 'known to Redis alone', tone: 'bad' },
}

export function standingText({ word, reason }: Standing): string {
  const { text } = STANDING[word]
  return reason === undefined ? text : `${text} (${reason})`
}

export const STATE_WORDS: Record<UnitState, string> = {
  held: 'held: taken, the broker is not known to have it',
  queued: 'queued: taken, and durable in the broker',
  confirmed: 'confirmed: PostgreSQL has the order',
  paid: 'paid',
  released: 'released: given back',
}

export const SILENT_WORDS: Record<Store, string> = {
  redis: 'Redis could not be read: its part is missing, and so are reservations that only it knows.',
  bullmq: 'BullMQ could not be read: jobs and dead letters are missing.',
}

const SOUGHT_WORDS: Record<keyof Sought, string> = {
  orderId: 'order',
  rid: 'reservation',
  requestId: 'request of a purchase',
  email: 'purchase of an account with this e-mail',
  letter: 'dead letter about a purchase',
}

/** What a text was taken for, as a list in words. */
export function soughtText(sought: Sought): string {
  const words = (Object.keys(sought) as (keyof Sought)[]).map((key) => SOUGHT_WORDS[key])
  return words.length === 1 ? `${words[0]}` : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

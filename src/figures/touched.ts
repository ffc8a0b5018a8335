/** What an action on a sale would touch, read as it is now and cheaply: operators ask for it in the busiest minute. */
import type { Knex } from 'knex'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { withinTime } from '../platform/time-limit.ts'
import { readGate } from '../reserve/gate.ts'
import { spikeKeys } from '../reserve/keys.ts'
import { findEvent, type SpikeEventView } from '../spike-events/model.ts'

/** Units, but for numbers of orders, reservations and rids. */
export interface Touched {
  event: SpikeEventView
  product: { name: string; inventory: number }
  pendingOrders: number
  pendingUnits: number
  paidUnits: number
  /** Reservations in the inbox that wait for their verdict. */
  undecided: number
  /** `lost`: no usable gate; null: Redis does not answer. */
  redis: { free: number; taken: number; epoch: number; rids: number } | 'lost' | null
}

const ANSWER_WITHIN_MS = 2_000

/** @returns undefined when there is no such event */
export async function readTouched(
  { knex, redis }: { knex: Knex; redis: RedisClient },
  eventId: string,
): Promise<Touched | undefined> {
  const event = await findEvent(knex, eventId)
  if (event === undefined) return undefined
  const [ledger, inRedis] = await Promise.all([
    readUnits(knex, event),
    withinTime(readRedis(redis, eventId), ANSWER_WITHIN_MS).catch(() => null),
  ])
  const { name, inventory, ...units } = ledger
  return { event, product: { name, inventory }, ...units, redis: inRedis }
}

async function readUnits(knex: Knex, event: SpikeEventView) {
  const { rows } = await knex.raw(
    `SELECT p.name, coalesce(i.stock, 0) AS inventory,
            (SELECT count(*)::int FROM orders WHERE event_id = :eventId AND status = 'pending') AS "pendingOrders",
            (SELECT coalesce(sum(t.quantity), 0)::int FROM orders o JOIN order_items t ON t.order_id = o.id
              WHERE o.event_id = :eventId AND o.status = 'pending') AS "pendingUnits",
            (SELECT coalesce(sum(t.quantity), 0)::int FROM orders o JOIN order_items t ON t.order_id = o.id
              WHERE o.event_id = :eventId AND o.status = 'paid') AS "paidUnits",
            (SELECT count(*)::int FROM reservations
              WHERE event_id = :eventId AND status = 'undecided') AS undecided
       FROM products p LEFT JOIN inventory i ON i.product_id = p.id WHERE p.id = :productId`,
    { eventId: event.id, productId: event.product_id },
  )
  return rows[0] as Omit<Touched, 'event' | 'product' | 'redis'> & { name: string; inventory: number }
}

async function readRedis(redis: RedisClient, eventId: string): Promise<Exclude<Touched['redis'], null>> {
  const [gate, rids] = await Promise.all([readGate(redis, eventId), redis.hlen(spikeKeys(eventId).states)])
  if (gate === undefined) return 'lost'
  return { free: gate.stock, taken: gate.granted - gate.stock, epoch: gate.epoch, rids }
}

/** What an order costs when it is made and when it is closed: the step by itself, its backends in PostgreSQL, Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import { closeOrderJob, type CloseOrderPayload } from '../../src/contracts/jobs/close-order.ts'
import { createOrderJob, type CreateOrderPayload } from '../../src/contracts/jobs/create-order.ts'
import { JobProducer } from '../../src/platform/bullmq/job.ts'
import { newRid, ridKey } from '../../src/reserve/rid.ts'
import { onlyServer } from '../lib/arena.ts'
import { redisSeconds } from '../lib/cpu.ts'
import { backendSeconds, backendsSince, processSeconds } from '../lib/process-seconds.ts'
import { startReference, type Reference } from '../lib/child.ts'
import { chunks, receive, type Held } from '../lib/preload.ts'
import type { BenchWorld, Sample } from '../ratio.ts'
import type { Side } from './side.ts'

/** Orders of a measurement. */
const ORDERS = 5_000
/** As in the workers process. */
const CONCURRENCY = 250
const NOT_LONGER_MS = 60_000

export interface OrderSteps {
  side: Side
  create: Step<CreateOrderPayload>
  close: Step<CloseOrderPayload>
}

interface Step<Payload> {
  process: Reference
  producer: JobProducer<string, Payload>
}

/** Starts both steps of a side, each in a process of its own. */
export async function openSteps(world: BenchWorld, side: Side): Promise<OrderSteps> {
  const { config, queueRedis, env } = side.arena
  const open = async <P>(file: string, producer: JobProducer<string, P>): Promise<Step<P>> => {
    const process = await startReference(`../subjects/${file}`, { ...env, CONCURRENCY: String(CONCURRENCY) })
    world.cleanup(() => process.stop())
    world.cleanup(() => producer.close())
    return { process, producer }
  }
  const create = new JobProducer(createOrderJob, config.namespace, queueRedis)
  const close = new JobProducer(closeOrderJob, config.namespace, queueRedis)
  return {
    side,
    create: await open('create-order-step.ts', create),
    close: await open('close-order-step.ts', close),
  }
}

/**
 * Has orders made and closed, microseconds each; spread evenly over these events.
 * @param shift another one for each measurement of the same events
 */
export async function orderCosts(
  steps: OrderSteps,
  events: readonly string[],
  shift: number,
): Promise<{ made: Sample; closed: Sample }> {
  const { knex } = steps.side.arena
  const rids = await reserve(steps.side, events, shift)
  const made = await costOf(
    steps,
    steps.create,
    rids.map((rid) => ({ rid })),
  )
  const orders: { id: string }[] = await knex('orders').whereIn('reservation_id', rids).select('id')
  if (orders.length !== ORDERS) throw new Error(`${ORDERS} jobs made ${orders.length} orders`)
  const ids = orders.map(({ id }) => id)
  await knex('orders')
    .whereIn('id', ids)
    .update({ expires_at: knex.raw(`now() - interval '1 second'`) })
  const closed = await costOf(
    steps,
    steps.close,
    ids.map((id) => ({ order_id: id })),
  )
  return { made, closed }
}

/** Forgets what PostgreSQL knows of the orders that were measured, of these events. */
export async function forgetOrders({ arena, buyers }: Side, events: readonly string[]): Promise<void> {
  const { knex } = arena
  const [{ rids, ids }] = await knex('reservations')
    .leftJoin('orders', 'orders.reservation_id', 'reservations.rid')
    .whereIn('reservations.event_id', events)
    .whereIn(
      'reservations.user_id',
      buyers.slice(0, ORDERS).map((buyer) => buyer.user_id),
    )
    .select(knex.raw('array_agg(rid) AS rids, array_agg(orders.id) AS ids'))
  await knex('outbox')
    .whereIn('key', [...ids, ...rids])
    .delete()
  await knex('order_items').whereIn('order_id', ids).delete()
  await knex('spike_orders').whereIn('reservation_id', rids).delete()
  await knex('orders').whereIn('id', ids).delete()
  await knex('reservations').whereIn('rid', rids).delete()
}

/** Reservations in Redis and in the inbox. */
async function reserve({ arena, buyers }: Side, events: readonly string[], shift: number): Promise<string[]> {
  const key = ridKey(arena.config.jwtSecret)
  const byEvent = new Map<string, Held[]>()
  for (const [i, { user_id: userId }] of buyers.slice(0, ORDERS).entries()) {
    const eventId = events[(i + shift) % events.length] ?? ''
    const held = { rid: newRid(eventId, userId, key), userId, reservedAtMs: Date.now() }
    byEvent.set(eventId, [...(byEvent.get(eventId) ?? []), held])
  }
  for (const [eventId, held] of byEvent) {
    for (const { rid, userId } of held) {
      const reply = await arena.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: rid })
      if (reply.kind !== 'accepted') throw new Error(`a reservation was refused: ${reply.kind}`)
    }
    await receive(arena, eventId, held)
  }
  return [...byEvent.values()].flat().map(({ rid }) => rid)
}

async function costOf<P>({ side }: OrderSteps, step: Step<P>, payloads: readonly P[]): Promise<Sample> {
  const { queue } = step.producer
  const { knex, queueRedis } = side.arena
  await queue.pause()
  for (const some of chunks(payloads)) await step.producer.addBulk(some.map((payload) => ({ payload })))
  const done = (await queue.getCompletedCount()) + payloads.length
  const read = async () => ({
    node: processSeconds(step.process.pid),
    redis: await redisSeconds(onlyServer(queueRedis)),
    postgres: await backendSeconds(knex),
  })
  const before = await read()
  await queue.resume()
  const began = performance.now()
  while ((await queue.getCompletedCount()) < done) {
    if (performance.now() - began > NOT_LONGER_MS) throw new Error(`jobs of ${queue.name} are not done`)
    await sleep(20)
  }
  const after = await read()
  const each = (seconds: number) => (seconds / payloads.length) * 1e6
  const node = each(after.node - before.node)
  const redis = each(after.redis - before.redis)
  const postgres = each(backendsSince(before.postgres, after.postgres))
  return { value: node + redis + postgres, extra: { node, redis, postgres } }
}

/** The same start for every round: what one round leaves behind must not slow the next. */
import { queuePrefix } from '../../src/platform/bullmq/job.ts'
import { unlinkMatching, type Arena } from './arena.ts'

/** Removes all sales with everything that came of them, and all jobs. Buyers stay. No process may be at work. */
export async function clean(arena: Arena): Promise<void> {
  const { knex, queueRedis, config } = arena
  const events: { id: string }[] = await knex('spike_events').select('id')
  for (const { id } of events) await arena.forgetSale(id)
  await knex.raw('TRUNCATE spike_events, reservations, outbox CASCADE')
  await unlinkMatching(queueRedis, queuePrefix(config.namespace, '*') + ':*')
}

/** Number of reservations that became an order. */
export async function countOrdered({ knex }: Arena): Promise<number> {
  const { rows } = await knex.raw(`SELECT count(*) AS n FROM reservations WHERE status = 'ordered'`)
  return rows[0].n
}

/** Number of transactions that made orders; orders of one transaction were created at the same moment. */
export async function countBatches({ knex }: Arena): Promise<number> {
  const { rows } = await knex.raw('SELECT count(DISTINCT created_at) AS n FROM orders')
  return rows[0].n
}

/** What every process counts about itself, in a registry of its own. */
import type { Knex } from 'knex'
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { OutgoingMessage, PublishOutcome } from './rabbitmq/publisher.ts'

/** Buckets of a duration, from a millisecond to what nobody waits for. */
export const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/**
 * A registry with what Node tells of the process, its event loop included, and the process's pool of connections.
 * Whoever adds to it: labels hold names of our own only, never a word of a request; each distinct value is kept for ever.
 */
export function createRegistry(role: 'api' | 'workers' | 'dashboard', knex: Knex): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'spike_process_info',
    help: 'Always 1; the label tells which of the processes this is.',
    labelNames: ['role'],
    registers: [registry],
  }).set({ role }, 1)
  showPool(registry, knex)
  return registry
}

/** The part of the pool that knex's types don't tell of. */
interface Pool {
  max: number
  numUsed(): number
  numFree(): number
  numPendingAcquires(): number
}

function showPool(registry: Registry, knex: Knex): void {
  const pool = knex.client.pool as Pool
  showGauge(registry, 'spike_postgres_pool_connections', 'Open connections to PostgreSQL, by state.', {
    labels: ['state'],
    read: () => [
      [{ state: 'used' }, pool.numUsed()],
      [{ state: 'free' }, pool.numFree()],
    ],
  })
  showGauge(registry, 'spike_postgres_pool_max', 'Connections to PostgreSQL that may be open.', {
    read: () => [[{}, pool.max]],
  })
  showGauge(registry, 'spike_postgres_pool_waiting', 'Requests that wait for a connection to PostgreSQL.', {
    read: () => [[{}, pool.numPendingAcquires()]],
  })
}

type Values = Iterable<readonly [labels: Record<string, string>, value: number | null]>

/**
 * A gauge that is read whenever it is scraped. What `read` does not give, or gives as null, is not shown: there is no
 * value of a time before. A `read` that throws fails the whole scrape.
 */
export function showGauge(
  registry: Registry,
  name: string,
  help: string,
  { labels = [], read }: { labels?: readonly string[]; read: () => Values | Promise<Values> },
): void {
  // oxlint-disable-next-line no-new -- it lives in the registry
  new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    async collect() {
      const values = await read()
      this.reset()
      if (labels.length === 0) this.remove({}) // without labels, a reset leaves a zero
      for (const [at, value] of values) if (value !== null) this.set(at, value)
    },
  })
}

/** Counts what becomes of published messages, by their kind, which is their routing key. */
export function countPublishes(
  registry: Registry,
): (message: OutgoingMessage, outcome: PublishOutcome) => void {
  const counter = new Counter({
    name: 'spike_publishes_total',
    help: 'Messages handed to RabbitMQ, by kind and by what the broker said.',
    labelNames: ['message', 'outcome'],
    registers: [registry],
  })
  return ({ routingKey }, outcome) => counter.inc({ message: routingKey || 'dead-letter', outcome })
}

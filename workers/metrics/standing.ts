/** What waits in stores and queues, read when somebody scrapes. All workers see the same: take the maximum of them. */
import type { Registry } from 'prom-client'
import { readDuties, type Duties } from '../../src/figures/duties.ts'
import { readLag, type Lag, type LagDependencies } from '../../src/figures/lag.ts'
import type { JobProducer } from '../../src/platform/bullmq/job.ts'
import { freshFor } from '../../src/platform/fresh.ts'
import { showGauge } from '../../src/platform/metrics.ts'
import type { RabbitConnection } from '../../src/platform/rabbitmq/connection.ts'
import { queueDepth } from '../../src/platform/rabbitmq/queue-depth.ts'
import { withinTime } from '../../src/platform/time-limit.ts'

/** One reading serves all gauges of a scrape, and all who scrape at about the same time. */
const FRESH_MS = 500
const ANSWER_WITHIN_MS = 2_000

interface Standing extends Lag {
  duties: Duties | null
}

interface StandingDependencies extends Omit<LagDependencies, 'queues' | 'brokerDepth'> {
  createOrders: Producer
  closeOrders: Producer
  releases: Producer
  deadLetters: Producer
  connection: RabbitConnection
}

type Producer = Pick<JobProducer<string, never>, 'queue'>

/** What a store that is away would tell is not shown. */
export function showStanding(registry: Registry, deps: StandingDependencies): void {
  const queues = {
    'create-order': deps.createOrders.queue,
    'close-order': deps.closeOrders.queue,
    'release-stock': deps.releases.queue,
    'dead-letter': deps.deadLetters.queue,
  }
  const brokerDepth = (queue: string) => queueDepth(deps.connection, queue)
  const read = freshFor(FRESH_MS, () => readStanding({ ...deps, queues, brokerDepth }))
  const gauge = (name: string, help: string, value: (standing: Standing) => number | null | undefined) =>
    showGauge(registry, name, help, { read: async () => [[{}, value(await read()) ?? null]] })
  showQueues(registry, read)
  gauge('spike_dead_letters', 'Dead letters kept for the triage and for people.', (s) => s.deadLetters.kept)
  gauge('spike_outbox_unpublished', 'Facts that RabbitMQ has not confirmed.', (s) => s.outbox?.unpublished)
  gauge('spike_outbox_oldest_seconds', 'Age of the oldest of them; 0 when there is none.', (s) =>
    seconds(s.outbox),
  )
  gauge(
    'spike_reservation_log_entries',
    'Reservations whose verdict is not applied.',
    (s) => s.reservationLog?.entries,
  )
  gauge('spike_reservation_log_oldest_seconds', 'Age of the oldest of them; 0 when there is none.', (s) =>
    seconds(s.reservationLog),
  )
  gauge(
    'spike_orders_overdue',
    'Pending orders more than 10 s past their deadline.',
    (s) => s.duties?.overdueOrders,
  )
  gauge('spike_refunds_open', 'Refunds that are not done.', (s) => s.duties?.openRefunds)
  gauge('spike_refunds_oldest_seconds', 'Age of the oldest of them; 0 when there is none.', (s) =>
    seconds(s.duties && { oldestMs: s.duties.oldestRefundMs }),
  )
}

function showQueues(registry: Registry, read: () => Promise<Standing>): void {
  showGauge(registry, 'spike_queue_messages', 'Messages ready in RabbitMQ, by kind.', {
    labels: ['message'],
    async read() {
      const { steps, deadLetters } = await read()
      return [
        ...steps.map(({ message, broker }) => [{ message }, broker] as const),
        [{ message: 'dead-letter' }, deadLetters.broker] as const,
      ]
    },
  })
  showGauge(registry, 'spike_queue_jobs', 'Jobs in BullMQ, by step and state.', {
    labels: ['step', 'state'],
    read: async () =>
      (await read()).steps.flatMap(({ step, waiting, active, delayed, failed }) =>
        Object.entries({ waiting, active, delayed, failed }).map(
          ([state, count]) => [{ step, state }, count] as const,
        ),
      ),
  })
  showGauge(
    registry,
    'spike_queue_oldest_seconds',
    'For how long the job that is next in line has been due, by step; 0 when none waits.',
    {
      labels: ['step'],
      read: async () =>
        (await read()).steps.map(({ step, waiting, oldestWaitingMs }) => [
          { step },
          waiting === null ? null : (oldestWaitingMs ?? 0) / 1_000,
        ]),
    },
  )
}

async function readStanding(deps: LagDependencies): Promise<Standing> {
  const duties = withinTime(readDuties(deps.knex), ANSWER_WITHIN_MS).catch(() => null)
  return { ...(await readLag(deps)), duties: await duties }
}

function seconds(part: { oldestMs: number | null } | null): number | null {
  return part && (part.oldestMs ?? 0) / 1_000
}

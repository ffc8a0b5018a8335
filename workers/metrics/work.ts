/** What the workers count while they work. */
import { Counter, Histogram, type Registry } from 'prom-client'
import { SECONDS } from '../../src/platform/metrics.ts'
import type { JobResult, JobWatch } from '../../src/platform/bullmq/worker.ts'
import type { BridgeWatch } from '../bridge/bridge.ts'
import { REMOVED, type RetentionWatch } from '../sweep/retention.ts'

/** Jobs that wait do so for longer than handlers take. */
const WAIT_SECONDS = [...SECONDS, 30, 60, 300]
const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100, 200]
const RESULTS: readonly JobResult[] = ['done', 'skipped', 'later', 'retried', 'failed', 'exhausted']

/** @param steps whose counts begin at 0, so that the first failure is an increase */
export function countJobs(registry: Registry, steps: readonly string[]): JobWatch {
  const registers = [registry]
  const results = new Counter({
    name: 'spike_step_jobs_total',
    help: 'Runs of jobs, by step and by what became of them.',
    labelNames: ['step', 'outcome'],
    registers,
  })
  for (const step of steps) for (const outcome of RESULTS) results.inc({ step, outcome }, 0)
  const durations = new Histogram({
    name: 'spike_step_duration_seconds',
    help: 'Time that the handler of a job took.',
    labelNames: ['step'],
    buckets: SECONDS,
    registers,
  })
  const waits = new Histogram({
    name: 'spike_step_wait_seconds',
    help: 'Time from when a job was due to when a worker first took it up.',
    labelNames: ['step'],
    buckets: WAIT_SECONDS,
    registers,
  })
  return {
    taken: (step, waitedMs) => waits.observe({ step }, Math.max(0, waitedMs) / 1_000),
    handled: (step, tookMs) => durations.observe({ step }, tookMs / 1_000),
    ended: (step, outcome) => results.inc({ step, outcome }),
  }
}

export function countBridged(registry: Registry): BridgeWatch {
  const registers = [registry]
  const messages = new Counter({
    name: 'spike_bridge_messages_total',
    help: 'Messages taken from RabbitMQ and acked, by kind: bridged to a job, or parked as a dead letter.',
    labelNames: ['message', 'outcome'],
    registers,
  })
  const duplicates = new Counter({
    name: 'spike_bridge_duplicates_total',
    help: 'Reservations that the inbox had already.',
    registers,
  })
  const sizes = new Histogram({
    name: 'spike_bridge_batch_size',
    help: 'Messages in a batch.',
    labelNames: ['message'],
    buckets: BATCH_SIZES,
    registers,
  })
  return {
    bridged(message, size, parked) {
      sizes.observe({ message }, size)
      messages.inc({ message, outcome: 'bridged' }, size - parked)
      messages.inc({ message, outcome: 'parked' }, parked)
    },
    duplicates: (count) => duplicates.inc(count),
  }
}

export function countRemoved(registry: Registry): RetentionWatch {
  const removed = new Counter({
    name: 'spike_removed_total',
    help: 'What retention has taken away, by kind: rows of a table, or events in Redis.',
    labelNames: ['kind'],
    registers: [registry],
  })
  for (const kind of REMOVED) removed.inc({ kind }, 0)
  return (kind, count) => removed.inc({ kind }, count)
}

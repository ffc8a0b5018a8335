/** What a process counts about itself, in a registry of its own. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export type Metrics = ReturnType<typeof createMetrics>

/**
 * Labels hold names of our own only, never a word of a request: each distinct value is kept for ever.
 * @param inFlight reads how many requests wait or are being worked on
 */
export function createMetrics(inFlight: () => number) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  // oxlint-disable-next-line no-new -- it lives in the registry
  new Gauge({
    name: 'http_requests_in_flight',
    help: 'Requests that wait or are being worked on.',
    registers,
    collect() {
      this.set(inFlight())
    },
  })
  return {
    registry,
    requests: new Counter({
      name: 'http_requests_total',
      help: 'Requests answered, by method, route and status.',
      labelNames: ['method', 'route', 'status'],
      registers,
    }),
    durations: new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Time from the first look at a request to its answer.',
      labelNames: ['method', 'route'],
      buckets: SECONDS,
      registers,
    }),
    shed: new Counter({
      name: 'http_requests_shed_total',
      help: 'Requests refused because too many were in flight.',
      registers,
    }),
    purchases: new Counter({
      name: 'spike_purchases_total',
      help: 'Tries to buy, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    cacheLookups: new Counter({
      name: 'spike_cache_lookups_total',
      help: 'Lookups in caches, by cache and result.',
      labelNames: ['cache', 'result'],
      registers,
    }),
  }
}

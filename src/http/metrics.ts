/** What the API counts about its requests and purchases. */
import { Counter, Histogram, type Registry } from 'prom-client'
import { SECONDS, showGauge } from '../platform/metrics.ts'

export type ApiMetrics = ReturnType<typeof createApiMetrics>

/** @param live read at each scrape: requests in hand, purchases that may be, and buyers who listen for a verdict */
export function createApiMetrics(
  registry: Registry,
  live: { inFlight: () => number; crowdLimit: () => number; streams: () => number },
) {
  const registers = [registry]
  showGauge(registry, 'http_requests_in_flight', 'Requests that wait or are being worked on.', {
    read: () => [[{}, live.inFlight()]],
  })
  showGauge(registry, 'http_purchases_limit', 'Purchases that may be in flight now.', {
    read: () => [[{}, live.crowdLimit()]],
  })
  showGauge(registry, 'spike_streams_open', 'Streams of reservations that buyers listen to.', {
    read: () => [[{}, live.streams()]],
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

/** Where spans go: to a collector that speaks OTLP over HTTP, off unless one is named. */
import { context, trace } from '@opentelemetry/api'
import { ExportResultCode, type ExportResult } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-node'
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions'
import type { Config } from '../config.ts'
import type { Logger } from '../logger.ts'
import { withinTime } from '../time-limit.ts'
import { setTracer } from './trace.ts'

const FLUSH_EVERY_MS = 1_000
const FLUSH_WITHIN_MS = 2_000
const EXPORT_WITHIN_MS = 5_000
const COMPLAIN_EVERY_MS = 60_000
/** Spans that wait for the collector; more are dropped. */
const MAX_WAITING = 8_192

/** Roles that share a process, as in tests, share what the first of them has started. */
let shared: { provider: NodeTracerProvider; users: number } | undefined

/**
 * Starts to record spans, if a collector is configured. A collector that is down or slow costs spans, never requests.
 * @param role name of the process: api, workers
 * @returns how to end it: what was recorded is sent, for at most two seconds
 */
export function startTracing(
  config: Pick<Config, 'tracing'>,
  role: string,
  log: Logger,
): { stop(): Promise<void> } {
  const { tracing } = config
  if (tracing === undefined) return { stop: () => Promise.resolve() }
  shared ??= open(tracing, role, log)
  const used = shared
  used.users++
  let hasStopped = false
  return {
    async stop() {
      if (hasStopped) return
      hasStopped = true
      if (--used.users === 0) await close(used.provider, log)
    },
  }
}

function open(
  tracing: NonNullable<Config['tracing']>,
  role: string,
  log: Logger,
): NonNullable<typeof shared> {
  const exporter = new QuietExporter(
    new OTLPTraceExporter({ url: tracing.tracesUrl, timeoutMillis: EXPORT_WITHIN_MS }),
    log,
  )
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ [ATTR_SERVICE_NAME]: `spike-${role}` }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(tracing.sampleRatio) }),
    spanProcessors: [
      new BatchSpanProcessor(exporter, {
        scheduledDelayMillis: FLUSH_EVERY_MS,
        exportTimeoutMillis: EXPORT_WITHIN_MS,
        maxQueueSize: MAX_WAITING,
      }),
    ],
  })
  provider.register({ propagator: null })
  setTracer(provider.getTracer('spike'))
  log.info({ sampleRatio: tracing.sampleRatio }, 'tracing is on')
  return { provider, users: 0 }
}

async function close(provider: NodeTracerProvider, log: Logger): Promise<void> {
  shared = undefined
  setTracer(undefined)
  context.disable()
  trace.disable()
  await withinTime(provider.shutdown(), FLUSH_WITHIN_MS).catch((error: Error) =>
    log.warn({ reason: error.message }, 'the last spans were not sent'),
  )
}

/** Drops what the collector does not take, and says so once a minute. */
class QuietExporter implements SpanExporter {
  readonly #exporter: SpanExporter
  readonly #log: Logger
  #dropped = 0
  #complainedAt = -Infinity

  constructor(exporter: SpanExporter, log: Logger) {
    this.#exporter = exporter
    this.#log = log
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#exporter.export(spans, (result) => {
      if (result.code !== ExportResultCode.SUCCESS) this.#complain(spans.length, result.error)
      done(result)
    })
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown()
  }

  #complain(spans: number, error: Error | undefined): void {
    this.#dropped += spans
    const now = performance.now()
    if (now - this.#complainedAt < COMPLAIN_EVERY_MS) return
    this.#log.warn(
      { dropped: this.#dropped, reason: error?.message },
      'spans were not taken by the collector',
    )
    this.#complainedAt = now
    this.#dropped = 0
  }
}

/** Spans on their way to a collector. Loaded only where one is named: the SDK takes a tenth of a second of a start. */
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

const FLUSH_EVERY_MS = 1_000
const EXPORT_WITHIN_MS = 5_000
const COMPLAIN_EVERY_MS = 60_000
/** Spans that wait for the collector; more are dropped. */
const MAX_WAITING = 8_192

/** Makes what records spans of this process and sends them; it is not in use yet. @param role name of the process */
export function openProvider(
  tracing: NonNullable<Config['tracing']>,
  role: string,
  log: Logger,
): NodeTracerProvider {
  const exporter = new QuietExporter(
    new OTLPTraceExporter({ url: tracing.tracesUrl, timeoutMillis: EXPORT_WITHIN_MS }),
    log,
  )
  return new NodeTracerProvider({
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

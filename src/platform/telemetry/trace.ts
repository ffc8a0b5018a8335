/**
 * Spans at our own seams. There is no automatic instrumentation: much of the work is done in batches, whose members
 * belong to different traces, and the context of whoever came first would join strangers. So a span is made only under
 * a parent: the span that is open right here, or the traceparent that a thing brings along. Only requests begin traces.
 *
 * The state is global to the process, as the context of asynchronous calls is. While tracing is off, each function
 * costs one comparison; hot paths ask `isTracing` first, and allocate nothing then.
 */
import {
  context,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type Tracer,
} from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { isSampled, spanContextOf } from './traceparent.ts'

/** All that a span may tell: ids of our own, words of our own, numbers. Nothing that a buyer has written. */
export type SpanAttributes = Partial<
  Record<
    | 'spike.batch_size'
    | 'spike.event_id'
    | 'spike.order_id'
    | 'spike.outcome'
    | 'spike.request_id'
    | 'spike.rid'
    | 'http.request.method'
    | 'http.response.status_code'
    | 'http.route'
    | 'messaging.message.id'
    | 'error.type',
    string | number
  >
>

export type Kind = keyof typeof SpanKind

interface SpanOptions {
  /** Defaults to INTERNAL. */
  kind?: Kind
  attributes?: SpanAttributes
}

const propagator = new W3CTraceContextPropagator()
const NONE: readonly undefined[] = []

let tracer: Tracer | undefined

/** Switches the spans of this process on or off; for `startTracing` alone. */
export function setTracer(given: Tracer | undefined): void {
  tracer = given
}

export function isTracing(): boolean {
  return tracer !== undefined
}

/** Names the span that is open here, for what outlives it; undefined when there is none. */
export function activeTraceparent(): string | undefined {
  const open = openContext()
  return open && traceparentOf(open)
}

/** Ids of the span that is open here, for a log line. */
export function activeIds(): { trace_id?: string; span_id?: string } {
  const span = tracer && trace.getActiveSpan()
  // What was connected during a request logs in its name for as long as it lives.
  if (span?.isRecording() !== true) return {}
  const { traceId, spanId } = span.spanContext()
  return { trace_id: traceId, span_id: spanId }
}

/** Runs `work` where spans join the trace that a thing has brought along, or none at all. */
export function inTrace<T>(traceparent: string | undefined, work: () => T): T {
  if (tracer === undefined) return work()
  return context.with(contextOf(traceparent) ?? ROOT_CONTEXT, work)
}

/**
 * Begins the trace of a request, or joins that of its caller; the sampling is decided here, once for all that follows.
 * @param parent of a caller that is trusted to decide it
 */
export async function requestSpan(
  parent: string | undefined,
  options: { name: string; attributes: SpanAttributes },
  work: (span: Span | undefined) => Promise<void>,
): Promise<void> {
  if (tracer === undefined) return work(undefined)
  const spanContext = spanContextOf(parent)
  const above =
    spanContext === undefined
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, { ...spanContext, isRemote: true })
  const span = tracer.startSpan(
    options.name,
    { kind: SpanKind.SERVER, attributes: options.attributes },
    above,
  )
  if (!span.isRecording()) return work(undefined)
  return finishing([span], context.with(trace.setSpan(above, span), work, undefined, span))
}

/**
 * A span around `work` under the one that is open here; without one, just the work.
 * @param outcome puts the result into a word
 */
export async function span<R>(
  name: string,
  { outcome, ...options }: SpanOptions & { outcome?: (result: R) => string },
  work: () => Promise<R>,
): Promise<R> {
  const above = openContext()
  if (tracer === undefined || above === undefined) return work()
  const made = startSpan(tracer, name, options, above)
  const result = context.with(trace.setSpan(above, made), work)
  return finishing([made], result, outcome)
}

/**
 * A span around work that is done once for many, in the trace of each of them that has one.
 * @param parents of each its traceparent
 * @param outcome puts what the work has brought to the i-th of them into a word
 * @param work is given the traceparents of the new spans, for each of them in its place; it runs in no trace itself
 */
export async function spanInEach<R>(
  name: string,
  { outcome, ...options }: SpanOptions & { outcome?: (result: R, i: number) => string },
  parents: readonly (string | undefined)[],
  work: (traceparents: readonly (string | undefined)[]) => Promise<R>,
): Promise<R> {
  if (tracer === undefined) return work(NONE)
  const attributes = { ...options.attributes, 'spike.batch_size': parents.length }
  const made: (Span | undefined)[] = []
  const traceparents: (string | undefined)[] = []
  for (const parent of parents) {
    const above = contextOf(parent)
    const one = above && startSpan(tracer, name, { ...options, attributes }, above)
    made.push(one)
    traceparents.push(above && one && traceparentOf(trace.setSpan(above, one)))
  }
  const result = context.with(ROOT_CONTEXT, work, undefined, traceparents)
  return finishing(made, result, outcome)
}

/** Ends spans with their work. What an error says may show data, so they are told its kind alone. */
async function finishing<R>(
  spans: readonly (Span | undefined)[],
  work: Promise<R>,
  outcome?: (result: R, i: number) => string,
): Promise<R> {
  try {
    const result = await work
    if (outcome !== undefined)
      for (const [i, one] of spans.entries()) one?.setAttribute('spike.outcome', outcome(result, i))
    return result
  } catch (error) {
    for (const one of spans) {
      one?.setStatus({ code: SpanStatusCode.ERROR })
      one?.setAttribute('error.type', errorType(error))
    }
    throw error
  } finally {
    for (const one of spans) one?.end()
  }
}

function errorType(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'unknown'
}

function startSpan(by: Tracer, name: string, { kind, attributes }: SpanOptions, above: Context): Span {
  return by.startSpan(name, { kind: SpanKind[kind ?? 'INTERNAL'], ...(attributes && { attributes }) }, above)
}

/**
 * The context of a span that is open here. An ended one is none: timers and connections keep the context in which they
 * were made, and what they do later is not the work of that request.
 */
function openContext(): Context | undefined {
  if (tracer === undefined) return undefined
  const active = context.active()
  const span = trace.getSpan(active)
  return span !== undefined && (span.isRecording() || span.spanContext().isRemote === true)
    ? active
    : undefined
}

/** Of a trace that is not recorded there is nothing to join. */
function contextOf(traceparent: string | undefined): Context | undefined {
  const spanContext = spanContextOf(traceparent)
  if (spanContext === undefined || !isSampled(spanContext)) return undefined
  return trace.setSpanContext(ROOT_CONTEXT, { ...spanContext, isRemote: true })
}

function traceparentOf(above: Context): string | undefined {
  const carrier: { traceparent?: string } = {}
  propagator.inject(above, carrier, defaultTextMapSetter)
  return carrier.traceparent
}

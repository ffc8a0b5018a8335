/**
 * The W3C `traceparent` is how a piece of work names its trace wherever it rests: in a header of a message, an entry of
 * the reservation log, an inbox row, a job. Nobody vouches for what is read there: what is malformed is as good as none.
 */
import { TraceFlags, type SpanContext } from '@opentelemetry/api'
import { parseTraceParent } from '@opentelemetry/core'

/** Of version 00: version, trace id, span id and flags in hex. */
const LENGTH = 55

/** @returns undefined for anything that is no traceparent */
export function spanContextOf(value: unknown): SpanContext | undefined {
  if (typeof value !== 'string' || value.length !== LENGTH) return undefined
  return parseTraceParent(value) ?? undefined
}

/** The traceparent of a trace that is recorded, or undefined: of the others, nobody can find anything. */
export function readTraceparent(value: unknown): string | undefined {
  const spanContext = spanContextOf(value)
  return spanContext && isSampled(spanContext) ? (value as string) : undefined
}

export function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0
}

/** The trace id as people look it up: 32 hex digits. */
export function traceIdOf(traceparent: string | null | undefined): string | undefined {
  return spanContextOf(traceparent)?.traceId
}

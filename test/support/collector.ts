/** A collector of traces, as far as tests need one: takes OTLP over HTTP as JSON and shows what came. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface SeenSpan {
  traceId: string
  spanId: string
  /** Undefined for the root of a trace. */
  parentSpanId?: string
  name: string
  attributes: Record<string, string | number>
}

export interface Collector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  url: string
  spans(): SeenSpan[]
  /** Everything that was received, as it came over the wire. */
  raw(): string
  close(): Promise<void>
}

interface WireSpan extends Omit<SeenSpan, 'attributes'> {
  attributes?: { key: string; value: { stringValue?: string; intValue?: number } }[]
}

interface WireBatch {
  resourceSpans: { scopeSpans: { spans: WireSpan[] }[] }[]
}

export async function openCollector(): Promise<Collector> {
  const received: string[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      if (request.url === '/v1/traces') received.push(body)
      else response.statusCode = 404
      response.setHeader('Content-Type', 'application/json').end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: () => received.flatMap((body) => spansIn(JSON.parse(body) as WireBatch)),
    raw: () => received.join('\n'),
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function spansIn({ resourceSpans }: WireBatch): SeenSpan[] {
  return resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
    .map(({ traceId, spanId, parentSpanId, name, attributes = [] }) => ({
      traceId,
      spanId,
      ...(parentSpanId === undefined ? {} : { parentSpanId }),
      name,
      attributes: Object.fromEntries(
        attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? '']),
      ),
    }))
}

/** The spans of each trace. */
export function byTrace(spans: readonly SeenSpan[]): Map<string, SeenSpan[]> {
  const traces = new Map<string, SeenSpan[]>()
  for (const span of spans) traces.set(span.traceId, [...(traces.get(span.traceId) ?? []), span])
  return traces
}

/** Each span as `name <- name of its parent`, sorted, without repetitions. */
export function linksOf(spans: readonly SeenSpan[]): string[] {
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]))
  const links = spans.map(
    ({ name, parentSpanId }) =>
      `${name} <- ${parentSpanId === undefined ? 'nothing' : (names.get(parentSpanId) ?? 'a stranger')}`,
  )
  return [...new Set(links)].sort()
}

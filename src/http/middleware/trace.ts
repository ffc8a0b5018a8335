import type { RouterContext } from '@koa/router'
import { SpanStatusCode } from '@opentelemetry/api'
import type { InternalTest } from '../../platform/networks.ts'
import { isTracing, requestSpan } from '../../platform/telemetry/trace.ts'
import type { Context, Middleware } from '../context.ts'
import { API_PREFIX } from '../mount.ts'

/**
 * The span of a request, named by the template of its route, if it is one of those that are traced. Probes and scrapes
 * are not. A `traceparent` is believed of our own networks: buyers must not decide what is recorded, nor in whose trace.
 */
export function traceRequests(isInternal: InternalTest): Middleware {
  return (ctx, next) =>
    isTracing() && ctx.path.startsWith(API_PREFIX) ? traceRequest(ctx, next, isInternal) : next()
}

function traceRequest(ctx: Context, next: () => Promise<void>, isInternal: InternalTest): Promise<void> {
  const parent = isInternal(ctx.req) ? ctx.get('traceparent') : undefined
  const attributes = { 'http.request.method': ctx.method, 'spike.request_id': ctx.state.requestId }
  return requestSpan(parent, { name: ctx.method, attributes }, async (span) => {
    await next()
    if (span === undefined) return
    const route = (ctx as unknown as RouterContext).routerPath
    if (route !== undefined) span.updateName(`${ctx.method} ${route}`).setAttribute('http.route', route)
    span.setAttribute('http.response.status_code', ctx.status)
    if (ctx.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
  })
}

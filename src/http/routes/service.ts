import type { InternalTest } from '../../platform/networks.ts'
import { readinessReporter, showDependencies, type Readiness } from '../../platform/readiness.ts'
import { openApiDocument } from '../contract/openapi.ts'
import type { serviceRoutes } from '../contract/service.ts'
import type { Context } from '../context.ts'
import { PAGE_POLICY, readDocsFiles, staticFile, type StaticFile } from '../docs/files.ts'
import { refuse } from '../errors.ts'
import { isUnchanged } from '../etag.ts'
import type { HandlersOf } from '../handler.ts'
import type { ApiMetrics } from '../metrics.ts'

export function serviceHandlers(deps: {
  readiness: Readiness
  metrics: ApiMetrics
  isInternal: InternalTest
}): HandlersOf<typeof serviceRoutes> {
  const { registry } = deps.metrics
  const check = readinessReporter(deps.readiness)
  showDependencies(registry, check)
  const files = kept(readDocsFiles)
  const document = kept(() =>
    staticFile(JSON.stringify(openApiDocument()), 'application/json; charset=utf-8'),
  )
  return {
    healthz: async () => ({ status: 200, data: { status: 'ok' } }),
    readyz: async ({ ctx }) => {
      const { ready, checks } = await check()
      const shown = deps.isInternal(ctx.req) ? { checks } : {}
      return ready
        ? { status: 200, data: { status: 'ready', ...shown } }
        : refuse('NOT_READY', { data: { status: 'not_ready', ...shown } })
    },
    metrics: async () => ({ status: 200, content: await registry.metrics(), type: registry.contentType }),
    openapi: async ({ ctx }) => serve(ctx, document()),
    docs: async ({ ctx }) => {
      const page = files().get('index.html')
      if (page === undefined) throw new Error('the page is missing')
      return serve(ctx, page, { 'Content-Security-Policy': PAGE_POLICY })
    },
    docsAsset: async ({ ctx, params }) => {
      const file = files().get(params.file)
      return file === undefined ? refuse('NOT_FOUND') : serve(ctx, file)
    },
  }
}

type Served =
  | { status: 304; headers: Record<string, string> }
  | { status: 200; headers: Record<string, string>; content: string | Buffer; type: string }

/** Answers 304 to those who have the file. */
function serve(ctx: Context, file: StaticFile, more: Record<string, string> = {}): Served {
  const headers = { ETag: file.etag, 'Cache-Control': 'no-cache', ...more }
  if (isUnchanged(ctx, file.etag)) return { status: 304, headers }
  return { status: 200, headers, content: file.content, type: file.type }
}

/** Made when it is first asked for. */
function kept<T>(make: () => T): () => T {
  let value: T | undefined
  return () => (value ??= make())
}

import { z } from 'zod'
import { defineRoute } from './route.ts'

const readinessData = z
  .object({
    status: z.literal('ready'),
    checks: z
      .record(z.string(), z.enum(['ok', 'down']))
      .optional()
      .describe('Inside INTERNAL_NETWORKS only.'),
  })
  .meta({ id: 'Readiness' })

const ETAG = { ETag: 'Of the content; send it back as If-None-Match.' }
const UNCHANGED = { description: 'The version of If-None-Match is the present one.', headers: ETAG }

/** What the service tells of itself; outside the prefix. */
export const serviceRoutes = {
  healthz: defineRoute({
    method: 'get',
    path: '/healthz',
    outside: true,
    tag: 'service',
    summary: 'The process runs',
    access: 'anyone',
    limit: 'none',
    probe: true,
    replies: { 200: { description: 'It does.', data: z.object({ status: z.literal('ok') }) } },
    errors: [],
  }),
  readyz: defineRoute({
    method: 'get',
    path: '/readyz',
    outside: true,
    tag: 'service',
    summary: 'The process can serve now',
    access: 'anyone',
    limit: 'none',
    probe: true,
    description:
      'When it can not, the `data` of `NOT_READY` has the `status` `not_ready` and the same `checks`, which say why.',
    replies: { 200: { description: 'It can.', data: readinessData } },
    errors: ['NOT_READY'],
  }),
  metrics: defineRoute({
    method: 'get',
    path: '/metrics',
    outside: true,
    tag: 'service',
    summary: 'Metrics in the format of Prometheus',
    access: 'anyone',
    limit: 'none',
    probe: true,
    internal: true,
    replies: { 200: { description: 'The metrics.', content: 'text/plain' } },
    errors: [],
  }),
  openapi: defineRoute({
    method: 'get',
    path: '/openapi.json',
    outside: true,
    tag: 'service',
    summary: 'This document',
    access: 'anyone',
    limit: 'none',
    internal: true,
    replies: {
      200: { description: 'OpenAPI 3.1.', content: 'application/json', headers: ETAG },
      304: UNCHANGED,
    },
    errors: [],
  }),
  docs: defineRoute({
    method: 'get',
    path: '/docs',
    outside: true,
    tag: 'service',
    summary: 'This document as a page',
    access: 'anyone',
    limit: 'none',
    internal: true,
    replies: { 200: { description: 'The page.', content: 'text/html', headers: ETAG }, 304: UNCHANGED },
    errors: [],
  }),
  docsAsset: defineRoute({
    method: 'get',
    path: '/docs/:file',
    outside: true,
    tag: 'service',
    summary: 'Scripts and styles of the page',
    access: 'anyone',
    limit: 'none',
    internal: true,
    params: z.object({ file: z.string().max(100) }),
    replies: { 200: { description: 'The file.', content: '*/*', headers: ETAG }, 304: UNCHANGED },
    errors: ['NOT_FOUND'],
  }),
}

/** The contract as an OpenAPI 3.1 document. */
import { existsSync, readFileSync } from 'node:fs'
import { API_PREFIX } from '../mount.ts'
import { CONTRACT } from './index.ts'
import { LIMITS, type Limit } from './limits.ts'
import { ERROR, responses, sharedHeaders } from './openapi-responses.ts'
import type { Access, RouteSpec } from './route.ts'
import { Components, type Json } from './schemas.ts'

const DESCRIPTION = `\
Every JSON answer is an envelope: \`code\` 0, \`message\`, \`data\` and \`request_id\`. A refusal has \`code\`
(HTTP status x 100 + n), a stable \`error\` name to switch on, a \`message\` in English or Chinese
(\`Accept-Language\`), and for some errors \`data\`. Fields may be added to answers; requests with unknown fields are
refused.

Any path can also answer 404 \`NOT_FOUND\` (no such route), 405 \`METHOD_NOT_ALLOWED\`, 408 \`REQUEST_TIMEOUT\` and
431 \`HEADERS_TOO_LARGE\`.`

const SECURITY: Readonly<Record<Access, readonly Json[]>> = {
  anyone: [],
  visitor: [{}, { bearer: [] }],
  user: [{ bearer: [] }],
  viewer: [{ bearer: [] }],
  admin: [{ bearer: [] }],
  provider: [{ signature: [] }],
}

export interface OpenApiDocument {
  openapi: string
  info: Json
  servers: readonly Json[]
  tags: readonly { name: string }[]
  paths: Record<string, Record<string, Json>>
  components: Record<string, Json>
}

export function openApiDocument(): OpenApiDocument {
  const components = new Components()
  const paths: OpenApiDocument['paths'] = {}
  const routes = Object.entries<RouteSpec>(CONTRACT)
  for (const [name, route] of routes) {
    const path = pathOf(route).replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method]: operation(name, route, components) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Flash sale API', version: packageVersion(), description: DESCRIPTION },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(([, route]) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: { ...components.schemas, Error: ERROR },
      responses: components.responses,
      headers: sharedHeaders(),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        signature: { type: 'apiKey', in: 'header', name: 'x-payment-signature' },
      },
    },
  }
}

/** The whole path of a route, as the router reads it. */
export function pathOf(route: RouteSpec): string {
  return route.outside ? route.path : `${API_PREFIX}${route.path}`
}

function operation(name: string, route: RouteSpec, components: Components): Json {
  return {
    operationId: name,
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    security: SECURITY[route.access],
    'x-access': route.access,
    ...rateLimit(route.limit),
    parameters: parameters(route, components),
    ...requestBody(route, components),
    responses: responses(route, components),
  }
}

function rateLimit(limit: RouteSpec['limit']): Json {
  if (limit === 'none') return {}
  const { address, user } = LIMITS[limit]
  const window = ({ points, durationS }: Limit) => ({ requests: points, seconds: durationS })
  return {
    'x-rate-limit': { class: limit, address: window(address), ...(user ? { user: window(user) } : {}) },
  }
}

function parameters(route: RouteSpec, components: Components): Json[] {
  const header = (name: string, required: boolean, description: string, schema: Json) => ({
    name,
    in: 'header',
    required,
    description,
    schema: { type: 'string', ...schema },
  })
  const found = [
    ...fieldsOf(route.params, components).map((field) => ({ ...field, in: 'path', required: true })),
    ...fieldsOf(route.query, components).map((field) => ({ ...field, in: 'query' })),
  ]
  if (route.idempotency !== undefined) {
    const text =
      'Repeats of the same request with the same key get the answer of the first; kept for 24 hours, 1,000 a user.'
    found.push(
      header('Idempotency-Key', route.idempotency === 'required', text, { minLength: 1, maxLength: 257 }),
    )
  }
  if (route.ifMatch !== undefined)
    found.push(header('If-Match', true, 'The ETag of the version that was read, or `*`.', {}))
  for (const [name, text] of Object.entries(route.headers ?? {})) found.push(header(name, false, text, {}))
  if (304 in route.replies) found.push(header('If-None-Match', false, 'The ETag of what the client has.', {}))
  return found
}

/** The fields of a flat object, one parameter each. */
function fieldsOf(object: RouteSpec['query'], components: Components) {
  if (object === undefined) return []
  const { properties = {}, required = [] } = components.input(object) as {
    properties?: Record<string, Json>
    required?: string[]
  }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: '',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

function requestBody(route: RouteSpec, components: Components): Json {
  if (route.body === undefined) return {}
  const schema = components.input(route.body)
  const required = ((schema.required as unknown[] | undefined) ?? []).length > 0
  return { requestBody: { required, content: { 'application/json': { schema } } } }
}

/** package.json stands above the sources and above what is compiled from them. */
function packageVersion(): string {
  let folder = new URL('./', import.meta.url)
  while (!existsSync(new URL('package.json', folder))) folder = new URL('../', folder)
  return (JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as { version: string }).version
}

/** What routes answer, for the OpenAPI document: envelopes, refusals by status, headers. */
import { errorEntry, type ErrorName } from '../errors.ts'
import { errorsOf, type ReplySpec, type RouteSpec } from './route.ts'
import type { Components, Json } from './schemas.ts'

const HEADERS: Readonly<Record<string, string>> = {
  'X-Request-Id': 'The request id of the caller when it was harmless, else a new one.',
  'Retry-After': 'Seconds after which trying again makes sense.',
  'WWW-Authenticate': '`Bearer`: how to authenticate.',
  'RateLimit-Policy': 'The tighter window of this request: `"name";q=requests;w=seconds`.',
  RateLimit: 'What is left of it: `"name";r=requests;t=seconds until it begins anew`.',
  'Idempotent-Replayed': '`true` when this is the kept answer of an earlier request with the same key.',
}

/** The headers of `components`, by name. */
export function sharedHeaders(): Json {
  return Object.fromEntries(
    Object.entries(HEADERS).map(([name, description]) => [name, textHeader(description)]),
  )
}

/** Everything that a route may answer, by status. */
export function responses(route: RouteSpec, components: Components): Json {
  const errors = errorsOf(route)
  const statusOf = (name: ErrorName) => errorEntry(name).status
  const limited = route.limit === 'none' ? [] : ['RateLimit-Policy', 'RateLimit']
  const refusals = [...new Set(errors.map(statusOf))].map((status) => {
    const names = errors.filter((name) => statusOf(name) === status)
    const id = [...names, ...(limited.length === 0 ? ['unlimited'] : [])].join('.')
    return [String(status), components.response(id, () => refusal(names, limited))]
  })
  const replies = Object.entries(route.replies).map(([status, reply]) => {
    const replayed = route.idempotency !== undefined && status.startsWith('2') ? ['Idempotent-Replayed'] : []
    return [status, replyOf(reply, [...limited, ...replayed], components)]
  })
  return Object.fromEntries([...refusals, ...replies])
}

function replyOf(
  { description, data, content, headers = {} }: ReplySpec,
  more: string[],
  components: Components,
): Json {
  const own = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, textHeader(text)]))
  return {
    description,
    headers: { ...shared(['X-Request-Id', ...more]), ...own },
    ...(data === undefined
      ? {}
      : { content: { 'application/json': { schema: envelope(components.output(data)) } } }),
    ...(content === undefined ? {} : { content: { [content]: { schema: { type: 'string' } } } }),
  }
}

function refusal(names: readonly ErrorName[], limited: string[]): Json {
  const entries = names.map((name) => ({ name, ...errorEntry(name) }))
  const retry = entries.some((entry) => entry.retryAfterS !== undefined) ? ['Retry-After'] : []
  const challenge = entries.some((entry) => entry.challenge !== undefined) ? ['WWW-Authenticate'] : []
  const narrowed = {
    type: 'object',
    properties: {
      code: { enum: entries.map(({ status, n }) => status * 100 + n) },
      error: { enum: names },
    },
    required: ['code', 'error'],
  }
  return {
    description: entries.map(({ name, en }) => `\`${name}\`: ${en}`).join('\n\n'),
    headers: shared(['X-Request-Id', ...retry, ...challenge, ...limited]),
    content: {
      'application/json': { schema: { allOf: [{ $ref: '#/components/schemas/Error' }, narrowed] } },
    },
  }
}

export const ERROR = {
  type: 'object',
  description: 'A refusal.',
  properties: {
    code: { type: 'integer', description: 'HTTP status x 100 + n.' },
    error: { type: 'string', description: 'Stable name, to switch on.' },
    message: { type: 'string', description: 'For people; not part of the contract.' },
    data: { type: 'object', description: 'What the error is about, for some errors.' },
    request_id: { type: 'string' },
  },
  required: ['code', 'error', 'message', 'request_id'],
}

function envelope(data: Json): Json {
  return {
    type: 'object',
    properties: {
      code: { type: 'integer', const: 0 },
      message: { type: 'string' },
      data,
      request_id: { type: 'string' },
    },
    required: ['code', 'message', 'data', 'request_id'],
  }
}

function shared(names: readonly string[]): Json {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

function textHeader(description: string): Json {
  return { description, schema: { type: 'string' } }
}

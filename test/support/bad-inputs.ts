/** Generates requests that a route has to refuse, from the route's own declaration. */
import { randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { z } from 'zod'
import { pathOf } from '../../src/http/contract/openapi.ts'
import type { RouteSpec } from '../../src/http/contract/route.ts'

/** A request as it goes over the wire. */
export interface RawRequest {
  method: string
  path: string
  headers: Record<string, string>
  body: string | undefined
}

/** Values that have broken programs before, as JSON text. */
const NASTY = [
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e309',
  '-1e309',
  '9007199254740993',
  '2147483648',
  '""',
  '" "',
  '"\\u0000"',
  '"\\ud800"',
  '"\\u202e\\u200b"',
  '"%00"',
  '"../../etc/passwd"',
  '"\'; DROP TABLE users; --"',
  '"${7*7}{{7*7}}"',
  '"{spike:*}:stock"',
  '"\\r\\nSET x 1\\r\\n"',
  '"__proto__"',
  '{"$ne":null}',
  '{"__proto__":{"admin":true}}',
  '{"constructor":{"prototype":{"admin":true}}}',
  '[]',
  '[[[[[[1]]]]]]',
  '{}',
  `"${'a'.repeat(3_000)}"`,
] as const

const nasty = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
)
const word = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'binary', maxLength: 60 }).map((text) => text.toWellFormed()),
)
const anyKey = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'role', 'id', 'status', 'amount', 'user_id', 'version', ''),
  fc.string({ maxLength: 12 }),
)

type Kind = fc.Arbitrary<
  Partial<Pick<RawRequest, 'headers' | 'body'>> & { params?: string[]; query?: string }
>

/** Requests that this route must refuse, whoever sends them; a request that happens to be right is left out. */
export function badRequests(route: RouteSpec, token: string | undefined): fc.Arbitrary<RawRequest> {
  const kinds = badHeaders(route)
  if (route.method !== 'get') kinds.push(badBodies(route), badBodies(route), brokenBodies())
  if (route.params !== undefined) kinds.push(badParams(route))
  if (route.query !== undefined) kinds.push(badQueries(route), badQueries(route))
  return fc.oneof(...kinds).map((bad) => ({
    method: route.method.toUpperCase(),
    path: fillPath(route, bad.params) + (bad.query ?? ''),
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(route.idempotency === undefined ? {} : { 'idempotency-key': randomUUID() }),
      ...(route.ifMatch === undefined ? {} : { 'if-match': '"1"' }),
      ...(bad.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...bad.headers,
    },
    body: bad.body,
  }))
}

/** Bodies of JSON that the route's schema does not take: any value, or its fields with values that make no sense. */
function badBodies(route: RouteSpec): Kind {
  const schema = route.body ?? z.strictObject({})
  const fields = fieldsOf(schema)
  const object = fc
    .uniqueArray(fc.tuple(fields.length > 0 ? fc.oneof(fc.constantFrom(...fields), anyKey) : anyKey, nasty), {
      selector: ([key]) => key,
      maxLength: fields.length + 2,
    })
    .map((pairs) => `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`)
  return fc
    .oneof(object, object, nasty)
    .filter((text) => !schema.safeParse(JSON.parse(text)).success)
    .map((body) => ({ body }))
}

/** Bodies that are no JSON, or not said to be. */
function brokenBodies(): Kind {
  const notJson = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((text) => !isJson(text))
  const types = fc.constantFrom(
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=utf-7',
  )
  return fc.oneof(
    notJson.map((body) => ({ body })),
    types.map((type) => ({ body: '{"quantity":1}', headers: { 'content-type': type } })),
  )
}

function badParams(route: RouteSpec): Kind {
  const names = namesIn(route)
  return fc
    .array(word, { minLength: names.length, maxLength: names.length })
    .filter(
      (values) =>
        values.every((value) => value !== '') &&
        route.params?.safeParse(Object.fromEntries(names.map((name, i) => [name, values[i]]))).success ===
          false,
    )
    .map((params) => ({ params }))
}

function badQueries(route: RouteSpec): Kind {
  const fields = fieldsOf(route.query ?? z.object({}))
  const key = fc.oneof(fc.constantFrom(...fields, 'user_id', 'include', 'filter[x]', '__proto__'), anyKey)
  return fc
    .array(fc.tuple(key, word), { minLength: 1, maxLength: 4 })
    .filter((pairs) => !queryIsGood(route, pairs))
    .map((pairs) => ({
      query: `?${pairs.map(([name, value]) => `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value)}`).join('&')}`,
    }))
}

function queryIsGood(route: RouteSpec, pairs: readonly (readonly [string, string])[]): boolean {
  const query: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>
  for (const [name, value] of pairs) {
    const known = query[name]
    query[name] = known === undefined ? value : [known, value].flat()
  }
  return route.query?.safeParse(query).success === true
}

/** What a header value may be made of; two of them are not ASCII. */
const HEADER_CHARACTERS = 'aZ09.-_~\u00e9\u00ff "\'{}'.split('')

/** Tokens, versions and keys that are none; what a header can not carry never leaves the client. */
function badHeaders(route: RouteSpec): Kind[] {
  const text = fc
    .string({
      unit: fc.constantFrom(...HEADER_CHARACTERS),
      minLength: 1,
      maxLength: 60,
    })
    .filter((value) => value.trim() !== '')
  const kinds: Kind[] = []
  if (route.access !== 'anyone' && route.access !== 'provider')
    kinds.push(
      text.map((value) => ({ headers: { authorization: `Bearer ${value}` } })),
      text.map((value) => ({ headers: { authorization: value } })),
    )
  if (route.access === 'provider')
    kinds.push(text.map((value) => ({ body: '{}', headers: { 'x-payment-signature': value } })))
  if (route.ifMatch !== undefined)
    kinds.push(text.map((value) => ({ body: '{}', headers: { 'if-match': `W/-${value}` } })))
  if (route.idempotency !== undefined)
    kinds.push(text.map((value) => ({ headers: { 'idempotency-key': `${value}\u00e9` } })))
  return kinds
}

function fieldsOf(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
}

function namesIn(route: RouteSpec): string[] {
  return [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? '')
}

/** The route's path; what is not given is an id that nobody has. */
function fillPath(route: RouteSpec, values?: readonly string[]): string {
  return namesIn(route).reduce(
    (path, name, i) => path.replace(`:${name}`, () => encodeURIComponent(values?.[i] ?? randomUUID())),
    pathOf(route),
  )
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

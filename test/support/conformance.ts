/** Holds every answer of the API that a test gets against the contract: what is not declared does not leave it. */
import { AssertionError, expect } from 'chai'
import { CONTRACT } from '../../src/http/contract/index.ts'
import { pathOf } from '../../src/http/contract/openapi.ts'
import { errorsOf, type ReplySpec, type RouteSpec } from '../../src/http/contract/route.ts'
import { errorEntry, type ErrorName } from '../../src/http/errors.ts'

interface Answer {
  status: number
  headers: Headers
  text: string
  body: { code: number; error?: string; data: unknown }
}

const ROUTES = Object.entries<RouteSpec>(CONTRACT).map(([name, route]) => ({
  name,
  route,
  errors: new Set<string>(errorsOf(route)),
  pattern: new RegExp(`^${pathOf(route).replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}/?$`),
}))

/** @throws AssertionError when a route of the contract gives an answer that it does not declare */
export function expectDeclared(method: string, path: string, reply: Answer): void {
  const found = ROUTES.find(
    ({ route, pattern }) => route.method === method.toLowerCase() && pattern.test(path),
  )
  if (found === undefined || reply.status === 405) return
  const { name, route, errors } = found
  noteSeen(name, reply)
  const declared = route.replies[reply.status]
  try {
    if (declared !== undefined) expectReply(declared, reply)
    else expectError(errors, reply)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new AssertionError(
      `${name} does not answer as it is declared: ${message}\n${reply.text.slice(0, 2_000)}`,
    )
  }
}

/** Answers that tests have got: `route status` of declared replies, `route ERROR` of refusals. */
const seen = new Set<string>()

/** Notes an answer that came by another way than the test clients. */
export function noteSeen(
  route: string,
  { status, body }: { status: number; body: { error?: string } },
): void {
  seen.add(`${route} ${body.error ?? status}`)
}

/** Made by one guard for all routes alike: seen on one route is seen. A 500 is a bug, and nobody can ask for one. */
const SHARED = new Set<ErrorName>([
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'RATE_LIMITED',
  'NOT_READY',
  'OVERLOADED',
  'IDEMPOTENCY_IN_FLIGHT',
  'IDEMPOTENCY_MISMATCH',
])

/** Which of the declared answers no test has got, and how many there are. */
export function unseenAnswers(): { unseen: string[]; declared: number } {
  const own = ROUTES.flatMap(({ name, route }) => [
    ...Object.keys(route.replies).map((status) => `${name} ${status}`),
    ...errorsOf(route)
      .filter((error) => !SHARED.has(error) && error !== 'INTERNAL')
      .map((error) => `${name} ${error}`),
  ])
  const ends = new Set([...seen].map((answer) => answer.split(' ')[1]))
  const shared = [...SHARED].filter((error) => !ends.has(error)).map((error) => `any route ${error}`)
  const unseen = own.filter((answer) => !seen.has(answer))
  return { unseen: [...unseen, ...shared], declared: own.length + SHARED.size }
}

function expectError(errors: ReadonlySet<string>, { status, body }: Answer): void {
  const name = body.error ?? ''
  if (!errors.has(name)) throw new Error(`${status} ${name} is not among its errors`)
  const entry = errorEntry(name as ErrorName)
  expect(status, `status of ${name}`).to.equal(entry.status)
  expect(body.code, `code of ${name}`).to.equal(entry.status * 100 + entry.n)
}

function expectReply({ data, content, headers = {} }: ReplySpec, reply: Answer): void {
  for (const header of Object.keys(headers)) expect(reply.headers.get(header), header).to.be.a('string')
  if (data !== undefined) {
    expect(reply.body.code, 'code').to.equal(0)
    // Fields that the schema does not know are gone after parsing.
    expect(data.parse(reply.body.data), 'data').to.deep.equal(reply.body.data)
  } else if (content === undefined) expect(reply.text, 'body').to.equal('')
  else if (content !== '*/*') expect(reply.headers.get('content-type'), 'content type').to.include(content)
}

/** The contract as a page of Markdown. */
import { errorEntry, ERROR_NAMES } from '../../src/http/errors.ts'
import { CONTRACT } from '../../src/http/contract/index.ts'
import { LIMITS, type Limit } from '../../src/http/contract/limits.ts'
import { pathOf } from '../../src/http/contract/openapi.ts'
import type { RouteSpec } from '../../src/http/contract/route.ts'

const INTRODUCTION = `# The API, route by route

The same as \`openapi.json\`, which a running process serves at \`/openapi.json\` and shows at \`/docs\`.

Who: \`anyone\` is not asked for a token; \`visitor\` may come without one; \`user\` needs one; \`viewer\` is a
viewer, an operator or an admin; \`provider\` signs its requests. \`internal\` routes are there for the networks of
\`INTERNAL_NETWORKS\` only in prod.

On top of the errors of its own, a route can answer:

- \`VALIDATION_FAILED\`, \`PAYLOAD_TOO_LARGE\`, \`UNSUPPORTED_MEDIA_TYPE\` when it reads input
- \`UNAUTHENTICATED\` when it reads tokens, \`FORBIDDEN\` when it wants a role
- \`RATE_LIMITED\` when it is limited
- \`IDEMPOTENCY_IN_FLIGHT\`, \`IDEMPOTENCY_MISMATCH\` when it takes an \`Idempotency-Key\`, and
  \`IDEMPOTENCY_KEY_REQUIRED\` when it wants one
- \`PRECONDITION_REQUIRED\`, \`PRECONDITION_FAILED\` when it wants \`If-Match\`
- \`NOT_READY\`, \`OVERLOADED\`, \`INTERNAL\`, and below all routes \`REQUEST_TIMEOUT\`, \`HEADERS_TOO_LARGE\`,
  \`NOT_FOUND\`, \`METHOD_NOT_ALLOWED\`
`

export function apiPage(): string {
  const routes = Object.entries<RouteSpec>(CONTRACT)
  const tags = [...new Set(routes.map(([, route]) => route.tag))]
  const sections = tags.map((tag) => {
    const rows = routes.filter(([, route]) => route.tag === tag).map(([name, route]) => routeRow(name, route))
    const heads = [
      'route',
      'operation',
      'what',
      'who',
      'limit',
      'Idempotency-Key',
      'If-Match',
      'errors of its own',
    ]
    return `## ${tag}\n\n${table(heads, rows)}`
  })
  return [INTRODUCTION, ...sections, limitSection(), errorSection()].join('\n')
}

function routeRow(name: string, route: RouteSpec): string[] {
  return [
    `\`${route.method.toUpperCase()} ${pathOf(route)}\``,
    name,
    route.summary,
    route.internal ? `${route.access}, internal` : route.access,
    route.limit === 'none' ? '' : route.limit,
    route.idempotency ?? '',
    route.ifMatch ?? '',
    route.errors.map((error) => `\`${error}\``).join(' '),
  ]
}

function limitSection(): string {
  const window = (limit: Limit | undefined) => (limit ? `${limit.points} in ${limit.durationS} s` : '')
  const rows = Object.entries(LIMITS).map(([name, { address, user, withoutRedis }]) => [
    name,
    window(address),
    window(user),
    withoutRedis === 'refuse' ? '`NOT_READY`' : 'each process counts by itself',
  ])
  return `## Limits\n\n${table(['class', 'one address', 'one user', 'while Redis is away'], rows)}`
}

function errorSection(): string {
  const rows = ERROR_NAMES.map((name) => {
    const { status, n, en, retryAfterS } = errorEntry(name)
    return [
      `\`${name}\``,
      String(status),
      String(status * 100 + n),
      retryAfterS === undefined ? '' : 'yes',
      en,
    ]
  })
  return `## Errors\n\n${table(['error', 'status', 'code', 'Retry-After', 'text'], rows)}`
}

function table(heads: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return `${[line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n')}\n`
}

/**
 * The only file that reads the environment.
 *
 * Every bad or missing name is listed at once, so that a new machine is configured in one round.
 */
import { existsSync } from 'node:fs'
import { z } from 'zod'
import { parseFailpoints, type ArmedFailpoint } from './failpoints.ts'
import { isNetwork } from './networks.ts'
import { nodeUrls } from './node-urls.ts'

const port = z.coerce.number().int().min(1).max(65_535)
const url = (...protocols: string[]) =>
  z
    .url(`is not a URL such as ${protocols[0]}://user:password@host:port`)
    .refine(
      (value) => protocols.some((p) => value.startsWith(`${p}://`)),
      `must start with ${protocols.map((p) => `${p}://`).join(' or ')}`,
    )
/** A URL that may name several hosts, separated by commas; see node-urls.ts. */
const clusterUrl = (...protocols: string[]) => {
  const node = url(...protocols)
  return z.string().superRefine((value, ctx) => {
    if (value.split('://').length > 2)
      return ctx.addIssue({
        code: 'custom',
        message: 'must name the hosts after the first as host:port only',
      })
    const nodes = nodeUrls(value)
    const refused = nodes.map((each) => node.safeParse(each).error).find((error) => error !== undefined)
    const message = refused?.issues[0]?.message ?? (nodes.length > 1 ? problemOfNodes(nodes) : undefined)
    if (message !== undefined) ctx.addIssue({ code: 'custom', message })
  })
}

function problemOfNodes(nodes: readonly string[]): string | undefined {
  const urls = nodes.map((node) => new URL(node))
  if (urls.some(({ hostname }) => hostname === ''))
    return 'must name every server of a cluster as host:port, with commas between'
  const isRedis = (protocol: string) => protocol.startsWith('redis')
  if (urls.some(({ protocol, pathname }) => isRedis(protocol) && !['', '/', '/0'].includes(pathname)))
    return 'names a cluster, which has one database: leave out its number'
  return undefined
}
const secret = z.string().min(1)
/** Names separated by commas. */
const list = z.string().transform((value) =>
  value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== ''),
)

/** As browsers write it in `Origin`; anything else would never match. */
const isOrigin = (value: string) =>
  !value.includes('*') && URL.canParse(value) && new URL(value).origin === value

const MIN_SECRET_BYTES = 32

const schema = z
  .object({
    APP_ENV: z.enum(['dev', 'staging', 'prod']).default('dev'),
    HOST: z.string().default('127.0.0.1'),
    PORT: port.default(8080),
    DASHBOARD_PORT: port.default(8081),
    /** 0: the workers don't listen. */
    WORKERS_PORT: z.coerce.number().int().min(0).max(65_535).default(8082),
    DATABASE_URL: url('postgres', 'postgresql'),
    REDIS_URL: clusterUrl('redis', 'rediss'),
    QUEUE_REDIS_URL: clusterUrl('redis', 'rediss').optional(),
    AMQP_URL: clusterUrl('amqp', 'amqps'),
    JWT_SECRET: secret,
    PAYMENT_SECRET: secret,
    PAYMENT_CALLBACK_URL: url('http', 'https').optional(),
    LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
    RATE_LIMIT: z.enum(['on', 'off']).default('on'),
    CORS_ORIGINS: list
      .refine(
        (origins) => origins.every(isOrigin),
        'must list origins such as https://shop.example:8443, no path',
      )
      .default([]),
    TRUST_PROXY: z.enum(['on', 'off']).default('off'),
    INTERNAL_NETWORKS: list
      .refine((networks) => networks.every(isNetwork), 'must list networks such as 10.0.0.0/8,::1/128')
      .default(['127.0.0.0/8', '::1/128']),
    FAILPOINTS: z
      .string()
      .transform((text, ctx) => {
        try {
          return parseFailpoints(text)
        } catch (error) {
          ctx.addIssue({ code: 'custom', message: (error as Error).message })
          return z.NEVER
        }
      })
      .default([]),
    FAILPOINT_SEED: z.coerce.number().int().min(0).default(0),
    MAX_IN_FLIGHT: z.coerce.number().int().min(1).max(1_000_000).default(1_000),
    /** 0: for ever. */
    RETENTION_DAYS: z.coerce.number().int().min(0).max(3_650).default(30),
    /** Base URL of a collector that speaks OTLP over HTTP. */
    OTEL_EXPORTER_OTLP_ENDPOINT: url('http', 'https').optional(),
    TRACE_SAMPLE_RATIO: z.coerce.number().min(0).max(1).optional(),
    TRACE_URL_TEMPLATE: url('http', 'https')
      .refine((template) => template.includes('{trace_id}'), 'must contain {trace_id}')
      .optional(),
    /** Names the exchange, the AMQP queues and the BullMQ prefix: two stacks can share the same servers. */
    NAMESPACE: z
      .string()
      .regex(/^[a-z0-9-]{1,40}$/, 'must be 1 to 40 of a-z, 0-9 and "-"')
      .default('spike'),
  })
  .superRefine((env, ctx) => {
    if (env.APP_ENV !== 'dev') {
      for (const name of ['JWT_SECRET', 'PAYMENT_SECRET'] as const) {
        if (Buffer.byteLength(env[name]) < MIN_SECRET_BYTES)
          ctx.addIssue({
            code: 'custom',
            path: [name],
            message: `must have at least ${MIN_SECRET_BYTES} bytes outside dev`,
          })
      }
    }
    if (env.APP_ENV !== 'dev' && env.FAILPOINTS.length > 0)
      ctx.addIssue({ code: 'custom', path: ['FAILPOINTS'], message: 'may be set in dev only' })
    if (env.APP_ENV === 'prod' && env.RATE_LIMIT === 'off')
      ctx.addIssue({ code: 'custom', path: ['RATE_LIMIT'], message: 'may not be off in prod' })
  })

/** Settings of one process; read once, frozen, passed down by the composition roots. */
export type Config = Readonly<{
  env: 'dev' | 'staging' | 'prod'
  host: string
  port: number
  dashboardPort: number
  /** Where the workers tell of their health and metrics; 0: nowhere. */
  workersPort: number
  databaseUrl: string
  redisUrl: string
  queueRedisUrl: string
  amqpUrl: string
  jwtSecret: string
  paymentSecret: string
  /** Where the simulated provider calls back. */
  paymentCallbackUrl: string
  logLevel: string
  rateLimit: boolean
  corsOrigins: readonly string[]
  trustProxy: boolean
  /** CIDRs of those who may see what `internal` routes show. */
  internalNetworks: readonly string[]
  /** Requests that may wait or be worked on at the same time; more are refused with OVERLOADED. */
  maxInFlight: number
  /** For how long the workers keep what nothing needs any more, for people; 0: for ever. See docs/retention.md. */
  retentionDays: number
  namespace: string
  /** Where traces go, and which part of the requests is traced; undefined when tracing is off. */
  tracing: { tracesUrl: string; sampleRatio: number } | undefined
  /** URL of a trace, with `{trace_id}` in it; the dashboard links to it. */
  traceUrlTemplate: string | undefined
  /** Where this process is made to fail, and the seed of when; see failpoints.ts. */
  failpoints: readonly ArmedFailpoint[]
  failpointSeed: number
}>

/** Settings that keep the process from starting; `problems` has one line for each name. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`configuration is not usable:\n${problems.map((p) => `  ${p}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * Reads and checks the settings.
 * @param env usually `process.env`
 * @throws ConfigError naming every bad or missing setting, never its value
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const result = schema.safeParse(given)
  if (!result.success) throw new ConfigError(result.error.issues.map(problemLine))
  const e = result.data
  return Object.freeze({
    env: e.APP_ENV,
    host: e.HOST,
    port: e.PORT,
    dashboardPort: e.DASHBOARD_PORT,
    workersPort: e.WORKERS_PORT,
    databaseUrl: e.DATABASE_URL,
    redisUrl: e.REDIS_URL,
    queueRedisUrl: e.QUEUE_REDIS_URL ?? e.REDIS_URL,
    amqpUrl: e.AMQP_URL,
    jwtSecret: e.JWT_SECRET,
    paymentSecret: e.PAYMENT_SECRET,
    paymentCallbackUrl: e.PAYMENT_CALLBACK_URL ?? ownCallbackUrl(e.HOST, e.PORT),
    logLevel: e.LOG_LEVEL,
    rateLimit: e.RATE_LIMIT === 'on',
    corsOrigins: e.CORS_ORIGINS,
    trustProxy: e.TRUST_PROXY === 'on',
    internalNetworks: e.INTERNAL_NETWORKS,
    maxInFlight: e.MAX_IN_FLIGHT,
    retentionDays: e.RETENTION_DAYS,
    namespace: e.NAMESPACE,
    tracing: tracingOf(e),
    traceUrlTemplate: e.TRACE_URL_TEMPLATE,
    failpoints: e.FAILPOINTS,
    failpointSeed: e.FAILPOINT_SEED,
  })
}

/** In prod, one request of a hundred is enough to see where time goes; elsewhere people look for the one they made. */
function tracingOf(env: z.infer<typeof schema>): Config['tracing'] {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, TRACE_SAMPLE_RATIO: ratio } = env
  if (endpoint === undefined) return undefined
  return {
    tracesUrl: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    sampleRatio: ratio ?? (env.APP_ENV === 'prod' ? 0.01 : 1),
  }
}

/** The API of the same machine, which is where the simulated provider's money goes. */
function ownCallbackUrl(host: string, port: number): string {
  const address = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}/api/v1/payments/callback`
}

const DEV_SEED_PASSWORD = 'spike-dev-password'

/**
 * What the seeds may make. In prod that is the admin and the operator with a password that was chosen for them.
 * @throws ConfigError
 */
export function loadSeedSettings(env: NodeJS.ProcessEnv): { password: string; withTestData: boolean } {
  const withTestData = env.APP_ENV !== 'prod'
  const password = env.SEED_PASSWORD || (withTestData ? DEV_SEED_PASSWORD : '')
  if (password === '') throw new ConfigError(['SEED_PASSWORD is missing: there is no default in prod'])
  if (password.length < 10 || password.length > 128)
    throw new ConfigError(['SEED_PASSWORD must have 10 to 128 characters, as every password'])
  return { password, withTestData }
}

/** Reads `.env` of the working folder when there is one; names already in the environment win. */
export function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env')
}

function problemLine(issue: z.core.$ZodIssue): string {
  const name = issue.path.join('.')
  const missing = issue.code === 'invalid_type' && issue.input === undefined
  return missing ? `${name} is missing: set it (see .env.example)` : `${name} ${issue.message}`
}

import { expect } from 'chai'
import { describe, it } from 'mocha'
import { ConfigError, loadConfig, loadSeedSettings } from '../../src/platform/config.ts'
import { nodeUrls } from '../../src/platform/node-urls.ts'

const SECRET = 'x'.repeat(32)
const GOOD: NodeJS.ProcessEnv = {
  DATABASE_URL: 'postgres://spike:pw@db:5432/sale',
  REDIS_URL: 'redis://stock:6379',
  AMQP_URL: 'amqp://spike:pw@broker:5672',
  JWT_SECRET: SECRET,
  PAYMENT_SECRET: SECRET,
}

/** The lines that say what is wrong with these settings. */
function problemsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}
const namesOf = (problems: readonly string[]) => problems.map((line) => line.split(' ')[0])

describe('loadConfig', () => {
  it('needs five names and has defaults for the others', () => {
    expect(loadConfig(GOOD)).to.deep.equal({
      env: 'dev',
      host: '127.0.0.1',
      port: 8080,
      dashboardPort: 8081,
      workersPort: 8082,
      databaseUrl: GOOD.DATABASE_URL,
      redisUrl: GOOD.REDIS_URL,
      queueRedisUrl: GOOD.REDIS_URL,
      amqpUrl: GOOD.AMQP_URL,
      jwtSecret: SECRET,
      paymentSecret: SECRET,
      paymentCallbackUrl: 'http://127.0.0.1:8080/api/v1/payments/callback',
      logLevel: 'info',
      rateLimit: true,
      corsOrigins: [],
      trustProxy: false,
      internalNetworks: ['127.0.0.0/8', '::1/128'],
      maxInFlight: 1_000,
      retentionDays: 30,
      namespace: 'spike',
      tracing: undefined,
      traceUrlTemplate: undefined,
      failpoints: [],
      failpointSeed: 0,
    })
  })

  it('takes several servers of a Redis Cluster, and says what is wrong with them', () => {
    const cluster = 'redis://:pw@a:7001,b:7002,[::1]:7003'
    expect(loadConfig({ ...GOOD, REDIS_URL: cluster })).to.include({
      redisUrl: cluster,
      queueRedisUrl: cluster,
    })
    expect(nodeUrls(cluster)).to.deep.equal([
      'redis://:pw@a:7001',
      'redis://:pw@b:7002',
      'redis://:pw@[::1]:7003',
    ])
    expect(nodeUrls('redis://a:1/3')).to.deep.equal(['redis://a:1/3'])
    for (const [bad, problem] of [
      ['redis://a:1,', 'must name every server of a cluster as host:port, with commas between'],
      ['redis://a:1,b:2/3', 'names a cluster, which has one database: leave out its number'],
      ['redis://a:1,b:x', 'is not a URL such as redis://user:password@host:port'],
      ['http://a:1,b:2', 'must start with redis:// or rediss://'],
    ] as const)
      for (const name of ['REDIS_URL', 'QUEUE_REDIS_URL'])
        expect(problemsOf({ ...GOOD, [name]: bad })).to.deep.equal([`${name} ${problem}`])
  })

  it('lists every missing name at once', () => {
    const problems = problemsOf({})
    expect(namesOf(problems)).to.have.members(Object.keys(GOOD))
    for (const line of problems) expect(line).to.match(/^[A-Z_]+ is missing: set it \(see \.env\.example\)$/)
  })

  it('takes an empty value as a missing one, and as no value for names with a default', () => {
    expect(namesOf(problemsOf({ ...GOOD, JWT_SECRET: '' }))).to.deep.equal(['JWT_SECRET'])
    expect(loadConfig({ ...GOOD, PORT: '', QUEUE_REDIS_URL: '' })).to.include({
      port: 8080,
      queueRedisUrl: GOOD.REDIS_URL,
    })
  })

  it('takes several nodes of RabbitMQ', () => {
    const AMQP_URL = 'amqp://spike:pw@b1:5672,b2:5673,b3/vhost'
    expect(loadConfig({ ...GOOD, AMQP_URL }).amqpUrl).to.equal(AMQP_URL)
  })

  it('takes 0 as a port for the workers only, who need not listen', () => {
    expect(loadConfig({ ...GOOD, WORKERS_PORT: '0' }).workersPort).to.equal(0)
    expect(namesOf(problemsOf({ ...GOOD, WORKERS_PORT: '-1' }))).to.deep.equal(['WORKERS_PORT'])
    expect(namesOf(problemsOf({ ...GOOD, DASHBOARD_PORT: '0' }))).to.deep.equal(['DASHBOARD_PORT'])
  })

  it('lists missing and bad names together, and never prints a value', () => {
    const bad = {
      DATABASE_URL: 'mysql://root:s3cret-a@db',
      REDIS_URL: 's3cret-b',
      AMQP_URL: 'http://s3cret-c@broker',
      QUEUE_REDIS_URL: 'amqp://s3cret-d@queue',
      PORT: 's3cret-e',
      DASHBOARD_PORT: '70000',
      LOG_LEVEL: 's3cret-f',
      APP_ENV: 's3cret-g',
      RATE_LIMIT: 's3cret-h',
      TRUST_PROXY: 's3cret-i',
      NAMESPACE: 'S3CRET_J',
      PAYMENT_SECRET: SECRET,
    }
    const problems = problemsOf(bad)
    const expected = [...Object.keys(bad).filter((name) => name !== 'PAYMENT_SECRET'), 'JWT_SECRET']
    expect([...new Set(namesOf(problems))]).to.have.members(expected)
    expect(new ConfigError(problems).message).not.to.match(/s3cret|70000/i)
  })

  for (const [name, value] of [
    ['PORT', '0'],
    ['PORT', '65536'],
    ['PORT', '80.5'],
    ['PORT', 'http'],
    ['DATABASE_URL', 'redis://db'],
    ['DATABASE_URL', 'db:5432'],
    ['REDIS_URL', 'postgres://stock'],
    ['QUEUE_REDIS_URL', 'http://queue'],
    ['AMQP_URL', 'amqp'],
    ['AMQP_URL', 'amqp://u:p@h1:5672,h2:port'],
    ['AMQP_URL', 'amqp://u:p@h1:5672,'],
    ['AMQP_URL', 'amqp://u:p@h1:5672,amqp://u:p@h2:5672'],
    ['LOG_LEVEL', 'loud'],
    ['APP_ENV', 'production'],
    ['RATE_LIMIT', 'false'],
    ['PAYMENT_CALLBACK_URL', 'ftp://shop.test'],
    ['INTERNAL_NETWORKS', '10.0.0.0'],
    ['INTERNAL_NETWORKS', '10.0.0.0/8,anybody'],
    ['CORS_ORIGINS', '*'],
    ['CORS_ORIGINS', 'null'],
    ['CORS_ORIGINS', 'shop.example'],
    ['CORS_ORIGINS', 'https://shop.example/'],
    ['CORS_ORIGINS', 'https://*.example'],
    ['CORS_ORIGINS', 'https://Shop.example'],
    ['CORS_ORIGINS', 'https://shop.example:443'],
    ['CORS_ORIGINS', 'https://a.test,https://b.test/path'],
    ['MAX_IN_FLIGHT', '0'],
    ['MAX_IN_FLIGHT', 'many'],
    ['RETENTION_DAYS', '-1'],
    ['RETENTION_DAYS', '0.5'],
    ['TRACE_URL_TEMPLATE', 'http://traces.test/trace'],
    ['TRACE_URL_TEMPLATE', 'javascript:{trace_id}'],
    ['NAMESPACE', 'has space'],
    ['NAMESPACE', 'a'.repeat(41)],
    ['FAILPOINTS', 'reserve.after'],
    ['FAILPOINTS', 'reserve.after=kill,'],
    ['FAILPOINT_SEED', '-1'],
    ['FAILPOINT_SEED', '0.5'],
  ] as const)
    it(`refuses ${name}=${value.slice(0, 20)}, and nothing else`, () => {
      expect([...new Set(namesOf(problemsOf({ ...GOOD, [name]: value })))]).to.deep.equal([name])
    })

  for (const APP_ENV of ['staging', 'prod'])
    it(`refuses secrets under 32 bytes in ${APP_ENV}`, () => {
      const short = 'x'.repeat(31)
      const env = { ...GOOD, APP_ENV, JWT_SECRET: short, PAYMENT_SECRET: short }
      expect(problemsOf(env)).to.deep.equal([
        'JWT_SECRET must have at least 32 bytes outside dev',
        'PAYMENT_SECRET must have at least 32 bytes outside dev',
      ])
      expect(problemsOf({ ...GOOD, APP_ENV })).to.deep.equal([])
    })

  it('counts the bytes of a secret, not its characters', () => {
    expect(problemsOf({ ...GOOD, APP_ENV: 'prod', JWT_SECRET: '秒'.repeat(11) })).to.deep.equal([])
  })

  it('takes short secrets in dev', () => {
    expect(loadConfig({ ...GOOD, JWT_SECRET: 'short' }).jwtSecret).to.equal('short')
  })

  it('refuses to sell without a rate limit in prod, and only there', () => {
    const env = { ...GOOD, RATE_LIMIT: 'off' }
    expect(problemsOf({ ...env, APP_ENV: 'prod' })).to.deep.equal(['RATE_LIMIT may not be off in prod'])
    for (const APP_ENV of ['dev', 'staging'])
      expect(loadConfig({ ...env, APP_ENV }).rateLimit).to.equal(false)
  })

  it('takes fail points, and refuses them outside dev', () => {
    const env = {
      ...GOOD,
      FAILPOINTS: 'reserve.after=kill/40, bridge.before-ack=hang:50',
      FAILPOINT_SEED: '7',
    }
    expect(loadConfig(env)).to.deep.include({
      failpoints: [
        { name: 'reserve.after', failure: 'kill', oneIn: 40, ms: 1_000 },
        { name: 'bridge.before-ack', failure: 'hang', oneIn: 1, ms: 50 },
      ],
      failpointSeed: 7,
    })
    for (const APP_ENV of ['staging', 'prod'])
      expect(problemsOf({ ...env, APP_ENV })).to.deep.equal(['FAILPOINTS may be set in dev only'])
  })

  it('keeps queues in a Redis of their own when it is given', () => {
    const QUEUE_REDIS_URL = 'rediss://queue:6380'
    expect(loadConfig({ ...GOOD, QUEUE_REDIS_URL })).to.include({
      redisUrl: GOOD.REDIS_URL,
      queueRedisUrl: QUEUE_REDIS_URL,
    })
  })

  it('reads a list of origins', () => {
    expect(
      loadConfig({ ...GOOD, CORS_ORIGINS: ' https://a.test, ,http://[::1]:8080' }).corsOrigins,
    ).to.deep.equal(['https://a.test', 'http://[::1]:8080'])
  })

  it('reads a list of networks, which may be empty', () => {
    const INTERNAL_NETWORKS = '10.0.0.0/8, fd00::/8'
    expect(loadConfig({ ...GOOD, INTERNAL_NETWORKS }).internalNetworks).to.deep.equal([
      '10.0.0.0/8',
      'fd00::/8',
    ])
    expect(loadConfig({ ...GOOD, INTERNAL_NETWORKS: ',' }).internalNetworks).to.deep.equal([])
  })

  it('traces nothing without a collector, and a part of the requests with one', () => {
    const env = { ...GOOD, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' }
    const tracesUrl = 'http://collector:4318/v1/traces'
    const prod = { ...env, APP_ENV: 'prod' }
    expect(loadConfig({ ...GOOD, TRACE_SAMPLE_RATIO: '1' }).tracing).to.equal(undefined)
    expect(loadConfig(env).tracing).to.deep.equal({ tracesUrl, sampleRatio: 1 })
    expect(loadConfig(prod).tracing).to.deep.equal({ tracesUrl, sampleRatio: 0.01 })
    expect(loadConfig({ ...prod, TRACE_SAMPLE_RATIO: '0.2' }).tracing?.sampleRatio).to.equal(0.2)
    for (const bad of ['-0.1', '1.1', 'often'])
      expect(namesOf(problemsOf({ ...env, TRACE_SAMPLE_RATIO: bad }))).to.deep.equal(['TRACE_SAMPLE_RATIO'])
  })

  it('can’t be changed afterwards', () => {
    const config = loadConfig(GOOD) as { port: number }
    expect(() => (config.port = 1)).to.throw(TypeError)
  })
})

describe('loadSeedSettings', () => {
  it('has a password and test data by default', () => {
    expect(loadSeedSettings({})).to.deep.equal({ password: 'spike-dev-password', withTestData: true })
    expect(loadSeedSettings({ SEED_PASSWORD: 'mine and long' })).to.deep.equal({
      password: 'mine and long',
      withTestData: true,
    })
  })

  it('has neither in prod', () => {
    const given = { APP_ENV: 'prod', SEED_PASSWORD: 'mine and long' }
    expect(loadSeedSettings(given)).to.deep.equal({ password: 'mine and long', withTestData: false })
    for (const SEED_PASSWORD of [undefined, ''])
      expect(() => loadSeedSettings({ ...given, SEED_PASSWORD })).to.throw(
        ConfigError,
        'SEED_PASSWORD is missing',
      )
  })

  it('refuses a password that no login would take', () => {
    expect(() => loadSeedSettings({ SEED_PASSWORD: 'short' })).to.throw(ConfigError, '10 to 128')
  })
})

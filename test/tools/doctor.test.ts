import { connect } from 'amqplib'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { after, before, describe, it } from 'mocha'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { queuePrefix } from '../../src/platform/bullmq/job.ts'
import { BULLMQ_VERSION } from '../../src/platform/bullmq/process-tag.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { judgeClock } from '../../tools/doctor/clock.ts'
import { judgeDisk } from '../../tools/doctor/disk.ts'
import { examine } from '../../tools/doctor/examine.ts'
import type { Finding } from '../../tools/doctor/finding.ts'
import { checkVersion } from '../../tools/doctor/versions.ts'
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts'
import { startPrivateRedis, type PrivateRedis } from '../support/private-redis.ts'
import { until } from '../support/wait.ts'
import { createWorld, serverUrls, type World } from '../support/world.ts'

/** The bad lines, each of which has to say what mends it. */
function badOf(findings: readonly Finding[]): Map<string, Finding> {
  const bad = findings.filter(({ ok }) => !ok)
  for (const { what, mend } of bad) expect(mend, `what mends ${what}`).to.be.a('string').that.is.not.empty
  return new Map(bad.map((finding) => [finding.what, finding]))
}

async function runDoctor(env: NodeJS.ProcessEnv, ...args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'tools/doctor.ts', ...args], {
    env: { PATH: process.env.PATH, ...env },
  })
  const texts = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (chunk: Buffer) => (texts[stream] += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, ...texts }
}

describe('npm run doctor', () => {
  describe('while everything runs', () => {
    let world: World
    before(async () => {
      world = await createWorld()
      for (const role of ['workers', 'api', 'dashboard'] as const) await world.start(role)
    })
    after(() => world.close())

    it('finds nothing, and leaves with 0', async () => {
      const { code, stdout, stderr } = await runDoctor(world.env)
      expect(stderr).to.equal('')
      expect(stdout).to.not.match(/^BAD/m)
      expect(stdout).to.match(/\n\nEverything is usable\.\n$/)
      expect(code).to.equal(0)
    })

    it('has a line for each thing that it looks at', async () => {
      const findings = await examine(world.env)
      expect([...badOf(findings).keys()]).to.deep.equal([])
      const whats = findings.map(({ what }) => what)
      const host = (url: string) => new URL(url).host
      expect(whats).to.include.members([
        'Node',
        'disk of this machine',
        'settings',
        `Redis ${host(world.config.redisUrl)} (REDIS_URL)`,
        `Redis ${host(world.config.queueRedisUrl)} (QUEUE_REDIS_URL)`,
        `RabbitMQ ${host(world.config.amqpUrl)}`,
        'migrations',
        'commits last',
        'time limits of PostgreSQL',
        'connections of PostgreSQL',
        'clock of PostgreSQL',
        'disk of PostgreSQL',
        ...['REDIS_URL', 'QUEUE_REDIS_URL'].flatMap((name) =>
          ['maxmemory-policy', 'writes', 'memory', 'clock', 'disk'].map((what) => `${name} ${what}`),
        ),
        'REDIS_URL append-only file',
        ...['create-order', 'close-order', 'release-stock'].map((step) => `workers on ${step}`),
        'BullMQ versions',
        `exchange ${world.topology.exchange}`,
        `queue ${world.topology.deadQueue}`,
        'RabbitMQ takes messages',
      ])
      expect(findings.filter(({ untold }) => untold).map(({ what }) => what)).to.include('bindings')
    })

    it('knows which processes use which BullMQ, and that one of them is of another build', async () => {
      const findings = await examine(world.env)
      const versions = findings.find(({ what }) => what === 'BullMQ versions')
      expect(versions?.detail).to.match(new RegExp(`^${BULLMQ_VERSION}: this package, ${process.pid}@`))
      const prefix = queuePrefix(world.config.namespace, 'create-order')
      const step = Buffer.from('create-order').toString('base64')
      const old = new Redis(world.config.queueRedisUrl, {
        connectionName: `${prefix}:${step}:w:bullmq@5.0.0:77@elsewhere`,
      })
      try {
        const bad = await until('the other version', async () => {
          const found = badOf(await examine(world.env))
          return found.size > 0 && found
        })
        expect([...bad.keys()]).to.deep.equal(['BullMQ versions'])
        expect(bad.get('BullMQ versions')?.detail).to.contain('; 5.0.0: 77@elsewhere')
        expect(bad.get('BullMQ versions')?.mend).to.contain('npm ci && npm run build')
      } finally {
        old.disconnect()
      }
    })
  })

  describe('while much is wrong', () => {
    let world: World
    let empty: TestDatabase
    let redis: PrivateRedis
    let env: NodeJS.ProcessEnv
    before(async () => {
      world = await createWorld() // nothing of it is started
      empty = await createEmptyDatabase(serverUrls().DATABASE_URL)
      redis = await startPrivateRedis()
      const client = new Redis(redis.url)
      await client.config('SET', 'maxmemory-policy', 'allkeys-lru')
      await client.config('SET', 'appendonly', 'no')
      await client.config('SET', 'maxmemory', '1mb')
      client.disconnect()
      env = { ...world.env, DATABASE_URL: empty.url, REDIS_URL: redis.url }
    })
    after(async () => {
      await world.close()
      await empty.drop()
      await redis.close()
    })

    it('says each thing in JSON with the command that mends it, and leaves with 1', async () => {
      const { code, stdout } = await runDoctor(env, '--json')
      const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Finding[] }
      expect({ ok, code }).to.deep.equal({ ok: false, code: 1 })
      const bad = badOf(checks)
      const cli = `redis-cli -h 127.0.0.1 -p ${new URL(redis.url).port}`
      const mends: Record<string, string> = {
        migrations: 'npm run migrate',
        'REDIS_URL maxmemory-policy': `${cli} CONFIG SET maxmemory-policy noeviction`,
        'REDIS_URL append-only file': `${cli} CONFIG SET appendonly yes`,
        'REDIS_URL memory': `${cli} CONFIG SET maxmemory 2mb`,
        'workers on create-order': 'npm run workers',
        [`queue ${world.topology.deadQueue}`]: 'npm run workers',
        [`exchange ${world.topology.exchange}`]: 'npm run workers',
        [`API ${world.apiUrl}`]: 'npm start',
        [`dashboard ${world.dashboardUrl}`]: 'npm run dashboard',
        [`workers ${world.workersUrl}`]: 'npm run workers',
      }
      for (const [what, mend] of Object.entries(mends)) expect(bad.get(what)?.mend, what).to.contain(mend)
      expect(bad.get('workers on create-order')?.detail).to.equal('no worker on create-order')
      expect(bad.get('migrations')?.detail).to.match(/^\d+ not applied: \w+/)
      expect([...bad.keys()].filter((what) => what.startsWith('QUEUE_REDIS_URL'))).to.deep.equal([])
    })

    it('changes nothing: no table in an empty database, no exchange at the broker, no key in Redis', async () => {
      const knex = createPostgres({ url: empty.url, applicationName: 'spike-test', poolMax: 1 }, world.log)
      const client = new Redis(redis.url)
      const connection = await connect(world.config.amqpUrl)
      try {
        await examine(env)
        expect(await knex('pg_tables').where({ schemaname: 'public' }).pluck('tablename')).to.deep.equal([])
        expect(await client.dbsize()).to.equal(0)
        const channel = await connection.createChannel()
        const closed = new Promise((resolve) => channel.once('error', resolve))
        await channel.checkExchange(world.topology.exchange).catch(() => undefined)
        expect(await closed).to.match(/NOT_FOUND - no exchange/)
      } finally {
        await connection.close()
        client.disconnect()
        await knex.destroy()
      }
    })

    it('names the queue that was declared with other arguments, and leaves it as it is', async () => {
      const connection = await connect(world.config.amqpUrl)
      const channel = await connection.createChannel()
      const queue = world.topology.queueOf({ key: 'order.created' })
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
      const bad = badOf(await examine(env))
      expect(bad.get(`queue ${queue}`)?.detail).to.contain("'x-")
      expect(bad.get(`queue ${queue}`)?.mend).to.contain(`rabbitmqctl delete_queue ${queue}`)
      expect(bad.get(`queue ${world.topology.deadQueue}`)?.detail, 'was not made').to.equal('missing')
      await channel.checkQueue(queue)
      await connection.close()
    })

    it('names the host of each store that does not answer, and what starts it', async () => {
      const nobody = '127.0.0.1:1'
      const bad = badOf(
        await examine({
          ...world.env,
          DATABASE_URL: `postgres://x:secret@${nobody}/spike`,
          REDIS_URL: `redis://:secret@${nobody}`,
          QUEUE_REDIS_URL: `redis://:secret@${nobody}`,
          AMQP_URL: `amqp://x:secret@${nobody}`,
        }),
      )
      expect(bad.get(`PostgreSQL ${nobody}/spike`)?.mend).to.contain('DATABASE_URL')
      expect(bad.get(`Redis ${nobody} (REDIS_URL)`)?.mend).to.contain('REDIS_URL')
      expect(bad.get(`RabbitMQ ${nobody}`)?.mend).to.contain('AMQP_URL')
      expect(bad.get(`RabbitMQ ${nobody}`)?.detail).to.contain('ECONNREFUSED')
      expect(JSON.stringify([...bad.values()])).to.not.contain('secret')
    })

    it('names the node of RabbitMQ that does not answer, and asks another one for the rest', async () => {
      const nobody = '127.0.0.1:1'
      const { host } = new URL(world.config.amqpUrl)
      const AMQP_URL = world.config.amqpUrl.replace(host, `${nobody},${host}`)
      const findings = await examine({ ...world.env, AMQP_URL })
      expect(badOf(findings).get(`RabbitMQ ${nobody}`)?.detail).to.contain('ECONNREFUSED')
      const good = findings.filter(({ ok }) => ok).map(({ what }) => what)
      expect(good).to.include.members([`RabbitMQ ${host}`, 'RabbitMQ takes messages'])
    })

    it('names every setting that is bad, never its value', async () => {
      const bad = await examine({ ...world.env, PORT: 'harbour', AMQP_URL: '' })
      const settings = bad.filter(({ what }) => what === 'setting').map(({ detail }) => detail)
      expect(settings.join('\n')).to.match(/PORT.*\nAMQP_URL is missing|AMQP_URL is missing.*\nPORT/)
      expect(settings.join('\n')).to.not.contain('harbour')
    })
  })

  it('refuses an option that it does not know in one line, and leaves with 2', async () => {
    const { code, stdout, stderr } = await runDoctor({}, '--jsn')
    expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' })
    expect(stderr).to.match(/^Unknown option '--jsn'[^\n]*\n$/)
  })
})

describe('what the doctor makes of figures', () => {
  it('takes half the round trip off a difference of clocks', () => {
    const clock = (theirs: number, answered = 1_000) => judgeClock('clock', { asked: 0, answered, theirs })
    expect(clock(500).detail).to.equal('0 ms from this machine (± 500; limit 1000)')
    expect([clock(1_990).ok, clock(2_010).ok]).to.deep.equal([true, false])
    expect([clock(-990).ok, clock(-1_010).ok]).to.deep.equal([true, false])
    expect(clock(2_010).mend).to.contain('timedatectl')
  })

  it('finds a disk too full by bytes and by share', () => {
    const GiB = 1024 ** 3
    const disk = (free: number, size: number) =>
      judgeDisk('disk', '/data', { free: free * GiB, size: size * GiB })
    expect([disk(2, 20).ok, disk(0.9, 2).ok, disk(40, 1_000).ok]).to.deep.equal([true, false, false])
    expect(disk(0.9, 2).mend).to.contain('/data')
  })

  it('finds a server too old by number, not by letter', () => {
    const version = (version: string) => checkVersion('broker', 'RabbitMQ', version)
    expect([version('3.10.8').ok, version('3.9.29').ok, version('4.1.0').ok]).to.deep.equal([
      true,
      false,
      true,
    ])
    expect(version('unknown').ok).to.equal(false)
    expect(version('3.9.29').mend).to.contain('RabbitMQ 3.10')
  })
})

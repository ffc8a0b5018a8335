import { once } from 'node:events'
import { createServer } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { startProcess, type ProcessRole } from '../../tools/lib/processes.ts'
import { freePort } from '../../tools/lib/set-up.ts'
import { createEmptyDatabase } from '../support/database.ts'
import { createWorld, serverUrls, type World } from '../support/world.ts'

describe('a process that can not start', () => {
  let world: World
  let logs: string
  before(async () => {
    world = await createWorld()
    logs = mkdtempSync(join(tmpdir(), 'spike-test-logs-'))
  })
  after(async () => {
    rmSync(logs, { recursive: true, force: true })
    await world.close()
  })

  /** Starts it with other settings. @returns what it complained of; a start that works is stopped and told */
  async function complaint(role: ProcessRole, env: NodeJS.ProcessEnv): Promise<string> {
    try {
      const started = await startProcess(role, { ...world.env, ...env }, logs)
      await started.stop()
    } catch (error) {
      return (error as Error).message
    }
    throw new Error(`${role} started`)
  }

  it('names every missing setting at once, a line each', async () => {
    const text = await complaint('api', { DATABASE_URL: '', AMQP_URL: '', JWT_SECRET: '' })
    for (const name of ['DATABASE_URL', 'AMQP_URL', 'JWT_SECRET'])
      expect(text).to.match(new RegExp(`^ *${name} is missing: set it`, 'm'))
    expect(text).not.to.contain('at ')
  })

  for (const [role, setting] of [
    ['api', 'PORT'],
    ['dashboard', 'DASHBOARD_PORT'],
  ] as const)
    it(`says which port is in use and that ${setting} changes it (${role})`, async () => {
      const taken = createServer().listen(0, '127.0.0.1')
      await once(taken, 'listening')
      const { port } = taken.address() as { port: number }
      const text = await complaint(role, { [setting]: String(port) })
      taken.close()
      expect(text).to.equal(
        `${role}: port ${port} is in use: stop the program that holds it, or choose another with ${setting}.`,
      )
    })

  for (const [setting, service, scheme] of [
    ['DATABASE_URL', 'PostgreSQL', 'postgres://u:secret-password@'],
    ['REDIS_URL', 'Redis', 'redis://:secret-password@'],
    ['AMQP_URL', 'RabbitMQ', 'amqp://u:secret-password@'],
  ] as const)
    it(`says in one line that ${service} is down, where it was looked for, and what to do`, async () => {
      const host = `127.0.0.1:${await freePort()}`
      const text = await complaint('api', { [setting]: `${scheme}${host}/` })
      expect(text.split('\n')).to.have.length(1)
      expect(text)
        .to.contain(`${service} at ${host}`)
        .and.to.contain(setting)
        .and.to.contain('npm run doctor')
      expect(text).not.to.contain('secret-password')
    })

  it('says that the workers miss their queue Redis', async () => {
    const host = `127.0.0.1:${await freePort()}`
    const text = await complaint('workers', { QUEUE_REDIS_URL: `redis://${host}` })
    expect(text).to.contain(`Redis at ${host} (QUEUE_REDIS_URL)`)
  })

  it('says to migrate when the database is empty', async () => {
    const empty = await createEmptyDatabase(serverUrls().DATABASE_URL)
    const text = await complaint('api', { DATABASE_URL: empty.url })
    await empty.drop()
    expect(text).to.contain('npm run migrate')
  })

  it('refuses weak secrets outside dev without showing them', async () => {
    const text = await complaint('api', { APP_ENV: 'prod', JWT_SECRET: 'weak-secret' })
    expect(text).to.contain('JWT_SECRET must have at least 32 bytes').and.not.to.contain('weak-secret')
  })
})

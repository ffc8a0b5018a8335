import { expect } from 'chai'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ServiceDied } from '../../tools/services/errors.ts'
import { provideServices, ServicesUnavailable, type ServiceUrls } from '../../tools/services/index.ts'
import { withPorts } from '../../tools/services/ports.ts'

const GIVEN: ServiceUrls = {
  DATABASE_URL: 'postgres://given:1/a',
  REDIS_URL: 'redis://given:2',
  QUEUE_REDIS_URL: 'redis://given:3',
  AMQP_URL: 'amqp://given:4',
}
const LAUNCHER = fileURLToPath(new URL('./launcher.ts', import.meta.url))

describe('provideServices', () => {
  let folder: string
  const log = (): void => {}

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'services-test-'))
    // Else root's services, which run as somebody else, could not be kept in it.
    chmodSync(folder, 0o755)
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  /** A PATH on which docker is what the test says. */
  const pathWithDocker = (script: string): string => {
    writeFileSync(join(folder, 'docker'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return `${folder}:${process.env['PATH'] ?? ''}`
  }

  describe('with URLs in the environment', () => {
    it('uses them as they are and starts nothing', async () => {
      const dataDir = join(folder, 'data')
      const services = await provideServices({ env: { ...GIVEN }, log, dataDir })
      expect(services.urls).to.deep.equal(GIVEN)
      expect(Object.values(services.origins)).to.deep.equal(['given', 'given', 'given', 'given'])
      await services.stop()
      expect(existsSync(dataDir)).to.equal(false)
    })

    it('takes the stock Redis for the queues too when only that one is given', async () => {
      const { QUEUE_REDIS_URL: _, ...env } = GIVEN
      const { urls } = await provideServices({ env, log })
      expect(urls.QUEUE_REDIS_URL).to.equal(GIVEN.REDIS_URL)
    })
  })

  it('names three ways out when nothing is possible', async () => {
    const env = { PATH: folder, DATABASE_URL: GIVEN.DATABASE_URL }
    const error = await provideServices({ env, log, dataDir: join(folder, 'data') }).catch((e: unknown) => e)
    expect(error).to.be.instanceOf(ServicesUnavailable)
    const { message } = error as Error
    expect(message).to.match(/not installed: redis/)
    expect(message).to.match(/1\. give the URLs .*DATABASE_URL, REDIS_URL, QUEUE_REDIS_URL, AMQP_URL/)
    expect(message).to.match(/2\. start a Docker engine/)
    expect(message).to.match(/3\. install the packages: .* redis-server/)
    expect(readdirSync(join(folder, 'data'))).to.deep.equal([])
  })

  it('gives up a start that is aborted', async () => {
    const { REDIS_URL: _, ...given } = GIVEN
    const env = { ...given, PATH: pathWithDocker('[ "$6" = up ] && sleep 20; exit 0') }
    const signal = AbortSignal.timeout(300)
    const error = await provideServices({ env, log, signal, dataDir: join(folder, 'data') }).catch(
      (e: unknown) => e,
    )
    expect(error).to.equal(signal.reason)
    expect(readdirSync(join(folder, 'data'))).to.deep.equal([])
  })

  it('starts what is missing with Docker when an engine answers, and takes it down', async () => {
    const calls = join(folder, 'calls')
    const answer = 'case "$6" in port) echo 127.0.0.1:4321;; esac'
    const { REDIS_URL: _, ...given } = GIVEN
    const env = { ...given, PATH: pathWithDocker(`echo "$@" >> ${calls}; ${answer}`) }
    const services = await provideServices({ env, log, dataDir: join(folder, 'data') })
    expect(services.origins).to.include({ REDIS_URL: 'docker', QUEUE_REDIS_URL: 'given' })
    expect(services.urls.REDIS_URL).to.match(/^redis:\/\/:[0-9a-f]{36}@127\.0\.0\.1:4321$/)
    await services.stop()
    const commands = readFileSync(calls, 'utf8')
      .replaceAll(/compose -p (run-\d+-\w+) -f \S+/g, 'compose')
      .trim()
    const expected = ['info', 'compose version', 'compose up -d --wait', 'compose port redis 6379']
    expect(commands.split('\n')).to.deep.equal([...expected, 'compose down -v --timeout 5'])
  })

  describe('with private instances', function () {
    this.timeout(60_000)
    let launcher: ChildProcess | undefined
    afterEach(() => launcher?.kill('SIGKILL'))

    for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const) {
      it(`ends them and removes their folder when the launcher gets ${signal}`, async function () {
        const { REDIS_URL: _, ...given } = GIVEN
        const env = { ...process.env, ...given, REDIS_URL: '', PATH: pathWithDocker('exit 1') }
        launcher = spawn(process.execPath, ['--import', 'tsx', LAUNCHER], {
          env,
          stdio: ['ignore', 'pipe', 'ignore'],
        })
        const url = await firstLine(launcher)
        if (url === undefined) return this.skip() // No Redis to be had on this machine.
        const redis = new Redis(url, { retryStrategy: () => null })
        redis.on('error', () => {})
        const config = await redis.config('GET', 'dir')
        const instance = dirname(config[1] ?? '')
        expect(existsSync(instance)).to.equal(true)
        const ended = once(redis, 'end')
        launcher.kill(signal)
        await ended
        await until(() => !existsSync(instance))
      })
    }
  })
})

describe('withPorts', () => {
  it('tries other ports when a service lost its port to somebody else', async () => {
    const tried: number[] = []
    const port = await withPorts(1, async ([one = 0]) => {
      tried.push(one)
      if (tried.length === 1) throw new ServiceDied('bind: Address already in use')
      return one
    })
    expect(tried).to.have.length(2)
    expect(port).to.equal(tried[1])
  })

  it('does not try again when the service died of something else', async () => {
    let attempts = 0
    const attempt = async (): Promise<never> => {
      attempts++
      throw new ServiceDied('no space left on device')
    }
    const error = await withPorts(1, attempt).catch((e: unknown) => e)
    expect(error).to.be.instanceOf(ServiceDied)
    expect(attempts).to.equal(1)
  })
})

async function firstLine(child: ChildProcess): Promise<string | undefined> {
  if (child.stdout === null) return undefined
  for await (const line of createInterface({ input: child.stdout })) return line
  return undefined
}

async function until(condition: () => boolean): Promise<void> {
  for (let left = 200; left > 0; left--) {
    if (condition()) return
    await sleep(50)
  }
  expect.fail('it did not come true')
}

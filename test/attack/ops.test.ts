import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectAmqp } from 'amqplib'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { describe } from 'mocha'
import { Client } from 'pg'
import { provideServices } from '../../tools/services/index.ts'
import { attack } from '../support/attack.ts'
import { serverUrls } from '../support/world.ts'

const ROOT = new URL('../../', import.meta.url)
const read = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8')
const LOOPBACK = /^(127\.|::1$|localhost$)/

const urlOf = (name: string): URL => new URL(serverUrls()[name as keyof ReturnType<typeof serverUrls>])

/** Addresses of this machine that others can reach. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .filter(({ internal, scopeid }) => !internal && !scopeid)
  .map(({ address }) => address)

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, timeout: 2_000 })
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.on('connect', () => end(true))
    socket.on('error', () => end(false))
    socket.on('timeout', () => end(false))
  })
}

/** Text of the error that a login ends with; undefined when it succeeds. */
async function failureOf(login: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await login()
    return undefined
  } catch (error) {
    return `${(error as { code?: string }).code ?? ''} ${(error as Error).message}`
  }
}

/** A server that is ours alone takes nothing from elsewhere; another one wants a password. */
async function expectShut({ hostname, port, password }: URL): Promise<void> {
  if (!LOOPBACK.test(hostname)) expect(password, hostname).to.not.equal('')
  else
    for (const address of outside)
      expect(await answers(address, Number(port)), `${port} on ${address}`).to.equal(false)
}

async function redisLogin(url: URL, password: string | undefined): Promise<string | undefined> {
  const redis = new Redis({
    host: url.hostname,
    port: Number(url.port),
    ...(password === undefined ? {} : { password }),
    lazyConnect: true,
    retryStrategy: () => null,
  })
  redis.on('error', () => undefined)
  try {
    return await failureOf(() => redis.config('GET', 'dir'))
  } finally {
    redis.disconnect()
  }
}

describe('attacks on the services behind', () => {
  attack(
    'the ports of stores and broker from outside this machine: closed, or a password is wanted',
    async () => {
      for (const url of Object.values(serverUrls())) await expectShut(new URL(url))
    },
  )

  for (const name of ['REDIS_URL', 'QUEUE_REDIS_URL'])
    attack(`the Redis of ${name} without a password, or with a wrong one: refused`, async () => {
      const url = urlOf(name)
      if (url.password === '') return expectShut(url)
      expect(await redisLogin(url, undefined)).to.include('NOAUTH')
      for (const password of ['spike', 'redis', `${url.password}x`])
        expect(await redisLogin(url, password)).to.match(/WRONGPASS|NOAUTH/)
    })

  attack('PostgreSQL without a password, with a wrong one, or as postgres: refused', async () => {
    const url = urlOf('DATABASE_URL')
    if (url.password === '') return expectShut(url)
    for (const [user, password] of [
      [url.username, ''],
      [url.username, url.username],
      [url.username, 'spike-dev-password-'],
      ['postgres', ''],
      ['postgres', 'postgres'],
    ] as const) {
      const client = new Client({
        host: url.hostname,
        port: Number(url.port),
        database: url.pathname.slice(1),
        user,
        password,
      })
      const failure = await failureOf(() => client.connect())
      await client.end().catch(() => undefined)
      expect(failure, user).to.match(/28P01|28000|SASL|password/)
    }
  })

  attack('RabbitMQ as guest, or with a wrong password: refused', async () => {
    const url = urlOf('AMQP_URL')
    const guesses = ['guest:guest', `${url.username}:guest`, `${url.username}:`, 'admin:admin', 'spike:spike']
    for (const guess of guesses.filter((guess) => guess !== `${url.username}:${url.password}`)) {
      const forged = `amqp://${guess}@${url.host}`
      const failure = await failureOf(async () => (await connectAmqp(forged)).close())
      expect(failure, guess).to.match(/ACCESS.REFUSED|403|closed/i)
    }
  })
})

describe('attacks on what is shipped', () => {
  attack('the ports of docker-compose.yml: on loopback only, stores on none', async () => {
    const compose = read('docker-compose.yml')
    const published = [...compose.matchAll(/^ +ports: (.*)$/gm)].map((match) => match[1] ?? '')
    expect(published).to.have.length(7)
    for (const ports of published) expect(ports).to.match(/^\['127\.0\.0\.1:[^,]*'\]$/)
    expect(compose.match(/ports/g), 'in another form').to.have.length(published.length)
    for (const store of ['postgres', 'redis', 'queue-redis']) {
      const block = new RegExp(`^  ${store}:\\n((?:    .*\\n|\\n)+)`, 'm').exec(compose)?.[1] ?? ''
      expect(block, store)
        .to.match(/volumes/)
        .and.to.not.match(/ports/)
    }
    expect(compose).to.not.match(/network_mode|privileged|guest/)
  })

  attack(
    'docker-compose.yml started with secrets that everybody knows: it wants them to be set',
    async () => {
      const compose = read('docker-compose.yml')
      for (const name of ['JWT_SECRET', 'PAYMENT_SECRET']) expect(compose).to.include(`${name}: \${${name}:?`)
      expect(read('.env.example'))
        .to.match(/^JWT_SECRET=$/m)
        .and.to.match(/^PAYMENT_SECRET=$/m)
    },
  )

  attack('containers that `npm run stack` starts: on loopback, each with a password of its own', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'spike-attack-'))
    try {
      const seen = join(folder, 'compose.json')
      const script = `#!/bin/sh\ncase "$4" in -f) cp "$5" ${seen};; esac\ncase "$6" in port) echo 127.0.0.1:4321;; esac\n`
      writeFileSync(join(folder, 'docker'), script, { mode: 0o755 })
      const env = { PATH: `${folder}:${process.env.PATH}` }
      const services = await provideServices({ env, log: () => undefined, dataDir: join(folder, 'data') })
      await services.stop()
      const { services: containers } = JSON.parse(readFileSync(seen, 'utf8')) as {
        services: Record<string, { ports: string[]; environment?: object; command?: string[] }>
      }
      expect(Object.keys(containers)).to.have.length(4)
      for (const [name, { ports, ...rest }] of Object.entries(containers)) {
        for (const port of ports) expect(port, name).to.match(/^127\.0\.0\.1::\d+$/)
        expect(JSON.stringify(rest), name).to.match(/"[0-9a-f]{36}"/)
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  attack('secrets in the image: .env, data and history are left out, and nothing runs as root', async () => {
    expect(read('.dockerignore').split('\n')).to.include.members(['.git', '.data', '.env'])
    expect(read('.gitignore').split('\n')).to.include.members(['.data/', '.env'])
    const dockerfile = read('Dockerfile')
    expect(dockerfile).to.not.match(/^ADD|SECRET|PASSWORD/m)
    const last = dockerfile.slice(dockerfile.lastIndexOf('FROM'))
    expect(last).to.match(/^USER node$/m)
    expect(last).to.not.match(/^COPY \./m)
  })

  attack(
    'packages that change under the same version: versions are exact, and each has its hash',
    async () => {
      const { dependencies, devDependencies } = JSON.parse(read('package.json'))
      for (const [name, version] of Object.entries<string>({ ...dependencies, ...devDependencies }))
        expect(version, name).to.match(/^(npm:\w+@)?\d+\.\d+\.\d+$/)
      const { packages } = JSON.parse(read('package-lock.json')) as {
        packages: Record<string, { integrity?: string; optional?: boolean; resolved?: string }>
      }
      for (const [path, { integrity, optional, resolved }] of Object.entries(packages)) {
        // Binaries for other platforms have none where the lock file was written on a machine that never fetched them.
        if (path !== '' && !(optional && integrity === undefined))
          expect(integrity, path).to.match(/^sha512-/)
        if (resolved !== undefined) expect(resolved).to.match(/^https:\/\/registry\.npmjs\.org\//)
      }
    },
  )
})

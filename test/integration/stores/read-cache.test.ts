import { randomBytes, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createLogger, type Logger } from '../../../src/platform/logger.ts'
import { createRedis } from '../../../src/platform/redis/client.ts'
import { ReadCache, type Lookup } from '../../../src/platform/redis/read-cache.ts'
import type { RedisClient } from '../../../src/platform/redis/nodes.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { serverUrls } from '../../support/world.ts'

interface Row {
  version: number
  text: string
}

const row = (version: number, text = `text of ${version}`): Row => ({ version, text })

/** A promise and how to fulfil it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

describe('the read cache', () => {
  const { REDIS_URL } = serverUrls()
  const silent = createLogger('test', 'silent')
  const clients: RedisClient[] = []
  let redis: RedisClient
  let prefix: string
  /** The source: what it holds, and how often it was read. */
  let source: Map<string, Row>
  let loads: number

  before(() => {
    redis = connect()
  })
  beforeEach(() => {
    prefix = `test-${randomBytes(6).toString('hex')}:cache:row`
    source = new Map()
    loads = 0
  })
  after(() => clients.forEach((client) => client.disconnect()))

  function connect(url = REDIS_URL): RedisClient {
    const client = createRedis(url, 'spike-test', silent)
    clients.push(client)
    return client
  }

  /** The cache of one process. @param waitFor holds every load back after it has read the source */
  function process(options: { client?: RedisClient; waitFor?: Promise<void>; log?: Logger } = {}) {
    const lookups: Record<Lookup, number> = { hit: 0, miss: 0, failure: 0 }
    const cache = new ReadCache<Row>({
      redis: options.client ?? redis,
      prefix,
      log: options.log ?? silent,
      onLookup: (result) => lookups[result]++,
      load: async (id) => {
        loads++
        const found = source.get(id)
        await options.waitFor
        return found
      },
    })
    return { cache, lookups }
  }

  const keptKeys = () => redis.keys(`${prefix}:*`)

  it('asks the source once and Redis from then on, in every process', async () => {
    const id = randomUUID()
    source.set(id, row(1, '<b>‮𝒻𝓁𝒶𝓈𝒽​ 秒杀 🚀</b> "\\ \u2028'))
    const [one, two] = [process(), process({ client: connect() })]
    for (const { cache } of [one, one, two]) expect(await cache.read(id)).to.deep.equal(source.get(id))
    expect(loads).to.equal(1)
    expect(one.lookups).to.deep.equal({ hit: 1, miss: 1, failure: 0 })
    expect(two.lookups).to.deep.equal({ hit: 1, miss: 0, failure: 0 })
  })

  it('keeps values for 24 to 30 s, not all for the same time', async () => {
    const { cache } = process()
    const ids = Array.from({ length: 30 }, () => randomUUID())
    for (const id of ids) source.set(id, row(1))
    await Promise.all(ids.map((id) => cache.read(id)))
    const times = await Promise.all((await keptKeys()).map((key) => redis.pttl(key)))
    expect(times).to.have.length(30)
    for (const time of times) expect(time).to.be.within(20_000, 30_000)
    expect(Math.max(...times) - Math.min(...times)).to.be.greaterThan(500)
  })

  it('keeps nothing of ids that do not exist', async () => {
    const { cache, lookups } = process()
    for (let i = 0; i < 50; i++) expect(await cache.read(randomUUID())).to.equal(undefined)
    expect(await keptKeys()).to.deep.equal([])
    expect(lookups).to.deep.equal({ hit: 0, miss: 50, failure: 0 })
  })

  it('shares one load among all who wait in a process, and at most one load for each process', async () => {
    const id = randomUUID()
    source.set(id, row(1))
    const { opened, open } = gate()
    const processes = Array.from({ length: 3 }, () => process({ client: connect(), waitFor: opened }))
    const reads = processes.flatMap(({ cache }) => Array.from({ length: 100 }, () => cache.read(id)))
    await until('every process to load', () => loads === 3)
    await until('all readers to have missed', () => processes.every(({ lookups }) => lookups.miss === 100))
    open()
    for (const value of await Promise.all(reads)) expect(value).to.deep.equal(row(1))
    expect(loads).to.equal(3)
  })

  it('gives a load that fails to all who wait for it, and tries again for the next', async () => {
    const id = randomUUID()
    let fails = true
    const cache = new ReadCache<Row>({
      redis,
      prefix,
      log: silent,
      load: async () => {
        loads++
        if (fails) throw new Error('source is down')
        return row(1)
      },
    })
    const reads = await Promise.allSettled([cache.read(id), cache.read(id)])
    expect(reads.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected'])
    expect(loads).to.equal(1)
    fails = false
    expect(await cache.read(id)).to.deep.equal(row(1))
  })

  it('shows a write to every process at once', async () => {
    const id = randomUUID()
    const [reader, writer] = [process({ client: connect() }), process()]
    source.set(id, row(1))
    for (let version = 2; version < 20; version++) {
      await reader.cache.read(id)
      source.set(id, row(version))
      await writer.cache.put(id, row(version))
      expect(await reader.cache.read(id)).to.deep.equal(row(version))
    }
    expect(loads).to.equal(1)
  })

  it('shows a deletion to every process at once, without the source', async () => {
    const id = randomUUID()
    const [reader, writer] = [process({ client: connect() }), process()]
    source.set(id, row(1))
    await reader.cache.read(id)
    source.delete(id)
    await writer.cache.remove(id, 2)
    expect(await reader.cache.read(id)).to.equal(undefined)
    expect(loads).to.equal(1)
  })

  for (const [change, write, seen] of [
    ['write', (cache: ReadCache<Row>, id: string) => cache.put(id, row(2)), row(2)],
    ['deletion', (cache: ReadCache<Row>, id: string) => cache.remove(id, 2), undefined],
  ] as const)
    it(`does not let a reader that comes late with the old row undo a ${change}`, async () => {
      const id = randomUUID()
      source.set(id, row(1))
      const { opened, open } = gate()
      const [slow, writer] = [process({ client: connect(), waitFor: opened }), process()]
      const late = slow.cache.read(id)
      await until('the old row to be read', () => loads === 1)
      source.delete(id)
      if (seen !== undefined) source.set(id, seen)
      await write(writer.cache, id)
      open()
      expect(await late).to.deep.equal(row(1))
      for (const { cache } of [slow, writer, process()]) expect(await cache.read(id)).to.deep.equal(seen)
      expect(loads).to.equal(1)
    })

  it('takes what it can not read as missing, and puts it right', async () => {
    const { cache, lookups } = process()
    for (const text of ['', 'nonsense', '1', '1 {"half":', '{"version":1}']) {
      const id = randomUUID()
      source.set(id, row(1))
      await redis.set(`${prefix}:${id}`, text, 'EX', 60)
      expect(await cache.read(id), text).to.deep.equal(row(1))
      expect(await redis.get(`${prefix}:${id}`)).to.equal(`1 ${JSON.stringify(row(1))}`)
    }
    expect(lookups).to.deep.equal({ hit: 0, miss: 5, failure: 0 })
  })

  it('is right in any interleaving of first reads and a write', async () => {
    const turns = async (): Promise<void> => {
      for (let n = Math.random() * 12; n > 0; n--) await new Promise(setImmediate)
    }
    const writer = process()
    const readers = Array.from({ length: 4 }, () => {
      const client = connect()
      return () => process({ client, waitFor: turns() }).cache
    })
    const race = async (): Promise<void> => {
      const id = randomUUID()
      source.set(id, row(1))
      let written = false
      const reads = readers.map(async (newProcess) => {
        const cache = newProcess()
        await turns()
        const after = written
        const seen = await cache.read(id)
        expect(seen?.version).to.be.at.least(after ? 2 : 1)
        return cache
      })
      await turns()
      source.set(id, row(2))
      await writer.cache.put(id, row(2))
      written = true
      for (const cache of await Promise.all(reads)) expect(await cache.read(id)).to.deep.equal(row(2))
    }
    await Promise.all(Array.from({ length: 200 }, race))
  })

  describe('while Redis is away', () => {
    let proxy: Proxy
    beforeEach(async () => {
      proxy = await Proxy.before(REDIS_URL)
    })

    for (const [how, away] of [
      ['refuses connections', () => proxy.cut()],
      ['is silent', async () => proxy.fallSilent()],
    ] as const)
      it(`reads the source, writes on, says so once, and works again afterwards (${how})`, async () => {
        const lines: string[] = []
        const log = createLogger('test', 'info')
        log.warn = log.info = (_fields: unknown, message?: string) => void lines.push(message ?? '')
        const client = connect(proxy.urlOf(REDIS_URL))
        const { cache, lookups } = process({ client, log })
        const id = randomUUID()
        source.set(id, row(1))
        await cache.read(id)
        await away()
        for (let i = 0; i < 20; i++) expect(await cache.read(id)).to.deep.equal(row(1))
        source.set(id, row(2))
        await cache.put(id, row(2))
        expect(await cache.read(randomUUID())).to.equal(undefined)
        expect(await cache.read(id)).to.deep.equal(row(2))
        expect(lookups).to.deep.equal({ hit: 0, miss: 1, failure: 22 })
        expect(lines).to.deep.equal(['cache failed, reads go to the source'])

        await proxy.restore()
        await until('a hit', async () => {
          await cache.read(id)
          return lookups.hit > 0
        })
        expect(lines).to.deep.equal(['cache failed, reads go to the source', 'cache works again'])
        client.disconnect()
        await proxy.cut()
      })

    it('makes few requests wait for a Redis that is silent', async () => {
      const client = connect(proxy.urlOf(REDIS_URL))
      const { cache } = process({ client })
      const id = randomUUID()
      source.set(id, row(1))
      await cache.read(id)
      proxy.fallSilent()
      await cache.read(id)
      const begun = performance.now()
      for (let i = 0; i < 100; i++) await cache.read(id)
      expect(performance.now() - begun).to.be.below(200)
      client.disconnect()
      await proxy.cut()
    })
  })
})

import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createLogger } from '../../src/platform/logger.ts'
import { createRedis } from '../../src/platform/redis/client.ts'
import { loadScripts, type Scripts } from '../../src/platform/redis/define-script.ts'
import { cacheScripts } from '../../src/platform/redis/read-cache.ts'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import { serverUrls } from '../support/world.ts'

describe('store-if-newer.lua', () => {
  let redis: RedisClient
  let scripts: Scripts<typeof cacheScripts>
  const keys: string[] = []
  before(() => {
    redis = createRedis(serverUrls().REDIS_URL, 'spike-test', createLogger('test', 'silent'))
    scripts = loadScripts(redis, cacheScripts)
  })
  after(async () => {
    await redis.unlink(...keys)
    redis.disconnect()
  })

  function newKey(): string {
    const key = `test-${randomBytes(6).toString('hex')}:cache:1`
    keys.push(key)
    return key
  }
  const store = (key: string, version: number, text = `text of ${version}`, ttlMs = 60_000) =>
    scripts.storeIfNewer({ key, version, text, ttlMs })

  it('keeps the first value, with its time to live', async () => {
    const key = newKey()
    expect(await store(key, 7, 'any "text" ≠ 秒杀 🚀')).to.equal('STORED')
    expect(await redis.get(key)).to.equal('7 any "text" ≠ 秒杀 🚀')
    expect(await redis.pttl(key)).to.be.within(50_000, 60_000)
  })

  it('replaces an older version and the same one, and begins their time anew', async () => {
    const key = newKey()
    await store(key, 9, 'old', 30_000)
    expect(await store(key, 10)).to.equal('STORED')
    expect(await redis.get(key)).to.equal('10 text of 10')
    expect(await store(key, 10, 'again')).to.equal('STORED')
    expect(await redis.get(key)).to.equal('10 again')
    expect(await redis.pttl(key)).to.be.within(50_000, 60_000)
  })

  it('leaves a newer version alone, and its time too', async () => {
    const key = newKey()
    await store(key, 10, 'newer', 30_000)
    for (const version of [9, 1, 0]) expect(await store(key, version)).to.equal('NEWER')
    expect(await redis.get(key)).to.equal('10 newer')
    expect(await redis.pttl(key)).to.be.at.most(30_000)
  })

  it('keeps an empty text against an older version', async () => {
    const key = newKey()
    await store(key, 3, '')
    expect(await store(key, 2)).to.equal('NEWER')
    expect(await redis.get(key)).to.equal('3 ')
  })

  it('replaces a text that no version stands in front of', async () => {
    for (const text of ['', 'nonsense', '99', 'x 99 y', '-5 x', '1e9 x']) {
      const key = newKey()
      await redis.set(key, text)
      expect(await store(key, 1), text).to.equal('STORED')
      expect(await redis.get(key)).to.equal('1 text of 1')
    }
  })

  it('fails on a key of a wrong type, and changes nothing', async () => {
    const key = newKey()
    await redis.hset(key, 'a', 'b')
    const failure = await store(key, 1).catch((error: unknown) => error)
    expect(failure).to.be.an('error').with.property('message').that.includes('WRONGTYPE')
    expect(await redis.hgetall(key)).to.deep.equal({ a: 'b' })
  })

  it('ends with the highest version, whatever the order of many writers', async () => {
    const key = newKey()
    const versions = Array.from({ length: 200 }, (_, i) => ((i * 83) % 200) + 1)
    await Promise.all(versions.map((version) => store(key, version)))
    expect(await redis.get(key)).to.equal('200 text of 200')
  })
})

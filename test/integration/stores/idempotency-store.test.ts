import { readFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { idempotencyScripts, IdempotencyStore, type Begun } from '../../../src/platform/idempotency/store.ts'
import { readHeader } from '../../../src/platform/redis/define-script.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the store of idempotency keys', () => {
  let world: World
  let store: IdempotencyStore
  let key: string

  before(async () => {
    world = await createWorld()
    store = new IdempotencyStore(world.redis, world.config.namespace)
  })
  after(() => world.close())
  beforeEach(() => (key = randomUUID()))

  const redisKey = () => `${world.config.namespace}:idem:${key}`
  async function begin(fingerprint = 'f'): Promise<string> {
    const begun: Begun = await store.begin(key, fingerprint)
    if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`)
    return begun.token
  }

  it('begins once, and tells what became of it', async () => {
    const token = await begin()
    expect(await store.begin(key, 'f')).to.deep.equal({ kind: 'under_way' })
    expect(await store.begin(key, 'other')).to.deep.equal({ kind: 'differs' })
    expect(await store.finish(key, token, '{"status":201}')).to.equal(true)
    expect(await store.begin(key, 'f')).to.deep.equal({ kind: 'done', reply: '{"status":201}' })
    expect(await store.begin(key, 'other')).to.deep.equal({ kind: 'differs' })
  })

  it('sets a key free for any request', async () => {
    const token = await begin()
    expect(await store.abandon(key, token)).to.equal(true)
    expect(await world.redis.exists(redisKey())).to.equal(0)
    await begin('other')
  })

  it('lets nobody settle a mark that is not theirs: one that ended, was taken over, or is done', async () => {
    const late = await begin()
    await world.redis.pexpire(redisKey(), 1)
    while ((await world.redis.exists(redisKey())) === 1);
    expect(await store.finish(key, late, 'late')).to.equal(false)
    expect(await world.redis.exists(redisKey())).to.equal(0)

    const successor = await begin()
    expect(await store.abandon(key, late)).to.equal(false)
    expect(await store.finish(key, late, 'late')).to.equal(false)
    expect(await store.begin(key, 'f')).to.deep.equal({ kind: 'under_way' })
    expect(await store.finish(key, successor, 'right')).to.equal(true)
    for (const token of [late, successor]) {
      expect(await store.finish(key, token, 'again')).to.equal(false)
      expect(await store.abandon(key, token)).to.equal(false)
    }
    expect(await store.begin(key, 'f')).to.deep.equal({ kind: 'done', reply: 'right' })
  })

  it('keeps a mark for a minute and a reply for a day', async () => {
    const token = await begin()
    expect(await world.redis.pttl(redisKey())).to.be.within(59_000, 60_000)
    await store.finish(key, token, 'x')
    expect(await world.redis.pttl(redisKey())).to.be.within(86_399_000, 86_400_000)
  })

  it('has scripts whose headers say what they take, and understands no other words', () => {
    for (const { file, keys, args, decode } of Object.values(idempotencyScripts)) {
      const input = { key: 'k', token: 't', fingerprint: 'f', reply: 'r' }
      const header = readHeader(readFileSync(file, 'utf8'))
      expect({ keys: keys(input).length, args: args(input).length }).to.deep.equal(header)
      expect(() => decode(['WHAT'])).to.throw('unknown reply WHAT')
    }
  })
})

import { readFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import {
  idempotencyScripts,
  IdempotencyStore,
  KEYS_PER_USER,
  REPLY_BYTES,
  type Begun,
  type Place,
} from '../../../src/platform/idempotency/store.ts'
import { loadScripts, readHeader } from '../../../src/platform/redis/define-script.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the store of idempotency keys', () => {
  let world: World
  let store: IdempotencyStore
  let place: Place

  before(async () => {
    world = await createWorld()
    store = new IdempotencyStore(world.redis, world.config.namespace)
  })
  after(() => world.close())
  beforeEach(() => (place = { userId: randomUUID(), key: 'key' }))

  const userKey = () => `${world.config.namespace}:idem:{${place.userId}}`
  const redisKey = () => `${userKey()}:key`
  const listKey = () => `${userKey()}:list`
  async function begin(fingerprint = 'f'): Promise<string> {
    const begun: Begun = await store.begin(place, fingerprint)
    if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`)
    return begun.token
  }

  it('begins once, and tells what became of it', async () => {
    const token = await begin()
    expect(await store.begin(place, 'f')).to.deep.equal({ kind: 'under_way' })
    expect(await store.begin(place, 'other')).to.deep.equal({ kind: 'differs' })
    expect(await store.finish(place, token, '{"status":201}')).to.equal(true)
    expect(await store.begin(place, 'f')).to.deep.equal({ kind: 'done', reply: '{"status":201}' })
    expect(await store.begin(place, 'other')).to.deep.equal({ kind: 'differs' })
  })

  it('sets a key free for any request', async () => {
    const token = await begin()
    expect(await store.abandon(place, token)).to.equal(true)
    expect(await world.redis.exists(redisKey())).to.equal(0)
    await begin('other')
  })

  it('lets nobody settle a mark that is not theirs: one that ended, was taken over, or is done', async () => {
    const late = await begin()
    await world.redis.pexpire(redisKey(), 1)
    while ((await world.redis.exists(redisKey())) === 1);
    expect(await store.finish(place, late, 'late')).to.equal(false)
    expect(await world.redis.exists(redisKey())).to.equal(0)

    const successor = await begin()
    expect(await store.abandon(place, late)).to.equal(false)
    expect(await store.finish(place, late, 'late')).to.equal(false)
    expect(await store.begin(place, 'f')).to.deep.equal({ kind: 'under_way' })
    expect(await store.finish(place, successor, 'right')).to.equal(true)
    for (const token of [late, successor]) {
      expect(await store.finish(place, token, 'again')).to.equal(false)
      expect(await store.abandon(place, token)).to.equal(false)
    }
    expect(await store.begin(place, 'f')).to.deep.equal({ kind: 'done', reply: 'right' })
  })

  it('keeps a mark for a minute and a reply for a day', async () => {
    const token = await begin()
    expect(await world.redis.pttl(redisKey())).to.be.within(59_000, 60_000)
    await store.finish(place, token, 'x')
    expect(await world.redis.pttl(redisKey())).to.be.within(86_399_000, 86_400_000)
  })

  it('begins once for a command that is sent again, because its answer was lost', async () => {
    const scripts = loadScripts(world.redis, idempotencyScripts)
    const again = { mark: redisKey(), list: listKey(), token: 'mine', fingerprint: 'f' }
    for (let i = 0; i < 2; i++) expect(await scripts.begin(again)).to.deep.equal({ kind: 'begun' })
    expect(await world.redis.zcard(listKey())).to.equal(1)
    expect(await scripts.begin({ ...again, token: 'other' })).to.deep.equal({ kind: 'under_way' })
    expect(await store.finish(place, 'mine', 'done')).to.equal(true)
    expect(await scripts.begin(again)).to.deep.equal({ kind: 'done', reply: 'done' })
  })

  it('lets a user have 1,000 keys at a time, and others have theirs', async () => {
    const { userId } = place
    const tokens = await Promise.all(
      Array.from({ length: KEYS_PER_USER }, async (_, i) => {
        const begun = await store.begin({ userId, key: `key ${i}` }, 'f')
        return begun.kind === 'begun' ? begun.token : ''
      }),
    )
    expect(tokens).to.not.include('')
    for (const [i, token] of tokens.entries()) await store.finish({ userId, key: `key ${i}` }, token, 'kept')
    const refused = await store.begin(place, 'f')
    expect(refused.kind).to.equal('too_many')
    if (refused.kind === 'too_many') expect(refused.freeInMs).to.be.within(86_000_000, 86_400_000)
    expect(await world.redis.exists(redisKey())).to.equal(0)
    expect(await store.begin({ userId, key: 'key 7' }, 'f')).to.deep.equal({ kind: 'done', reply: 'kept' })
    expect((await store.begin({ ...place, userId: randomUUID() }, 'f')).kind).to.equal('begun')

    // The first that ends makes room for one.
    await world.redis.zadd(listKey(), Date.now() - 1_000, tokens[7] ?? '')
    const token = await begin()
    const next = { userId, key: 'next' }
    expect((await store.begin(next, 'f')).kind).to.equal('too_many')
    expect(await store.abandon(place, token)).to.equal(true)
    expect((await store.begin(next, 'f')).kind).to.equal('begun')
  })

  it('counts a long reply as several keys, so that nobody fills Redis with them', async () => {
    const { userId } = place
    const reply = 'x'.repeat(100 * REPLY_BYTES)
    let kept = 0
    for (; ; kept++) {
      const long = { userId, key: `long ${kept}` }
      const begun = await store.begin(long, 'f')
      if (begun.kind !== 'begun') {
        expect(begun.kind).to.equal('too_many')
        break
      }
      expect(await store.finish(long, begun.token, reply)).to.equal(true)
    }
    expect(kept).to.equal(Math.ceil(KEYS_PER_USER / 101))
    expect(await store.begin({ userId, key: 'long 3' }, 'f')).to.deep.equal({ kind: 'done', reply })
    expect(await world.redis.memory('USAGE', listKey())).to.be.below(KEYS_PER_USER * REPLY_BYTES)
    await world.redis.zremrangebyrank(listKey(), 0, 100) // as many as one of them counts for, as if it had ended
    expect((await store.begin(place, 'f')).kind).to.equal('begun')
  })

  it('forgets with the last key of a user that there was one', async () => {
    const token = await begin()
    expect(await world.redis.pttl(listKey())).to.be.within(86_399_000, 86_400_000)
    expect(Number(await world.redis.zscore(listKey(), token)) - Date.now()).to.be.within(55_000, 65_000)
    await store.finish(place, token, 'x')
    expect(Number(await world.redis.zscore(listKey(), token)) - Date.now()).to.be.within(
      86_395_000,
      86_405_000,
    )
    const freed = { ...place, userId: randomUUID() }
    const begun = await store.begin(freed, 'f')
    if (begun.kind === 'begun') await store.abandon(freed, begun.token)
    expect(await world.redis.keys(`${world.config.namespace}:idem:{${freed.userId}}*`)).to.deep.equal([])
  })

  it('has scripts whose headers say what they take, and understands no other words', () => {
    for (const { file, keys, args, decode } of Object.values(idempotencyScripts)) {
      const input = { mark: 'm', list: 'l', token: 't', fingerprint: 'f', reply: 'r' }
      const header = readHeader(readFileSync(file, 'utf8'))
      expect({ keys: keys(input).length, args: args(input).length }).to.deep.equal(header)
      expect(() => decode(['WHAT'])).to.throw('unknown reply WHAT')
    }
  })
})

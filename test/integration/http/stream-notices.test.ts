import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { after, afterEach, before, describe, it } from 'mocha'
import { createSubscriberRedis } from '../../../src/platform/redis/client.ts'
import { Subscriber } from '../../../src/platform/redis/subscriber.ts'
import { newRid } from '../../support/rids.ts'
import { Tracker, type Tracking } from '../../../src/track.ts'
import { Watcher } from '../../../src/watch.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import { createSale } from '../../factories/sales.ts'
import { expectNoSubscriber, subscribers } from '../../support/streams.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const NEVER_MS = 3_600_000

describe('watching reservations', () => {
  let world: World
  const cleanUps: (() => void)[] = []

  before(async () => {
    world = await createWorld()
  })
  afterEach(() => cleanUps.splice(0).forEach((clean) => clean()))
  after(() => world.close())

  function watcherOn(url: string, beatMs: number): { watcher: Watcher; listening: Redis } {
    const { log } = world
    const listening = createSubscriberRedis(url, 'spike-test subscriber', log)
    const watcher = new Watcher({
      tracker: new Tracker({ ...world, backlog: async () => 0 }),
      subscriber: new SlowSubscriber(listening, log),
      log,
      beatMs,
    })
    cleanUps.push(() => {
      watcher.stop()
      listening.disconnect()
    })
    return { watcher, listening }
  }

  /** Lets something happen between the first look and the subscription. */
  let beforeJoined: () => Promise<void> = async () => undefined
  class SlowSubscriber extends Subscriber {
    override async join(...args: Parameters<Subscriber['join']>) {
      await beforeJoined()
      return super.join(...args)
    }
  }

  async function held(
    eventId: string,
    userId: string = randomUUID(),
  ): Promise<{ rid: string; userId: string }> {
    const rid = newRid(eventId)
    await world.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: 'test' })
    return { rid, userId }
  }

  /** What a listener was told. */
  class Notes {
    readonly told: Tracking['status'][] = []
    beats = 0
    ends = 0
    changed = ({ status }: Tracking) => void this.told.push(status)
    beat = () => void this.beats++
    ended = () => void this.ends++
  }

  /** Changes a record without a word on the channel. */
  async function queueSilently(eventId: string, rid: string): Promise<void> {
    const key = `{spike:${eventId}}:states`
    const record = await world.redis.hget(key, rid)
    await world.redis.hset(key, rid, record?.replace('held|', 'queued|') ?? '')
  }

  it('misses nothing that happens before its subscription stands', async () => {
    const eventId = await createSale(world)
    const { rid, userId } = await held(eventId)
    const notes = new Notes()
    const { watcher } = watcherOn(world.config.redisUrl, NEVER_MS)
    beforeJoined = async () => void (await world.scripts.markQueued([{ eventId, rids: [rid] }]))
    cleanUps.push(() => (beforeJoined = async () => undefined))
    await watcher.watch(rid, userId, notes)
    expect(notes.told).to.deep.equal(['reserving', 'queued'])
  })

  it('looks again at every beat, because a notice may be lost', async () => {
    const eventId = await createSale(world)
    const { rid, userId } = await held(eventId)
    const notes = new Notes()
    const { watcher } = watcherOn(world.config.redisUrl, 20)
    await watcher.watch(rid, userId, notes)
    await queueSilently(eventId, rid)
    await until('the step to be seen', () => notes.told.length === 2)
    expect(notes.told).to.deep.equal(['reserving', 'queued'])
    expect(notes.beats).to.be.at.least(1)
  })

  it('looks again when its connection was lost, and listens on as before', async () => {
    const eventId = await createSale(world)
    const [one, two] = [await held(eventId), await held(eventId)]
    const [first, second] = [new Notes(), new Notes()]
    const { watcher, listening } = watcherOn(world.config.redisUrl, NEVER_MS)
    await watcher.watch(one.rid, one.userId, first)
    await watcher.watch(two.rid, two.userId, second)
    const connection = String(await listening.client('ID'))
    await queueSilently(eventId, one.rid)
    await world.redis.client('KILL', 'ID', connection)
    await until('the first to be told', () => first.told.length === 2)
    expect(second.told).to.deep.equal(['reserving'])
    expect(await subscribers(world, eventId)).to.equal(1)
    await world.scripts.markQueued([{ eventId, rids: [two.rid] }])
    await until('the second to be told', () => second.told.length === 2)
    watcher.stop()
    await expectNoSubscriber(world, eventId)
    expect([first.ends, second.ends]).to.deep.equal([1, 1])
  })

  it('never goes back, whatever a store has forgotten', async () => {
    const eventId = await createSale(world)
    const { rid, userId } = await held(eventId)
    await world.scripts.markQueued([{ eventId, rids: [rid] }])
    const notes = new Notes()
    const { watcher } = watcherOn(world.config.redisUrl, 5)
    await watcher.watch(rid, userId, notes)
    const key = `{spike:${eventId}}:states`
    const record = (await world.redis.hget(key, rid)) ?? ''
    await world.redis.hset(key, rid, record.replace('queued|', 'held|'))
    await until('some looks', () => notes.beats >= 5)
    await world.redis.hdel(key, rid)
    await until('more looks', () => notes.beats >= 10)
    expect(notes).to.deep.include({ told: ['queued'], ends: 0 })
  })

  it('fails when nobody would hear the notices, and keeps no place for it', async () => {
    const eventId = await createSale(world)
    const { rid, userId } = await held(eventId)
    const { watcher } = watcherOn(`redis://127.0.0.1:${await freePort()}`, NEVER_MS)
    const fail = () => watcher.watch(rid, userId, new Notes()).catch((error: Error) => error)
    const failures = await Promise.all(Array.from({ length: 10 }, fail))
    for (const failure of [...failures, await fail()]) expect(failure).to.be.an('error')
  })

  it('has room for 5,000 and no more, and none once it was stopped', async () => {
    const users = 500
    const eventId = await createSale(world, { stock: users })
    const { watcher } = watcherOn(world.config.redisUrl, NEVER_MS)
    const claims = await Promise.all(Array.from({ length: users }, () => held(eventId)))
    const fill = async () => {
      const watches = claims.flatMap(({ rid, userId }) =>
        Array.from({ length: 10 }, () => watcher.watch(rid, userId, new Notes())),
      )
      return new Set((await Promise.all(watches)).map(({ kind }) => kind))
    }
    expect(await fill()).to.deep.equal(new Set(['watching']))
    const late = await held(await createSale(world))
    expect(await watcher.watch(late.rid, late.userId, new Notes())).to.deep.equal({ kind: 'full' })
    expect(await subscribers(world, eventId)).to.equal(1)
    watcher.stop()
    await expectNoSubscriber(world, eventId)
    expect(await watcher.watch(late.rid, late.userId, new Notes())).to.deep.equal({ kind: 'full' })
  })
})

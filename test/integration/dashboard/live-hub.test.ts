import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import { LiveHub } from '../../../dashboard/live/hub.ts'
import { liveReaders, type LiveReaders } from '../../../dashboard/live/readers.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import type { EventStream } from '../../../src/platform/event-stream.ts'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { createQueueRedis, createRedis } from '../../../src/platform/redis/client.ts'
import { createSale } from '../../factories/sales.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** Enough for several pulses, and for the books. */
const VIEWS = 5
const NO_EVENT = '00000000-0000-7000-8000-000000000000'

describe('the hub of live pages', () => {
  let world: World
  let eventId: string
  let asked = 0
  const hubs: LiveHub[] = []
  const closes: (() => unknown)[] = []
  before(async () => {
    world = await createWorld()
    eventId = await createSale(world)
  })
  afterEach(() => Promise.all(hubs.splice(0).map((hub) => hub.stop())))
  after(async () => {
    for (const close of closes) await close()
    await world.close()
  })

  /** A hub on clients of its own, whose every question to a store is counted. */
  function openHub(
    limits: ConstructorParameters<typeof LiveHub>[2] = {},
    change = (readers: LiveReaders): LiveReaders => readers,
  ): LiveHub {
    const { config, log, topology } = world
    const knex = createPostgres({ url: config.databaseUrl, applicationName: 'spike-test', poolMax: 4 }, log)
    const redis = createRedis(config.redisUrl, 'spike-test', log)
    const queueRedis = createQueueRedis(config.queueRedisUrl, 'spike-test', log)
    knex.on('query', () => asked++)
    for (const client of [redis, queueRedis]) {
      const send = client.sendCommand.bind(client) as (...command: unknown[]) => unknown
      client.sendCommand = (...command: unknown[]) => {
        asked++
        return send(...command)
      }
    }
    const open = (step: string) => openQueue(step, config.namespace, queueRedis)
    const queues = {
      'create-order': open('create-order'),
      'close-order': open('close-order'),
      'release-stock': open('release-stock'),
      'dead-letter': open('dead-letter'),
    }
    closes.push(async () => {
      await Promise.all(Object.values(queues).map((queue) => queue.close()))
      redis.disconnect()
      queueRedis.disconnect()
      await knex.destroy()
    })
    const brokerDepth = async () => null
    const deps = { knex, redis, queueRedis, queues, topology, brokerDepth }
    const hub = new LiveHub(change(liveReaders(deps)), log, limits)
    hubs.push(hub)
    return hub
  }

  async function watch(hub: LiveHub, tabs: number): Promise<EventStream[]> {
    const streams = await Promise.all(
      Array.from({ length: tabs }, (_, i) =>
        hub.join(eventId, { sessionId: `s${i}`, stillAllowed: async () => true }),
      ),
    )
    return streams.filter((stream) => stream !== undefined)
  }

  const viewsIn = (text: string): string[] => text.match(/event:\s*view\n[^]*?\n\n/g) ?? []

  /** Questions to the stores until so many tabs have seen some views, and the views that each of them was sent. */
  async function costOf(tabs: number): Promise<{ asked: number; views: string[][] }> {
    const streams = await watch(openHub(), tabs)
    expect(streams).to.have.length(tabs)
    const texts = streams.map(() => '')
    streams.forEach((stream, i) => stream.on('data', (chunk: Buffer) => (texts[i] += chunk.toString())))
    asked = 0
    await until('the views', () => texts.every((text) => viewsIn(text).length > VIEWS), 20_000)
    const result = { asked, views: texts.map((text) => viewsIn(text).slice(1, VIEWS)) }
    await hubs.pop()?.stop()
    return result
  }

  it('asks the stores no more for 20 tabs than for one, and tells all of them the same', async () => {
    const one = await costOf(1)
    const twenty = await costOf(20)
    expect(one.asked).to.be.above(10)
    // A pass more or less may fall into the time.
    expect(twenty.asked).to.be.below(1.5 * one.asked)
    for (const views of twenty.views) expect(views).to.deep.equal(twenty.views[0])
  })

  it('drops a tab that does not read, and no other', async () => {
    const hub = openHub({ maxUnreadBytes: 5_000 })
    const [slow, quick] = await watch(hub, 2)
    quick?.resume()
    await until('the slow one to be dropped', () => slow?.destroyed)
    expect(quick?.destroyed).to.equal(false)
  })

  it('stops reading some time after the last tab has gone', async () => {
    const hub = openHub({ graceMs: 100 })
    const streams = await watch(hub, 2)
    for (const stream of streams) stream.destroy()
    await until('nothing is asked any more', async () => {
      const before = asked
      await sleep(1_500)
      return asked === before
    })
    expect(hub.latest(eventId)).to.equal(undefined)
  })

  it('tells what is known of an event that is watched, and reads nothing for that', async () => {
    const hub = openHub()
    expect(hub.latest(eventId)).to.equal(undefined)
    const [stream] = await watch(hub, 1)
    stream?.resume()
    await until('rates', () => hub.latest(eventId)?.latest.pulse?.[2] === 0)
    expect(hub.latest(NO_EVENT)).to.equal(undefined)
  })

  it('goes on reading for a page whose first look did not wait for the books', async () => {
    const begun: string[] = []
    let goOn = () => {}
    const held = new Promise<void>((resolve) => (goOn = resolve))
    const limits = { firstWithinMs: 300, graceMs: 300 }
    const hub = openHub(limits, (readers) => ({
      ...readers,
      async books(id, earlier) {
        begun.push(id)
        await held
        return readers.books(id, earlier)
      },
    }))
    await hub.look(eventId)
    // What a browser needs to open the stream.
    await sleep(50)
    const [stream] = await watch(hub, 1)
    stream?.resume()
    goOn()
    await until('the books', () => hub.latest(eventId)?.fields['meter.granted']?.text === '10')
    expect(begun).to.deep.equal([eventId])
  })

  it('forgets a page that was looked at, when no tab comes', async () => {
    const hub = openHub({ graceMs: 100 })
    await hub.look(eventId)
    await until('nobody', () => hub.latest(eventId) === undefined)
  })

  it('takes no tabs when it has stopped', async () => {
    const hub = openHub()
    const [stream] = await watch(hub, 1)
    stream?.resume()
    await hub.stop()
    await until('the end of the stream', () => stream?.readableEnded)
    expect(await watch(hub, 1)).to.deep.equal([])
  })
})

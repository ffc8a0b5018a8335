/** The product on a Redis Cluster of three masters, stock and queues alike. */
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { after, before, describe, it } from 'mocha'
import { SYSTEM } from '../../src/audit/audit.ts'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { queuePrefix } from '../../src/platform/bullmq/job.ts'
import { contactDurableRedis, createRedis, createSubscriberRedis } from '../../src/platform/redis/client.ts'
import { infoField } from '../../src/platform/redis/info.ts'
import { mastersOf, nodeName } from '../../src/platform/redis/nodes.ts'
import { serverOf } from '../../src/platform/redis/server.ts'
import { Subscriber } from '../../src/platform/redis/subscriber.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { isLostNow } from '../../src/reserve/gate.ts'
import { endSale } from '../../src/sale.ts'
import { examine } from '../../tools/doctor/examine.ts'
import type { Services } from '../../tools/services/index.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { buy } from '../support/buying.ts'
import { lossLine, nodeOf, startCluster } from '../support/cluster.ts'
import { createClient, type Client } from '../support/http.ts'
import { createStage, judgeAtRest, sendCrowd, type Stage } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

/** Until everything is at rest after a kill: jobs in hand come back after their lock, and the sweep looks every 5 s. */
const REST_MS = 60_000

describe('the product on a Redis Cluster', function () {
  this.timeout(180_000)
  let services: Services
  let world: World
  let stage: Stage
  let api: Client
  before(async () => {
    services = await startCluster('redis-cluster')
    world = await createWorld({ RATE_LIMIT: 'off' }, services.urls)
    await world.redis.ping() // whoever has not connected yet knows of no master
    stage = createStage(world)
    await Promise.all([stage.start('api'), stage.start('workers'), stage.start('dashboard')])
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(async () => {
    await stage.close()
    await world.close()
    await services.stop()
  })

  /** The name of the node that serves a key now. */
  async function nodeServing(key: string): Promise<string> {
    const { runId } = await serverOf(world.redis, key)
    for (const master of mastersOf(world.redis)) {
      if ((await infoField(master, 'server', 'run_id')) !== runId) continue
      for (const [name, { url }] of services.nodes) if (new URL(url).host === nodeName(master)) return name
    }
    throw new Error(`nobody serves ${key}`)
  }

  /** One sale on each master. @returns their ids by the name of the node */
  async function salesOnEveryMaster(stock: number, paymentWindowS: number): Promise<Map<string, string>> {
    const sales = new Map<string, string>()
    while (sales.size < services.nodes.size) {
      const eventId = await createSale(world, { stock, paymentWindowS })
      const node = await nodeServing(spikeKeys(eventId).gate)
      if (sales.has(node)) await endSale(world, eventId, SYSTEM)
      else sales.set(node, eventId)
    }
    expect([...sales.keys()]).to.have.members([...services.nodes.keys()])
    return sales
  }

  const crowdTo = (eventId: string, buyers: number) =>
    sendCrowd(world, { eventId, buyers, payShare: 0.7, patienceMs: 2_000, surviveOutages: true })

  /** Purchases by buyers who do not pay. @returns the rids that they were told */
  async function purchases(eventId: string, count: number): Promise<string[]> {
    const replies = (await createBuyers(world, count)).map((buyer) => buy(api, eventId, buyer))
    return (await Promise.all(replies)).map(({ status, body, text }) => {
      expect(status, text).to.equal(202)
      return body.data.reservation_id
    })
  }

  /** Of these rids, or of a whole sale. */
  async function ordersOf(by: { rids: readonly string[] } | { eventId: string }): Promise<number> {
    const orders = world.knex('orders')
    const found =
      'rids' in by ? orders.whereIn('reservation_id', by.rids) : orders.where('event_id', by.eventId)
    return (await found.select('id')).length
  }

  /** Ends the sale and finds nothing wrong, by what buyers were told and by all stores. */
  async function judged(eventId: string, told: readonly string[]) {
    await endSale(world, eventId, SYSTEM)
    const { facts, toldFacts, invariants } = await judgeAtRest(world, eventId, told, REST_MS)
    return { facts, toldFacts, wrong: invariants.filter(({ ok }) => !ok) }
  }

  it('is found in order by the doctor, master by master', async () => {
    const findings = await examine(world.env)
    expect(findings.filter(({ ok, untold }) => !ok && !untold)).to.deep.equal([])
    const [cluster] = findings.filter(({ what }) => what === 'REDIS_URL cluster')
    expect(cluster?.detail).to.equal('3 masters, state ok, 16384 of 16384 slots served')
    for (const { url } of services.nodes.values())
      expect(findings.map(({ what }) => what)).to.include(`REDIS_URL ${new URL(url).host} append-only file`)
  })

  it('is refused while one master keeps no append-only file, or when one server of it is named alone', async () => {
    const { url = '' } = services.nodes.get('redis-2') ?? {}
    const complaint = async (setting: string) => {
      const client = createRedis(setting, 'spike-test', world.log)
      const contact = contactDurableRedis(client, 'REDIS_URL', setting)
      return contact.then(() => 'none', String).finally(() => client.disconnect())
    }
    expect(await complaint(services.urls.REDIS_URL)).to.equal('none')
    expect(await complaint(url)).to.contain('it is one server of a cluster: name several')
    const server =
      mastersOf(world.redis).find((node) => nodeName(node) === new URL(url).host) ?? expect.fail()
    await server.config('SET', 'appendonly', 'no')
    try {
      expect(await complaint(services.urls.REDIS_URL)).to.match(
        new RegExp(`master ${nodeName(server)}: appendonly is off`),
      )
    } finally {
      await server.config('SET', 'appendonly', 'yes')
    }
  })

  it('tells notices of every master, also when the one that was listened to is gone', async () => {
    const redis = createSubscriberRedis(services.urls.REDIS_URL, 'spike-test', world.log)
    const subscriber = new Subscriber(redis, world.log)
    const heard = new Set<string>()
    const speakers = [...services.nodes].map(([name, { url }]) => ({ name, speaker: new Redis(url) }))
    const hearsAll = async () => {
      await Promise.all(speakers.map(({ name, speaker }) => speaker.publish('channel', name)))
      return heard.size === speakers.length
    }
    try {
      for (const { name, speaker } of speakers) {
        speaker.on('error', () => undefined) // one of them is killed
        await subscriber.join('channel', name, () => heard.add(name))
      }
      await until('a notice of each', hearsAll)
      const [listenedTo] =
        [...services.nodes].find(([, { url }]) => new URL(url).host === nodeName(redis)) ?? []
      const node = nodeOf(services, listenedTo ?? '')
      heard.clear()
      await node.kill()
      await until('the wake-up on another node', () => heard.size === speakers.length)
      await node.restart()
      heard.clear()
      await until('a notice of each again', hearsAll)
      // Also by a client that has nothing to ask of it.
      await until('the node to be known again', () => mastersOf(world.redis).length === services.nodes.size)
    } finally {
      for (const client of [redis, ...speakers.map(({ speaker }) => speaker)]) client.disconnect()
    }
  })

  it('sells on all masters at the same time: paid, unpaid and taken back, and sold again', async () => {
    const units = 40
    const sales = [...(await salesOnEveryMaster(units, 2)).values()]
    const crowds = await Promise.all(sales.map((eventId) => crowdTo(eventId, 120)))
    for (const [i, eventId] of sales.entries()) {
      const { facts, wrong } = await judged(eventId, crowds[i]?.told ?? [])
      expect(crowds[i]?.surprises).to.deep.equal([])
      expect(wrong).to.deep.equal([])
      expect(facts.ledger.ordered).to.be.at.least(units)
      expect(facts.ledger.paid).to.be.above(0)
      expect(facts.ledger.lapsed).to.be.above(0)
    }
  })

  it('sells one unit to one of 200 buyers', async () => {
    const eventId = await createSale(world, { stock: 1, paymentWindowS: 300 })
    const crowd = await sendCrowd(world, { eventId, buyers: 200, payShare: 1, patienceMs: 0 })
    const { facts, wrong } = await judged(eventId, crowd.told)
    expect(crowd.surprises).to.deep.equal([])
    expect(wrong).to.deep.equal([])
    expect([crowd.accepted, facts.ledger.paid]).to.deep.equal([1, 1])
  })

  /** @param pick which master, given the one that has the queue of orders */
  async function killInMidSale(pick: (node: string, queueNode: string) => boolean): Promise<void> {
    const sales = await salesOnEveryMaster(100, 3)
    const { step } = createOrderJob
    const queueNode = await nodeServing(`${queuePrefix(world.config.namespace, step)}:${step}:wait`)
    const victim = [...sales.keys()].find((name) => pick(name, queueNode)) ?? ''
    const hit = sales.get(victim) ?? ''
    const spared = [...sales.values()].filter((eventId) => eventId !== hit)
    const [stranger] = await createBuyers(world, 1)

    const rush = [...sales.values()].map(async (eventId) => ({ eventId, crowd: await crowdTo(eventId, 60) }))
    await until('the sale to be under way', async () => (await ordersOf({ eventId: hit })) >= 5)
    const node = nodeOf(services, victim)
    const killedAt = performance.now()
    await node.kill()
    const meanwhile = await Promise.all(spared.map((eventId) => purchases(eventId, 20)))
    if (victim !== queueNode) {
      const rids = meanwhile.flat()
      await until('their orders', async () => (await ordersOf({ rids })) === rids.length)
    }
    for (const url of [world.apiUrl, world.workersUrl, world.dashboardUrl]) {
      const readiness = await fetch(`${url}/readyz`)
      expect(readiness.status, await readiness.text()).to.equal(200)
    }
    const refusal = await buy(api, hit, stranger ?? expect.fail())
    expect([refusal.status, refusal.body.error]).to.deep.equal([503, 'NOT_READY'])
    await node.restart()
    await until('the sale to be open again', async () => !(await isLostNow(world.redis, hit)), REST_MS)
    const backMs = Math.round(performance.now() - killedAt)
    const afterwards = await purchases(hit, 20)

    const told = new Map(spared.map((eventId, i) => [eventId, meanwhile[i] ?? []])).set(hit, afterwards)
    const judgements = []
    for (const { eventId, crowd } of await Promise.all(rush)) {
      expect(crowd.surprises).to.deep.equal([])
      judgements.push(await judged(eventId, [...crowd.told, ...(told.get(eventId) ?? [])]))
    }
    process.stdout.write(
      `      ${lossLine(`redis-cluster node ${victim} (SIGKILL, back after ${backMs} ms)`, judgements)}\n`,
    )
    expect(judgements.flatMap(({ wrong }) => wrong)).to.deep.equal([])
  }

  it('goes on selling and ordering what other masters have while one is away, and loses nothing', () =>
    killInMidSale((node, queueNode) => node !== queueNode))

  it('takes purchases while the master with the queue of orders is away, and orders them afterwards', () =>
    killInMidSale((node, queueNode) => node === queueNode))
})

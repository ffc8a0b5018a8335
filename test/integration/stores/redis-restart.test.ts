import { expect } from 'chai'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { clearEvent } from '../../../src/clear.ts'
import { readConservation } from '../../../src/conservation.ts'
import { judgeStores } from '../../../src/figures/invariants.ts'
import { contactDurableRedis, contactRedis, createRedis } from '../../../src/platform/redis/client.ts'
import { serverOf } from '../../../src/platform/redis/server.ts'
import { ServiceError } from '../../../src/platform/service-error.ts'
import type { RedisClient } from '../../../src/platform/redis/nodes.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { checkRedis } from '../../../tools/doctor/redis.ts'
import { createSale } from '../../factories/sales.ts'
import { orderUnits, reserveUnits } from '../../support/claims.ts'
import { startPrivateRedis, type PrivateRedis } from '../../support/private-redis.ts'
import { settledSale } from '../../support/settled.ts'
import { atRest } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a stock Redis of our own', function () {
  this.timeout(60_000)
  let server: PrivateRedis
  let world: World
  before(async () => {
    server = await startPrivateRedis()
    world = await createWorld({ REDIS_URL: server.url })
  })
  after(async () => {
    await world.close()
    await server.close()
  })

  describe('that restarts', () => {
    it('has its events rebuilt at once, for it may have lost something; buying goes on', async () => {
      const sold = await createSale(world, { stock: 5 })
      const untouched = await createSale(world)
      await orderUnits(world, sold, 2)
      await world.start('workers')
      const runOf = async () => (await serverOf(world.redis, spikeKeys(sold).gate)).runId
      const firstRun = await runOf()
      await server.crash()
      const secondRun = await until('Redis', () => runOf().catch(() => undefined))
      expect(secondRun).not.to.equal(firstRun)
      for (const eventId of [sold, untouched])
        await until('the gate of the second run', async () => {
          const gate = await world.redis.hmget(spikeKeys(eventId).gate, 'run_id', 'status', 'epoch')
          return gate.join(' ') === `${secondRun} open 2`
        })
      await reserveUnits(world, sold, 3)
      await atRest(world, sold)
      const facts = await readConservation(world, sold)
      expect(facts && judgeStores(facts).filter(({ ok }) => !ok)).to.deep.equal([])
      expect(facts?.ledger).to.include({ live: 5, available: 0 })
    })
  })

  describe('that is full', () => {
    it('is made room in by clearing an event', async () => {
      const { eventId } = await settledSale(world)
      try {
        await world.redis.config('SET', 'maxmemory', '1')
        const refused = await world.redis.set('any', 'thing').catch((error: Error) => error.message)
        expect(refused).to.match(/^OOM /)
        expect(await clearEvent(world, eventId)).to.deep.equal({ kind: 'cleared' })
        expect(await world.redis.hmget(spikeKeys(eventId).gate, 'paid', 'released')).to.deep.equal(['1', '2'])
      } finally {
        await world.redis.config('SET', 'maxmemory', '0')
      }
    })
  })

  describe('is refused', () => {
    let client: RedisClient
    beforeEach(() => {
      client = createRedis(server.url, 'spike-test', world.log)
    })
    afterEach(async () => {
      await world.redis.config('SET', 'maxmemory-policy', 'noeviction')
      await world.redis.config('SET', 'appendonly', 'yes')
      client.disconnect()
    })
    /** What a process says that has to have it. */
    const complaint = async (contact: typeof contactRedis): Promise<string | undefined> => {
      const error = await contact(client, 'REDIS_URL', server.url).catch((reason: unknown) => reason)
      if (error === undefined) return undefined
      expect(error).to.be.instanceOf(ServiceError)
      return (error as Error).message
    }
    const doctor = async (durable: boolean) =>
      (await checkRedis('REDIS_URL', server.url, { durable })).filter(({ ok }) => !ok).map(({ what }) => what)

    it('not when it keeps everything', async () => {
      expect(await complaint(contactDurableRedis)).to.equal(undefined)
      expect(await complaint(contactRedis)).to.equal(undefined)
      expect(await doctor(true)).to.deep.equal([])
    })

    it('when it keeps no append-only file; queues do without', async () => {
      await world.redis.config('SET', 'appendonly', 'no')
      expect(await complaint(contactDurableRedis))
        .to.contain('(REDIS_URL)')
        .and.to.contain('redis-cli CONFIG SET appendonly yes')
        .and.not.to.contain('\n')
      expect(await complaint(contactRedis)).to.equal(undefined)
      expect(await doctor(true)).to.deep.equal(['REDIS_URL append-only file'])
      expect(await doctor(false)).to.deep.equal([])
    })

    it('when it drops keys under memory pressure, for queues too', async () => {
      await world.redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
      for (const contact of [contactDurableRedis, contactRedis])
        expect(await complaint(contact)).to.contain('set it to noeviction')
      for (const durable of [true, false])
        expect(await doctor(durable)).to.deep.equal(['REDIS_URL maxmemory-policy'])
    })
  })
})

import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { BATCH_ROWS } from '../../../src/platform/postgres/batch-delete.ts'
import type { Loop } from '../../../src/platform/loop.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { endSale } from '../../../src/sale.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { judge, readTold } from '../../../tools/check/invariants.ts'
import { readConservation } from '../../../src/conservation.ts'
import { retention, type Removed } from '../../../workers/sweep/retention.ts'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy, order, pay } from '../../support/buying.ts'
import { createClient, expectRefusal } from '../../support/http.ts'
import { samplesOf } from '../../support/metrics.ts'
import { letAge, settledSale } from '../../support/settled.ts'
import { atRest } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const DAYS = 30

describe('retention', () => {
  describe('of a process', () => {
    let world: World
    const running: Loop[] = []
    before(async () => {
      world = await createWorld()
    })
    after(() => world.close())
    afterEach(stopAll)

    /** Starts what one process does. @returns what it has taken away so far */
    function start(days = DAYS): Record<Removed, number> {
      const counts = { keyed_requests: 0, refresh_tokens: 0, outbox: 0, events: 0 }
      const watch = (kind: Removed, count: number) => void (counts[kind] += count)
      const loops = retention({ ...world, days, watch })
      running.push(...loops)
      for (const loop of loops) loop.start()
      return counts
    }
    async function stopAll() {
      await Promise.all(running.splice(0).map((loop) => loop.stop()))
    }
    const plant = (count: number) =>
      world.knex.raw(
        `INSERT INTO outbox (topic, key, payload, created_at, published_at)
         SELECT 'stock.released', gen_random_uuid(), '{}', now() - interval '40 days', now() - interval '40 days'
           FROM generate_series(1, :count)`,
        { count },
      )
    const left = async () =>
      Number((await world.knex('outbox').whereNotNull('published_at').count({ n: '*' }))[0]?.n)
    const isCleared = (eventId: string) => world.redis.hexists(spikeKeys(eventId).gate, 'cleared_ms')

    it('takes away what is due, event by event, and nothing that is young', async () => {
      const [old, others, young] = [
        await settledSale(world),
        await settledSale(world),
        await settledSale(world),
      ]
      for (const { eventId } of [old, others]) await letAge(world, eventId, DAYS + 1)
      await letAge(world, young.eventId, DAYS - 1)
      const rows = await left()
      const counts = start()
      await until('two events to be cleared', () => counts.events === 2)
      await until('their outbox rows to be gone', () => counts.outbox === (rows * 2) / 3)
      expect(await Promise.all([old, others, young].map(({ eventId }) => isCleared(eventId)))).to.deep.equal([
        1, 1, 0,
      ])
      expect(await left())
        .to.equal(rows - counts.outbox)
        .and.to.equal(rows / 3)
    })

    it('comes to every event, however many there are', async () => {
      const eventIds: string[] = []
      for (let i = 0; i < 12; i++) {
        const eventId = await createSale(world, { stock: 1 })
        await endSale(world, eventId, SYSTEM)
        await letAge(world, eventId, DAYS + 1)
        eventIds.push(eventId)
      }
      // One that can not be cleared holds up no other.
      await world.redis.incr(spikeKeys(eventIds[0] ?? '').stock)
      const counts = start()
      await until('all but one to be cleared', () => counts.events === 11)
      expect(await Promise.all(eventIds.map(isCleared))).to.deep.equal([0, ...Array<number>(11).fill(1)])
    })

    it('keeps for ever what people may look at, when it is told to', async () => {
      const { eventId } = await settledSale(world)
      await letAge(world, eventId, 10_000)
      await plant(3)
      await world.knex('keyed_requests').insert({
        user_id: eventId,
        operation: 'test',
        key: 'old',
        result_id: eventId,
        made_at: new Date(0),
      })
      const rows = await left()
      const counts = start(0)
      await until('a key to go all the same', () => counts.keyed_requests === 1)
      await stopAll()
      expect(counts).to.include({ outbox: 0, events: 0 })
      expect(await left()).to.equal(rows)
      expect(await isCleared(eventId)).to.equal(0)
    })

    it('goes on where a process has ended between two batches, with two at it', async () => {
      const rows = 6 * BATCH_ROWS
      await world.knex('outbox').delete()
      await plant(rows)
      const first = start()
      await until('a batch to be gone', () => first.outbox > 0)
      await stopAll()
      expect(await left()).to.equal(rows - first.outbox)
      expect(first.outbox).to.be.below(rows)
      const [second, third] = [start(), start()]
      await until('the rest to be gone', () => first.outbox + second.outbox + third.outbox === rows)
      expect(await left()).to.equal(0)
    })
  })

  describe('of a whole shop', () => {
    let world: World
    before(async () => {
      world = await createWorld({ RATE_LIMIT: 'off', RETENTION_DAYS: '7' })
    })
    after(() => world.close())

    it('takes an old sale away, and everybody is told the same of it as before', async () => {
      const first = await world.start('workers')
      await world.start('api')
      const api = createClient(`${world.apiUrl}/api/v1`)
      const admin = (await createAccount(world, 'admin')).token
      const eventId = await createSale(world, { stock: 3 })
      const [payer, leaver, stranger] = (await createBuyers(world, 3)) as [LoadBuyer, LoadBuyer, LoadBuyer]
      const bought = await order(api, eventId, payer)
      await pay(api, bought.orderId, payer)
      const left = await order(api, eventId, leaver)
      const cancel = await api('POST', `/orders/${left.orderId}/cancel`, { token: leaver.access_token })
      expect(cancel.status, cancel.text).to.equal(200)
      await api('POST', `/spike-events/${eventId}/end`, { token: admin })
      await until('its units to be back', async () => {
        const counts = await world.scripts.countUnits({ eventId })
        return counts !== 'NOT_READY' && counts.granted === 1 && counts.paid === 1
      })
      await atRest(world, eventId)

      const told = { told: [bought.rid, left.rid] }
      const queues = { waiting: 0, deadLetters: 0 }
      const invariants = async () => {
        const facts = await readConservation(world, eventId)
        if (facts === undefined) throw new Error('no facts')
        return judge(facts, await readTold(world.knex, eventId, told), queues)
      }
      const read = async (path: string, token = admin) => {
        const { status, body, text } = await api('GET', path, { token })
        expect(status, text).to.equal(200)
        return JSON.parse(
          JSON.stringify(body.data, (key, value) => (/^(server_time|as_of)$/.test(key) ? 0 : value)),
        )
      }
      const all = async () => ({
        invariants: await invariants(),
        report: await read(`/spike-events/${eventId}/report`),
        conservation: await read(`/spike-events/${eventId}/conservation`),
        event: await read(`/spike-events/${eventId}`),
        bought: await read(`/reservations/${bought.rid}`, payer.access_token),
        timeline: await read(`/orders/${left.orderId}/timeline`, leaver.access_token),
      })
      await until('the API to have counted its purchases', async () => {
        const { requests } = (await read(`/spike-events/${eventId}/report`)) as {
          requests: { accepted: number }
        }
        return requests.accepted === 2
      })
      const before = await all()
      expect(before.invariants.filter(({ ok }) => !ok)).to.deep.equal([])

      await first.stop()
      await letAge(world, eventId, 8)
      await world.start('workers')
      await until('the sale to be taken away', async () => {
        const samples = await samplesOf(world.workersUrl).catch(() => new Map<string, number>())
        const removed = (kind: Removed) => samples.get(`spike_removed_total{kind="${kind}"}`) ?? 0
        return removed('events') === 1 && removed('outbox') >= 3
      })
      expect(await world.redis.exists(spikeKeys(eventId).states)).to.equal(0)
      expect(await all()).to.deep.equal(before)
      for (const buyer of [payer, leaver, stranger])
        expectRefusal(await buy(api, eventId, buyer), 409, 'SALE_ENDED')
      expectRefusal(
        await api('POST', `/spike-events/${eventId}/resume`, { token: admin }),
        409,
        'WRONG_STATE',
      )
      expect((await api('POST', `/spike-events/${eventId}/rebuild`, { token: admin })).status).to.equal(200)
      expectRefusal(await buy(api, eventId, payer), 409, 'ALREADY_PURCHASED')
      expect(await invariants()).to.deep.equal(before.invariants)
    })
  })
})

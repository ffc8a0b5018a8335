import { randomUUID } from 'node:crypto'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { order } from '../support/buying.ts'
import { logIn, sendLogin } from '../support/dashboard.ts'
import type { Client } from '../support/http.ts'
import { expectConserved } from '../support/reservations.ts'
import { atRest } from '../support/state.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks on the board of queues', () => {
  let world: World
  let api: Client
  let dashboard: Client
  let buyers: LoadBuyer[]
  const queues: Record<string, Queue> = {}

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    await world.start('dashboard')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    dashboard = createAttackClient(world.dashboardUrl)
    buyers = await createBuyers(world, 5)
    for (const step of ['create-order', 'close-order', 'release-stock'])
      queues[step] = openQueue(step, world.config.namespace, world.queueRedis)
  })
  after(async () => {
    for (const queue of Object.values(queues)) await queue.close()
    await world.close()
  })

  const nextBuyer = (): LoadBuyer => buyers.pop() as LoadBuyer

  /** Everything that the API of the board lets one do or see. */
  const BOARD = [
    ['GET', 'queues'],
    ['GET', 'redis/stats'],
    ['GET', 'queues/create-order/workers'],
    ['GET', 'queues/dead-letter/1'],
    ['PUT', 'queues/pause'],
    ['PUT', 'queues/close-order/retry/failed'],
    ['PUT', 'queues/dead-letter/empty'],
    ['PUT', 'queues/release-stock/obliterate'],
    ['POST', 'queues/close-order/add'],
    ['PATCH', 'queues/close-order/1/update-data'],
  ] as const

  attack(
    'the API of the board by nobody, by a user, or with a token of the API: 401, no word of the queues',
    async () => {
      const [user, admin] = [await createAccount(world), await createAccount(world, 'admin')]
      const refused = await sendLogin(dashboard, user)
      expect([refused.status, refused.headers.getSetCookie()]).to.deep.equal([401, []])
      for (const headers of [
        {},
        { authorization: `Bearer ${user.token}` },
        { authorization: `Bearer ${admin.token}` },
        { cookie: `spike_dashboard=${admin.token}` },
      ])
        for (const [method, path] of BOARD) {
          const reply = await dashboard(method, `/queues/api/${path}`, { headers })
          expect(reply.status, `${method} ${path}`).to.equal(401)
          expect(reply.text).to.not.match(/create-order|release-stock/)
        }
    },
  )

  attack('jobs made or rewritten by hand on the board, by an operator: 405, nothing done', async () => {
    const eventId = await createSale(world)
    const buyer = nextBuyer()
    const { rid, orderId } = await order(api, eventId, buyer)
    await atRest(world, eventId)
    const headers = await logIn(dashboard, await createAccount(world, 'operator'))
    const release = { rid, event_id: eventId, user_id: buyer.user_id, quantity: 1, reason: 'lapsed' }
    await unchanged(world, [eventId], async () => {
      for (const [step, data] of [
        ['create-order', { rid }],
        ['close-order', { order_id: orderId }],
        ['release-stock', release],
        ['dead-letter', {}],
      ] as const) {
        const ask = { headers, json: { name: step, data, options: {}, jobData: data } }
        for (const [method, path] of [
          ['POST', 'add'],
          ['POST', 'add/'],
          ['POST', 'ADD'],
          ['PATCH', `close-order-${orderId}/update-data`],
          ['PATCH', `close-order-${orderId}/delay`],
        ] as const) {
          const reply = await dashboard(method, `/queues/api/queues/${step}/${path}`, ask)
          expect(reply.status, `${method} ${step} ${path}: ${reply.text}`).to.equal(405)
        }
      }
      for (const path of ['retry/completed', 'retry/failed', 'obliterate', 'empty', 'pause']) {
        const reply = await dashboard('PUT', `/queues/api/queues/create-order/${path}`, { headers, json: {} })
        expect([403, 405], path).to.include(reply.status)
      }
    })
  })

  attack('everything on the board run again after a sale: nothing changes', async () => {
    const eventId = await createSale(world, { stock: 3 })
    const owner = nextBuyer()
    const { orderId } = await order(api, eventId, owner)
    const kept = await order(api, eventId, nextBuyer())
    await api('POST', `/orders/${orderId}/cancel`, { token: owner.access_token })
    await until('the unit to be back', async () => (await world.redis.get(spikeKeys(eventId).stock)) === '2')
    await atRest(world, eventId)
    const headers = await logIn(dashboard, await createAccount(world, 'operator'))
    const idle = () =>
      until('the queues to be idle', async () => {
        for (const step of ['create-order', 'close-order', 'release-stock']) {
          const { waiting = 0, active = 0 } = (await queues[step]?.getJobCounts('waiting', 'active')) ?? {}
          if (waiting + active > 0) return false
        }
        return true
      })
    // Jobs that have failed: for what is not there, and to free the unit that is sold.
    await queues['create-order']?.add('create-order', { rid: randomUUID() })
    await queues['close-order']?.add('close-order', { order_id: randomUUID() })
    await queues['release-stock']?.add('release-stock', { rid: kept.rid })
    await idle()
    const finished = async () => {
      let count = 0
      for (const queue of Object.values(queues))
        count += await queue.getJobCountByTypes('completed', 'failed')
      return count
    }
    expect(await finished()).to.be.at.least(6)
    const everythingAgain = async () => {
      for (const step of Object.keys(queues))
        for (const path of ['retry/completed', 'retry/failed', 'promote']) {
          const reply = await dashboard('PUT', `/queues/api/queues/${step}/${path}`, { headers })
          const expected = step === 'create-order' ? 405 : 200
          expect(reply.status, `${step} ${path}: ${reply.text}`).to.equal(expected)
        }
      // What the board does not do, somebody at the Redis of the queues can.
      for (const state of ['completed', 'failed'] as const) await queues['create-order']?.retryJobs({ state })
      for (const queue of Object.values(queues))
        for (const job of await queue.getJobs(['failed', 'completed']))
          await job.retry().catch(() => undefined)
      await idle()
    }
    await unchanged(world, [eventId], everythingAgain, 'audit_log')
    expect(await expectConserved(world.knex, eventId)).to.equal(2)
    expect(await world.redis.get(spikeKeys(eventId).stock)).to.equal('2')
  })
})

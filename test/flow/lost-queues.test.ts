import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { provideServices, type Services } from '../../tools/services/index.ts'
import { createSale } from '../factories/sales.ts'
import { createStage, judgeAtRest, sendCrowd, type Stage } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, serverUrls, type World } from '../support/world.ts'

describe('the queue Redis, lost whole in the middle of a sale', () => {
  let services: Services
  let world: World
  let stage: Stage
  before(async function () {
    this.timeout(60_000)
    // A Redis of its own, because it is wiped: the one service that is not given is started.
    const { REDIS_URL: _, ...given } = serverUrls()
    services = await provideServices({
      env: { ...process.env, ...given, REDIS_URL: '' },
      log: () => undefined,
    })
    world = await createWorld({
      QUEUE_REDIS_URL: services.urls.REDIS_URL,
      RATE_LIMIT: 'off',
      LOG_LEVEL: 'info',
    })
    stage = createStage(world)
    await Promise.all([stage.start('api'), stage.start('workers')])
  })
  after(async () => {
    await stage.close()
    await world.close()
    await services.stop()
  })

  it('keeps no verdict from a buyer who was told that the reservation is queued', async function () {
    this.timeout(90_000)
    const eventId = await createSale(world, { stock: 60, paymentWindowS: 3 })
    const crowd = sendCrowd(world, { eventId, buyers: 250, payShare: 0.7, patienceMs: 2_000 })
    const ordered = () => world.knex('orders').where('event_id', eventId).count({ n: '*' }).first()
    for (const enough of [1, 20, 40]) {
      await until(`${enough} orders`, async () => Number((await ordered())?.n) >= enough)
      await world.queueRedis.flushall()
    }
    const { told, surprises } = await crowd
    const { facts, invariants } = await judgeAtRest(world, eventId, told)
    expect(surprises).to.deep.equal([])
    expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])
    expect(told).to.have.length.at.least(60)
    expect(facts.ledger.reservations.undecided).to.equal(0)
    expect(stage.logOf('workers')).not.to.contain('"level":60')
  })
})

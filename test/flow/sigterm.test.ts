import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createSale } from '../factories/sales.ts'
import { createStage, judgeAtRest, sendCrowd, type Stage } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const STOP_WITHIN_MS = 25_000

describe('SIGTERM in the middle of a sale', () => {
  let world: World
  let stage: Stage
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off', LOG_LEVEL: 'info' })
    stage = createStage(world)
    await Promise.all([stage.start('api'), stage.start('workers'), stage.start('dashboard')])
  })
  after(async () => {
    await stage.close()
    await world.close()
  })

  for (const role of ['api', 'workers', 'dashboard'] as const)
    it(`loses nothing when it hits the ${role} process, which exits with 0 in time`, async function () {
      this.timeout(90_000)
      const eventId = await createSale(world, { stock: 60, paymentWindowS: 4 })
      const crowd = sendCrowd(world, {
        eventId,
        buyers: 400,
        payShare: 0.7,
        patienceMs: 5_000,
        surviveOutages: true,
      })
      await until('the first reservations', async () => {
        const counts = await world.scripts.countUnits({ eventId })
        return counts !== 'NOT_READY' && counts.stock < 60
      })
      const began = Date.now()
      const code = await stage.processes.get(role)?.stop()
      expect(code).to.equal(0)
      expect(Date.now() - began).to.be.below(STOP_WITHIN_MS)
      await stage.start(role)
      const { told, surprises } = await crowd
      const { facts, invariants } = await judgeAtRest(world, eventId, told)
      expect(surprises).to.deep.equal([])
      expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])
      expect(facts.ledger.ordered).to.be.at.least(60)
      expect(stage.logOf(role)).to.contain('"msg":"stopped"')
    })
})

import { SYSTEM } from '../../src/audit/audit.ts'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { endSale } from '../../src/sale.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { createStage, judgeAtRest, sendCrowd, type Stage } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

describe('a sale on real processes', () => {
  let world: World
  let stage: Stage
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    stage = createStage(world)
    await Promise.all([stage.start('api'), stage.start('workers')])
  })
  after(async () => {
    await stage.close()
    await world.close()
  })

  it('sells every unit once, takes unpaid ones back and sells them again', async function () {
    this.timeout(60_000)
    const units = 30
    const productId = await createProduct(world, units)
    const eventId = await createSale(world, { productId, stock: units, paymentWindowS: 2 })
    const crowd = await sendCrowd(world, { eventId, buyers: 300, payShare: 0.6, patienceMs: 6_000 })
    await endSale(world, eventId, SYSTEM)
    const { facts, invariants } = await judgeAtRest(world, eventId, crowd.told)

    expect(crowd.surprises).to.deep.equal([])
    expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])
    expect(facts.ledger.ordered).to.be.above(units)
    expect(facts.ledger.lapsed).to.be.above(0)
    expect(facts.ledger.paid).to.be.at.most(units)
    const stock = await until('the free units to be back in the inventory', async () => {
      const row = await world.knex('inventory').where({ product_id: productId }).first('stock')
      return row.stock === units - facts.ledger.paid && row
    })
    expect(stock).to.deep.equal({ stock: units - facts.ledger.paid })
  })

  it('tells the last of many buyers apart from the others when there is one unit', async () => {
    const eventId = await createSale(world, { stock: 1, paymentWindowS: 300 })
    const crowd = await sendCrowd(world, { eventId, buyers: 200, payShare: 1, patienceMs: 0 })
    const { facts, invariants } = await judgeAtRest(world, eventId, crowd.told)
    expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])
    expect(facts.ledger.paid).to.equal(1)
    expect(crowd.accepted).to.equal(1)
  })
})

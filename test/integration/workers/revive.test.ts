import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createOrderJob } from '../../../src/contracts/jobs/create-order.ts'
import { JobProducer } from '../../../src/platform/bullmq/job.ts'
import { reviveUndecided } from '../../../workers/sweep/sweep.ts'
import { createSale } from '../../factories/sales.ts'
import { buyerIds, receive } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('reservations without a verdict', () => {
  let world: World
  let createOrders: JobProducer<'create-order', { rid: string }>
  let rids: string[]
  before(async () => {
    world = await createWorld()
    createOrders = new JobProducer(createOrderJob, world.config.namespace, world.queueRedis)
  })
  after(async () => {
    await createOrders.close()
    await world.close()
  })

  /** Received a minute ago, a second after one another; no worker is there. */
  beforeEach(async () => {
    await createOrders.queue.obliterate({ force: true })
    await world.knex('reservations').delete()
    const eventId = await createSale(world)
    rids = await receive(world, eventId, await buyerIds(world, 3))
    for (const [i, rid] of rids.entries())
      await world
        .knex('reservations')
        .where({ rid })
        .update({ received_at: world.knex.raw(`now() - ? * interval '1 second'`, [60 - i]) })
  })

  const queued = async () =>
    (await createOrders.queue.getWaiting()).map(({ data }) => (data as { rid: string }).rid).sort()

  it('get a job when none waits', async () => {
    expect(await reviveUndecided(world.knex, createOrders)).to.equal(3)
    expect(await queued()).to.deep.equal(rids.toSorted())
  })

  it('get a job when they are older than the oldest that waits, and are left alone behind it', async () => {
    const [first = '', second = ''] = rids
    await createOrders.addBulk([{ payload: { rid: second } }])
    expect(await reviveUndecided(world.knex, createOrders)).to.equal(1)
    expect(await queued()).to.deep.equal([first, second].sort())
  })

  it('get a job behind one that waits for a reservation that nobody knows', async () => {
    await createOrders.queue.add(createOrderJob.step, { rid: world.config.namespace })
    expect(await reviveUndecided(world.knex, createOrders)).to.equal(3)
  })
})

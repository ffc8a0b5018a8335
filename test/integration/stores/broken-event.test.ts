import { after, before, describe, it } from 'mocha'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { newRid } from '../../support/rids.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('an event whose keys are broken', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  it('does not keep relay and sweep from the other events', async () => {
    const broken = await createSale(world)
    const sound = await createSale(world)
    await world.redis.del(spikeKeys(broken).log, spikeKeys(broken).gate)
    await world.redis.set(spikeKeys(broken).log, 'no stream')
    await world.redis.set(spikeKeys(broken).gate, 'no hash')
    const buyer = await createAccount(world)
    const rid = newRid(sound)
    // Taken from Redis and never published, as when a process dies between the two.
    await world.scripts.reserve({ eventId: sound, rid, userId: buyer.id, quantity: 1, requestId: 'r-1' })
    await world.start('workers')
    await until('the verdict', async () => {
      const record = await world.redis.hget(spikeKeys(sound).states, rid)
      return record?.startsWith('confirmed|')
    })
    await world
      .knex('spike_events')
      .where({ id: sound })
      .update({ end_at: world.knex.raw("start_at + interval '1 s'") })
    await until('the end of the sound event', async () => {
      const status = await world.redis.hget(spikeKeys(sound).gate, 'status')
      return status === 'ended'
    })
  })
})

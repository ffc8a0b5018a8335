import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { createLogger } from '../../../src/platform/logger.ts'
import { createRedis } from '../../../src/platform/redis/client.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { Remaining } from '../../../src/reserve/remaining.ts'
import { createSale } from '../../factories/sales.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('remaining units', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  it('are read for many events at once, in their order; null where there is no count', async () => {
    const [few, many, broken] = [
      await createSale(world, { stock: 3 }),
      await createSale(world, { stock: 30 }),
      await createSale(world),
    ]
    await world.redis.del(spikeKeys(broken).stock)
    await world.redis.hset(spikeKeys(broken).stock, 'no', 'count')
    const remaining = new Remaining(world.redis, world.log)
    expect(await remaining.read([many, uuidv7(), broken, few])).to.deep.equal([30, null, null, 3])
    expect(await remaining.read([])).to.deep.equal([])
  })

  it('are null while Redis is away, which is logged once, and back with it', async () => {
    const id = await createSale(world, { stock: 3 })
    const proxy = await Proxy.before(world.config.redisUrl)
    const redis = createRedis(
      proxy.urlOf(world.config.redisUrl),
      'spike-test',
      createLogger('test', 'silent'),
    )
    const lines: string[] = []
    const log = createLogger('test', 'silent')
    log.warn = (_: unknown, line?: string) => lines.push(line ?? '')
    const remaining = new Remaining(redis, log)
    try {
      await redis.connect()
      expect(await remaining.read([id])).to.deep.equal([3])
      await proxy.cut()
      for (let i = 0; i < 3; i++) expect(await remaining.read([id])).to.deep.equal([null])
      await proxy.restore()
      await until('the units to be seen again', async () => (await remaining.read([id]))[0] === 3)
      proxy.fallSilent()
      expect(await remaining.read([id]), 'a server that says nothing').to.deep.equal([null])
      expect(lines).to.deep.equal(Array(2).fill('remaining units are not shown'))
    } finally {
      redis.disconnect()
      await proxy.cut()
    }
  })
})

import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { infoField } from '../../src/platform/redis/info.ts'
import { mastersOf } from '../../src/platform/redis/nodes.ts'
import { serverOf } from '../../src/platform/redis/server.ts'
import { openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

describe('server.lua', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  it('tells run and time of the server, as it tells them itself', async () => {
    const [server = expect.fail()] = mastersOf(ground.redis)
    const msOf = ([seconds, microseconds]: readonly (string | number)[]) =>
      Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
    const before = msOf(await server.time())
    const { runId, nowMs } = await serverOf(ground.redis, 'any')
    expect(nowMs).to.be.within(before, msOf(await server.time()))
    expect(runId).to.equal(await infoField(server, 'server', 'run_id'))
  })
})

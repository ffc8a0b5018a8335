import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { after, before, describe, it } from 'mocha'
import { loadConfig } from '../../../src/platform/config.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { createRedis } from '../../../src/platform/redis/client.ts'

type Write = (chunks: unknown[], done: () => void) => void

/** How many commands each write of several had, while this was done. */
async function writesDuring(redis: Redis, run: () => Promise<unknown>): Promise<number[]> {
  const { stream } = redis
  const writes: number[] = []
  const write = Reflect.get(stream, '_writev') as Write
  Reflect.set(stream, '_writev', (chunks: unknown[], done: () => void) => {
    writes.push(chunks.length)
    write.call(stream, chunks, done)
  })
  try {
    await run()
  } finally {
    Reflect.deleteProperty(stream, '_writev') // that of its class is there again
  }
  return writes
}

describe('commands to Redis', () => {
  let redis: Redis
  before(async () => {
    redis = createRedis(loadConfig(process.env).redisUrl, 'test', createLogger('test', 'silent')) as Redis
    await redis.connect()
  })
  after(() => redis.disconnect())

  it('of one tick leave in one write, also those that only follow from others', async () => {
    const ask = async (i: number) => {
      await Promise.resolve()
      expect(await redis.echo(String(i))).to.equal(String(i))
    }
    const writes = await writesDuring(redis, () => Promise.all(Array.from({ length: 50 }, (_, i) => ask(i))))
    expect(writes).to.deep.equal([50])
  })

  it('do not wait for the replies to those before them', async () => {
    const order: string[] = []
    const slow = redis.blpop('write-together:nothing', 0.2).then(() => order.push('replied'))
    await new Promise(setImmediate)
    const writes = await writesDuring(redis, async () => {
      const late = Promise.all([redis.ping(), redis.ping()])
      await new Promise(setImmediate)
      order.push('sent')
      await late
    })
    await slow
    expect(order).to.deep.equal(['sent', 'replied'])
    expect(writes).to.deep.equal([2])
  })

  it('go on over a new connection', async () => {
    redis.stream.destroy()
    expect(await Promise.all([redis.echo('a'), redis.echo('b')])).to.deep.equal(['a', 'b'])
    const writes = await writesDuring(redis, () => Promise.all([redis.ping(), redis.ping(), redis.ping()]))
    expect(writes).to.deep.equal([3])
  })
})

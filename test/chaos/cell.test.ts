import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type ChannelModel } from 'amqplib'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { topologyOf } from '../../src/contracts/messages/topology.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createPostgres } from '../../src/platform/postgres/client.ts'
import { ServicesUnavailable } from '../../tools/services/index.ts'
import { until } from '../support/wait.ts'
import { onRedis, openCell, type Cell } from './cell.ts'
import type { StoreName } from './services.ts'

const NAMESPACE = 'cell-test'
const QUEUE = topologyOf(NAMESPACE).deadQueue

/** Leaves a trace in a store, and reads it; both through the proxy. */
interface Trace {
  leave: (cell: Cell) => Promise<void>
  read: (cell: Cell) => Promise<boolean>
}
const TRACES: Record<StoreName, Trace> = {
  redis: traceInRedis('REDIS_URL'),
  queueRedis: traceInRedis('QUEUE_REDIS_URL'),
  postgres: {
    leave: async (cell) => {
      await sql(
        cell,
        "INSERT INTO products (id, sku, name, price) VALUES (gen_random_uuid(), 'TRACE', 'trace', 1) ON CONFLICT DO NOTHING",
      )
    },
    read: async (cell) => (await sql(cell, "SELECT 1 FROM products WHERE sku = 'TRACE'")) === 1,
  },
  rabbitmq: {
    leave: (cell) =>
      onBroker(cell, async (connection) => {
        const channel = await connection.createConfirmChannel()
        await channel.assertQueue(QUEUE, { arguments: { 'x-queue-type': 'quorum' } })
        channel.sendToQueue(QUEUE, Buffer.from('trace'), { persistent: true })
        await channel.waitForConfirms()
      }),
    read: (cell) =>
      onBroker(cell, async (connection) => {
        const channel = await connection.createChannel()
        channel.on('error', () => undefined) // no such queue: the check is rejected as well
        return (await channel.checkQueue(QUEUE).catch(() => ({ messageCount: 0 }))).messageCount > 0
      }),
  },
}

describe('cell', function () {
  this.timeout(60_000)
  let cell: Cell
  before(async function () {
    try {
      cell = await openCell(() => undefined)
      cell.env(NAMESPACE)
    } catch (error) {
      if (!(error instanceof ServicesUnavailable)) throw error
      this.skip()
    }
  })
  after(() => cell?.close())

  for (const store of ['redis', 'queueRedis', 'postgres', 'rabbitmq'] as const)
    it(`brings ${store} back with its data after SIGKILL, also when it was stopped`, async () => {
      const { leave, read } = TRACES[store]
      await leave(cell)
      await cell.services[store].kill()
      expect(await read(cell).catch(() => 'away')).to.equal('away')
      await cell.services[store].restart()
      // A queue is there a moment after its broker.
      await until('the trace', () => read(cell))
      cell.services[store].stop()
      const reading = read(cell).catch(() => 'cut')
      expect(await Promise.race([reading, sleep(300, 'silent')])).to.equal('silent')
      if (store === 'rabbitmq') cell.services[store].cont()
      else await cell.services[store].kill()
      await cell.services[store].restart()
      // A queue is there a moment after its broker.
      await until('the trace', () => read(cell))
    })

  it('blocks publishers with the memory alarm, until it is off', () =>
    onBroker(cell, async (connection) => {
      let blocked = false
      connection.on('blocked', () => (blocked = true)).on('unblocked', () => (blocked = false))
      const channel = await connection.createChannel()
      await cell.memoryAlarm(true)
      channel.sendToQueue(QUEUE, Buffer.from('held back'))
      await until('the alarm', () => blocked)
      await cell.memoryAlarm(false)
      await until('its end', () => !blocked)
    }))

  it('is empty and healthy after a reset, whatever was done to it', async () => {
    for (const { leave } of Object.values(TRACES)) await leave(cell)
    cell.services.postgres.stop()
    cell.proxies.rabbitmq.fallSilent()
    await cell.proxies.redis.cut()
    await cell.services.queueRedis.kill()
    await cell.memoryAlarm(true)
    await cell.reset()
    for (const { read } of Object.values(TRACES)) expect(await read(cell)).to.equal(false)
    expect(await sql(cell, 'SELECT 1 FROM users')).to.equal(1)
  })
})

function traceInRedis(url: 'REDIS_URL' | 'QUEUE_REDIS_URL') {
  return {
    leave: async (cell: Cell) => void (await onRedis(cell.urls[url], (redis) => redis.set('trace', '1'))),
    read: async (cell: Cell) => (await onRedis(cell.urls[url], (redis) => redis.get('trace'))) === '1',
  }
}

/** @returns the number of rows */
async function sql(cell: Cell, text: string): Promise<number> {
  const log = createLogger('test', 'silent')
  const knex = createPostgres({ url: cell.urls.DATABASE_URL, applicationName: 'test', poolMax: 1 }, log)
  try {
    const { rowCount }: { rowCount: number } = await knex.raw(text)
    return rowCount
  } finally {
    await knex.destroy()
  }
}

async function onBroker<T>(cell: Cell, work: (connection: ChannelModel) => Promise<T>): Promise<T> {
  const connection = await connect(cell.urls.AMQP_URL)
  connection.on('error', () => undefined) // the work that fails says it
  try {
    return await work(connection)
  } finally {
    await connection.close().catch(() => undefined)
  }
}

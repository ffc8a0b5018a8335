import { randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { pino } from 'pino'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { compose as composeWorkers } from '../../../workers/compose.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { Proxy } from '../../support/proxy.ts'
import { deadLetters, openSender, type Sender } from '../../support/raw-messages.ts'
import { accepted } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a batch of messages that meets a database which is down', () => {
  let world: World
  let sender: Sender
  let dead: Queue
  let proxy: Proxy
  let workers: Running
  let failures = 0

  before(async () => {
    world = await createWorld()
    proxy = await Proxy.before(world.config.databaseUrl)
    const env = { ...world.env, DATABASE_URL: proxy.urlOf(world.config.databaseUrl) }
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        failures += chunk.toString().split('batch failed').length - 1
        done()
      },
    })
    workers = await composeWorkers(loadConfig(env), pino({ level: 'error' }, stream))
    await workers.start()
    sender = await openSender(world)
    dead = openQueue('dead-letter', world.config.namespace, world.queueRedis)
  })
  after(async () => {
    await proxy.restore()
    await workers.stop()
    await proxy.cut()
    await sender.close()
    await dead.close()
    await world.close()
  })

  it('is tried again until it comes through, and its bad member is one dead letter in the end', async () => {
    const eventId = await createSale(world)
    const [buyer] = await createBuyers(world, 1)
    const good = accepted(eventId, buyer?.user_id ?? '')
    const bad = `bad ${randomUUID()}`
    await proxy.cut()
    await Promise.all([
      sender.sendSigned(reservationAccepted, bad),
      sender.sendGenuine(reservationAccepted, good),
    ])
    await until('the batch to have failed three times', () => failures >= 3)
    await proxy.restore()
    await until('the order of the good one', () =>
      world.knex('orders').where({ reservation_id: good.rid }).first('id'),
    )
    // Behind all that was parked: when it has arrived, so has everything else.
    await sender.send(world.topology.deadQueue, 'the last one')
    const payloads = await until('the last dead letter', async () => {
      const letters = (await deadLetters(dead, 1)).map((letter) => letter.payload)
      return letters.includes('the last one') && letters
    })
    expect(payloads).to.deep.equal([bad, 'the last one'])
  })
})

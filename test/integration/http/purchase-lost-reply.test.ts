import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { verdictOn, type Accepted } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { openSocket } from '../../support/sockets.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a purchase whose answer never reached its buyer', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  /** Buys and hangs up without reading. @returns the rid that the buyer was never told */
  async function buyUnheard(eventId: string, buyer: LoadBuyer, key: string): Promise<string> {
    const socket = await openSocket(world.apiUrl)
    socket.pause()
    const head = [
      `POST /api/v1/spike-events/${eventId}/orders HTTP/1.1`,
      'Host: localhost',
      `Authorization: Bearer ${buyer.access_token}`,
      `Idempotency-Key: ${key}`,
      'Content-Type: application/json',
      'Content-Length: 2',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n{}`)
    const rid = await until('the unit', () => world.redis.hget(`{spike:${eventId}}:holders`, buyer.user_id))
    socket.destroy()
    return rid
  }

  const again = (eventId: string, buyer: LoadBuyer, key: string) =>
    api<Accepted>('POST', `/spike-events/${eventId}/orders`, {
      token: buyer.access_token,
      json: {},
      headers: { 'idempotency-key': key },
    })

  it('is told the same rid under the same key and under a new one, and has one order', async () => {
    const eventId = await createSale(world)
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    const key = randomUUID()
    const rid = await buyUnheard(eventId, buyer, key)

    const same = await until('the first request to be done', async () => {
      const reply = await again(eventId, buyer, key)
      return reply.body.error !== 'IDEMPOTENCY_IN_FLIGHT' && reply
    })
    expect([same.status, same.body.data.reservation_id], same.text).to.deep.equal([202, rid])
    const other = await again(eventId, buyer, randomUUID())
    expectRefusal(other, 409, 'ALREADY_PURCHASED')
    expect(other.body.data).to.deep.equal({ reservation_id: rid })

    expect(await verdictOn(api, rid, buyer)).to.include({ reservation_id: rid, status: 'ordered' })
    expect(await world.knex('orders').where({ event_id: eventId })).to.have.length(1)
    expect(await world.redis.get(`{spike:${eventId}}:stock`)).to.equal('9')
  })
})

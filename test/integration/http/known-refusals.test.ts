import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { compose } from '../../../src/compose.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { pressUntilKnown } from '../../support/known-refusals.ts'
import { newRid } from '../../support/rids.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a sold-out sale that refuses from what it knows', () => {
  let world: World
  let api: Client
  let other: Running
  let otherUrl: string
  let otherApi: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    const port = String(await freePort())
    other = await compose(loadConfig({ ...world.env, PORT: port }), world.log)
    await other.start()
    otherUrl = `http://127.0.0.1:${port}`
    otherApi = createClient(`${otherUrl}/api/v1`)
  })
  after(async () => {
    await other.stop()
    await world.close()
  })

  /** A sale whose units a buyer holds, and another buyer who is refused from memory. */
  async function soldOut(input: { stock: number; perUserLimit: number } = { stock: 1, perUserLimit: 1 }) {
    const eventId = await createSale(world, input)
    const [holder, refused] = (await createBuyers(world, 2)) as [LoadBuyer, LoadBuyer]
    const claim = { eventId, rid: newRid(eventId), userId: holder.user_id, quantity: input.stock }
    const reply = await world.scripts.reserve({ ...claim, requestId: 'test' })
    expect(reply.kind).to.equal('accepted')
    const warm = (buyer: LoadBuyer, url = world.apiUrl) =>
      pressUntilKnown(
        world,
        eventId,
        () => ({ Authorization: `Bearer ${buyer.access_token}` }),
        buyer.user_id,
        url,
      )
    await warm(refused)
    const release = () => world.scripts.release({ ...claim, reason: 'cancelled' })
    return { eventId, holder, refused, rid: claim.rid, warm, release }
  }

  async function expectHeld(by: Client, eventId: string, buyer: LoadBuyer, rid: string): Promise<void> {
    const reply = await buy(by, eventId, buyer)
    expectRefusal(reply, 409, 'ALREADY_PURCHASED')
    expect(reply.body.data.reservation_id).to.equal(rid)
  }

  it('always tells a holder what he holds', async () => {
    const { eventId, holder, refused, rid } = await soldOut()
    for (let i = 0; i < 20; i++) {
      await expectHeld(api, eventId, holder, rid)
      expectRefusal(await buy(api, eventId, refused), 409, 'ALL_HELD')
    }
  })

  it('sells a unit that has come back to somebody whom it has refused, who is told what he holds from then on', async () => {
    const { eventId, holder, refused, warm, release } = await soldOut()
    await release()
    const rid = await until('the unit to be sold', async () => {
      const { status, body } = await buy(api, eventId, refused)
      return status === 202 && body.data.reservation_id
    })
    await expectHeld(api, eventId, refused, rid)
    expectRefusal(await buy(api, eventId, holder), 409, 'ALL_HELD')
    await warm(holder)
    for (let i = 0; i < 5; i++) await expectHeld(api, eventId, refused, rid)
  })

  it('tells a buyer what he holds at once when he has taken more units than he was refused', async () => {
    const { eventId, refused, release } = await soldOut({ stock: 2, perUserLimit: 2 })
    await release()
    const bought = await buy(api, eventId, refused, { quantity: 2 })
    expect(bought.status, bought.text).to.equal(202)
    await expectHeld(api, eventId, refused, bought.body.data.reservation_id)
  })

  it('tells a buyer what he holds a moment after he has bought from another process', async () => {
    for (let i = 0; i < 3; i++) {
      const { eventId, refused, release } = await soldOut()
      await release()
      const bought = await buy(otherApi, eventId, refused)
      expect(bought.status, bought.text).to.equal(202)
      await until('what the first process believes to be old', async () => {
        const { body } = await buy(api, eventId, refused)
        return body.error === 'ALREADY_PURCHASED'
      })
      await expectHeld(api, eventId, refused, bought.body.data.reservation_id)
    }
  })

  it('has two processes that agree, however the buyers go from one to the other', async () => {
    const { eventId, holder, refused, rid, warm } = await soldOut()
    await warm(refused, otherUrl)
    for (const by of [api, otherApi, api, otherApi]) {
      await expectHeld(by, eventId, holder, rid)
      expectRefusal(await buy(by, eventId, refused), 409, 'ALL_HELD')
    }
  })
})

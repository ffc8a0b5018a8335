import { expect } from 'chai'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { createLogger } from '../../../src/platform/logger.ts'
import { createRedis } from '../../../src/platform/redis/client.ts'
import { loadScripts } from '../../../src/platform/redis/define-script.ts'
import { Refusals } from '../../../src/reserve/refusals.ts'
import { spikeScripts } from '../../../src/reserve/scripts.ts'
import { Proxy } from '../../support/proxy.ts'
import { openSpikeRedis, type Claim, type Spike, type SpikeRedis } from '../../support/spike-redis.ts'
import { until } from '../../support/wait.ts'
import { serverUrls } from '../../support/world.ts'

const log = createLogger('test', 'silent')

describe('refusals that are known by heart', () => {
  let ground: SpikeRedis
  let refusals: Refusals
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())
  beforeEach(() => {
    refusals = new Refusals(ground.scripts, log)
    refusals.start()
  })
  afterEach(() => refusals.stop())

  /** An event of which no unit is free. */
  async function taken(units = 1): Promise<{ spike: Spike; claims: Claim[] }> {
    const spike = await ground.open({ granted: units })
    const claims = []
    for (let i = 0; i < units; i++) claims.push(await spike.held())
    return { spike, claims }
  }

  /** One press of a buyer, as the use case makes it. @returns what he is told, and whether from memory */
  async function press(spike: Spike, userId: string, by = refusals) {
    const known = await by.find(spike.id, userId)
    if (known !== undefined) return { kind: known, known: true }
    const generation = by.generationOf(spike.id)
    const reply = await spike.reserve(spike.claim({ userId }))
    if (reply.kind === 'sold_out' || reply.kind === 'all_held')
      by.learn(spike.id, userId, reply.kind, generation)
    return { kind: reply.kind, known: false }
  }

  const pressUntilKnown = (spike: Spike, userId: string, by = refusals) =>
    until('the refusal to be known', async () => (await press(spike, userId, by)).known)
  const pressUntil = (spike: Spike, userId: string, kind: string) =>
    until(`the buyer to be told ${kind}`, async () => (await press(spike, userId)).kind === kind)

  it('are not known before a buyer was refused, nor at his first refusals', async () => {
    const { spike } = await taken()
    const buyer = uuidv7()
    expect(await refusals.find(spike.id, buyer)).to.equal(undefined)
    expect(refusals.generationOf(spike.id)).to.equal(undefined)
    expect(await press(spike, buyer)).to.deep.equal({ kind: 'all_held', known: false })
    expect(await refusals.find(spike.id, buyer)).to.equal(undefined)
  })

  it('are known to the buyer who was refused, once Redis has told the generation, and to nobody else', async () => {
    const { spike } = await taken()
    const [buyer, other] = [uuidv7(), uuidv7()]
    await pressUntilKnown(spike, buyer)
    expect(await press(spike, buyer)).to.deep.equal({ kind: 'all_held', known: true })
    expect(await refusals.find(spike.id, other)).to.equal(undefined)
    expect(await refusals.find(uuidv7(), buyer)).to.equal(undefined)
  })

  it('are no more when a unit is free, which the buyer is sold', async () => {
    const { spike, claims } = await taken()
    const buyer = uuidv7()
    await pressUntilKnown(spike, buyer)
    for (const claim of claims) await spike.release(claim)
    await pressUntil(spike, buyer, 'accepted')
  })

  it('are no more when somebody has become a holder', async () => {
    const { spike, claims } = await taken()
    const [first, second] = [uuidv7(), uuidv7()]
    await pressUntilKnown(spike, first)
    await pressUntilKnown(spike, second)
    for (const claim of claims) await spike.release(claim)
    await spike.held({ userId: first })
    await pressUntil(spike, first, 'existing')
    expect((await press(spike, second)).kind).to.equal('all_held')
    // What was known of the others is checked with Redis again, too.
    await pressUntilKnown(spike, second)
  })

  for (const [status, kind] of [
    ['paused', 'paused'],
    ['ended', 'ended'],
    ['closed', 'not_ready'],
  ] as const)
    it(`are no more when the sale is ${status}`, async () => {
      const { spike } = await taken()
      const buyer = uuidv7()
      await pressUntilKnown(spike, buyer)
      await spike.setStatus(status)
      await pressUntil(spike, buyer, kind)
    })

  it('change from ALL_HELD to SOLD_OUT with the last payment, and stay known', async () => {
    const { spike, claims } = await taken()
    const buyer = uuidv7()
    await pressUntilKnown(spike, buyer)
    for (const claim of claims) {
      await spike.confirm(claim)
      await spike.markPaid(claim)
    }
    await until('SOLD_OUT', async () => {
      const { kind, known } = await press(spike, buyer)
      expect(known).to.equal(true)
      return kind === 'sold_out'
    })
  })

  it('are not learnt of another generation than the present one', async () => {
    const { spike } = await taken()
    const [buyer, late] = [uuidv7(), uuidv7()]
    await pressUntilKnown(spike, buyer)
    for (const generation of [undefined, '0/0-0/0', `${refusals.generationOf(spike.id)}x`])
      refusals.learn(spike.id, late, 'all_held', generation)
    expect(await refusals.find(spike.id, late)).to.equal(undefined)
    refusals.learn(spike.id, late, 'all_held', refusals.generationOf(spike.id))
    expect(await refusals.find(spike.id, late)).to.equal('all_held')
  })

  it('are forgotten of events that nobody asks for any more', async () => {
    const { spike } = await taken()
    await pressUntilKnown(spike, uuidv7())
    await until('the event to be forgotten', () => refusals.generationOf(spike.id) === undefined)
  })

  it('are kept of so many buyers and no more, and of others again when these are forgotten', async () => {
    const { spike } = await taken()
    const [first, last] = [uuidv7(), uuidv7()]
    await pressUntilKnown(spike, first)
    const generation = refusals.generationOf(spike.id)
    for (let i = 0; i < 200_000; i++) refusals.learn(spike.id, `buyer-${i}`, 'all_held', generation)
    refusals.learn(spike.id, last, 'all_held', generation)
    expect(await refusals.find(spike.id, 'buyer-0')).to.equal('all_held')
    expect(await refusals.find(spike.id, last)).to.equal(undefined)
    const { spike: next } = await taken()
    expect((await press(next, last)).known).to.equal(false)
    await until('the next event to be asked about', () => refusals.generationOf(next.id) !== undefined)
    expect([(await press(next, last)).known, (await press(next, last)).known]).to.deep.equal([false, false])
    await spike.confirm(spike.claim()) // somebody becomes a holder
    await until('the crowd to be forgotten', () => refusals.generationOf(spike.id) !== generation)
    await pressUntilKnown(next, last)
  })

  describe('of a Redis that goes away', () => {
    let proxy: Proxy
    let far: Refusals
    let spike: Spike
    let buyer: string
    let redis: ReturnType<typeof createRedis>
    beforeEach(async () => {
      proxy = await Proxy.before(serverUrls().REDIS_URL)
      redis = createRedis(proxy.urlOf(serverUrls().REDIS_URL), 'spike-test', log)
      far = new Refusals(loadScripts(redis, spikeScripts), log)
      far.start()
      ;({ spike } = await taken())
      buyer = uuidv7()
      await pressUntilKnown(spike, buyer, far)
    })
    afterEach(async () => {
      await proxy.restore()
      await far.stop()
      redis.disconnect()
      await proxy.cut()
    })

    async function isSpokenFor(): Promise<boolean> {
      try {
        return (await far.find(spike.id, buyer)) !== undefined
      } catch {
        return false
      }
    }

    for (const [what, leave] of [
      ['refuses connections', () => proxy.cut()],
      ['says nothing', () => proxy.fallSilent()],
    ] as const)
      it(`are not spoken for it when it ${what}, and known again when it is back`, async () => {
        await leave()
        await until('nothing to be known', async () => !(await isSpokenFor()))
        await proxy.restore()
        await until('Redis', () => redis.ping().catch(() => undefined))
        await pressUntilKnown(spike, buyer, far)
      })
  })
})

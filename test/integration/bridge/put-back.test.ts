import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { stockReleased } from '../../../src/contracts/messages/stock-released.ts'
import { discardLetters } from '../../../src/dead-letters/discard.ts'
import { replayLetters } from '../../../src/dead-letters/replay.ts'
import { createSale } from '../../factories/sales.ts'
import {
  actorIn,
  auditOf,
  NOTHING_REPLAYED,
  openUndertaker,
  type Undertaker,
} from '../../support/dead-letters.ts'
import { forgetDead, openSender, type Sender } from '../../support/raw-messages.ts'
import { order } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('a dead letter in the hands of people, while the triage runs', () => {
  let world: World
  let dead: Undertaker
  let sender: Sender

  before(async () => {
    world = await createWorld()
    await world.start('workers')
    dead = await openUndertaker(world)
    sender = await openSender(world)
  })
  after(async () => {
    await sender.close()
    await dead.close()
    await world.close()
  })
  beforeEach(() => forgetDead(dead.deadLetters.queue, dead.createOrders.queue))

  const onlyLetter = () =>
    until('the letter', async () => {
      const letters = await dead.letters()
      return letters.length === 1 && letters[0]
    })

  it('dies again when it is put back, alone, with its count and with whoever put it back, when two press at once', async () => {
    await sender.send(world.topology.queueOf(stockReleased), '{"v":1,"note":"unsigned"}')
    await onlyLetter()
    const before = new Set<string>()
    for (const times of [1, 2, 3]) {
      const { id } = await onlyLetter()
      before.add(id)
      const [one, other] = [await actorIn(world), await actorIn(world)]
      const selection = { address: `dead-letter-${id}` }
      const outcomes = await Promise.all(
        [one, one, other].map((actor) => replayLetters(dead, selection, actor)),
      )
      const letter = await until('its death', async () => {
        const [last] = await dead.letters()
        return last !== undefined && !before.has(last.id) && last
      })
      const [row] = await auditOf(world, 'dead-letter.replay')
        .whereRaw(`after->>'returned' = '1'`)
        .andWhere('target', selection.address)
      expect(letter).to.deep.include({
        replays: times,
        replayed_by: row.actor_id,
        payload: '{"v":1,"note":"unsigned"}',
        origin: world.topology.queueOf(stockReleased),
      })
      expect(outcomes.filter(({ kind }) => kind === 'busy')).to.deep.equal([])
      expect(await dead.letters()).to.have.length(1)
    }
  })

  it('is put back from a group as a whole, and not when only a part of it was kept', async () => {
    for (let i = 0; i < 20; i++) await sender.sendSigned(stockReleased, `bad ${i}`)
    await sender.sendSigned(stockReleased, `{"v":1,"x":"${'x'.repeat(20_000)}"}`)
    await until('the letters', async () => (await dead.letters()).length === 21)
    const whole = (await dead.groups()).find(({ count }) => count === 20)
    const cut = (await dead.groups()).find(({ count }) => count === 1)
    if (whole === undefined || cut === undefined) throw new Error('other groups')
    const actor = await actorIn(world)
    const outcome = await replayLetters(dead, { group: whole.fingerprint }, actor)
    expect(outcome).to.deep.include({ result: { ...NOTHING_REPLAYED, letters: 20, returned: 20 } })
    await until(
      'their deaths',
      async () => (await dead.letters()).filter(({ replays }) => replays === 1).length === 20,
    )
    expect((await dead.groups()).map(({ count }) => count)).to.deep.equal([20, 1])
    const refused = await replayLetters(dead, { group: cut.fingerprint }, actor)
    expect(refused).to.deep.include({ result: { ...NOTHING_REPLAYED, letters: 1, hopeless: 1 } })
  })

  it('is made a job again where a job of an unknown reservation had died, which changes nothing', async () => {
    const rid = randomUUID()
    await dead.createOrders.addBulk([{ payload: { rid } }])
    const { id } = await onlyLetter()
    const outcome = await replayLetters(dead, { address: `dead-letter-${id}` }, await actorIn(world))
    expect(outcome).to.deep.include({ result: { ...NOTHING_REPLAYED, letters: 1, waiting: 1 } })
    await until('its second death', async () => {
      const job = await dead.createOrders.queue.getJob(`create-order-${rid}`)
      return job?.isFailed()
    })
    expect(await onlyLetter()).to.include({ id, replays: 1 })
    expect(await world.knex('orders')).to.have.length(0)
  })

  it('takes its failed job along when it is discarded, so that it does not come back', async () => {
    const { queue } = dead.createOrders
    const jobId = `forged.${randomUUID()}`
    await queue.add('create-order', { rid: 'y' }, { jobId })
    const { id } = await onlyLetter()
    await dead.plant({ id: 'other', payload: { rid: 'x' }, job_id: jobId })
    const isThereWithout = async (letter: string) => {
      await discardLetters(dead, { address: `dead-letter-${letter}` }, 'planted', await actorIn(world))
      return (await queue.getJob(jobId)) !== undefined
    }
    expect(await isThereWithout('other'), 'it carries something else').to.equal(true)
    expect(await isThereWithout(id)).to.equal(false)
    // The triage goes through failed jobs, then through letters: the second letter proves a whole pass.
    const settled = await order(world, await createSale(world), 2)
    for (const { rid } of settled) {
      await dead.plant({ id: rid, payload: { rid } })
      await until('the pass', async () => (await dead.letters()).every((letter) => letter.id !== rid))
    }
    expect((await dead.letters()).map(({ job_id: of }) => of)).to.not.include(jobId)
  })
})

import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { discardLetters } from '../../../src/dead-letters/discard.ts'
import { readLetters, stampReplay } from '../../../src/dead-letters/letters.ts'
import { replayLetters } from '../../../src/dead-letters/replay.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { createSale } from '../../factories/sales.ts'
import { actorIn, auditOf, openUndertaker, type Undertaker } from '../../support/dead-letters.ts'
import { accepted, buyerIds } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('dead letters that people discard', () => {
  let world: World
  let dead: Undertaker

  before(async () => {
    world = await createWorld()
    dead = await openUndertaker(world)
  })
  after(async () => {
    await dead.close()
    await world.close()
  })
  beforeEach(() => dead.deadLetters.queue.drain())

  it('discards with a reason what owes no verdict, names it in the audit log, and keeps the rest', async () => {
    const eventId = await createSale(world)
    const [userId = ''] = await buyerIds(world, 1)
    const undecided = accepted(eventId, userId)
    await receiveReservations(world.knex, [undecided])
    const diedAt = '2026-01-02T00:00:00.000Z'
    await dead.plant(
      { id: 'bad', payload: { rid: 'x' }, dead_at: diedAt },
      { id: 'owing', payload: { rid: undecided.rid } },
    )
    const group = (await dead.groups())[0]?.fingerprint ?? ''
    const actor = await actorIn(world)
    const outcome = await discardLetters(dead, { group }, ' planted by a test ', actor)
    if (outcome.kind === 'busy') throw new Error('nobody else is at it')
    expect(outcome.result).to.include({ reason: 'planted by a test', discarded: 1, owing: 1, left: 0 })
    expect((await dead.letters()).map(({ id }) => id)).to.deep.equal(['owing'])
    const [row, ...more] = await auditOf(world, 'dead-letter.discard').where({ actor_id: actor.userId })
    expect(more).to.deep.equal([])
    expect(row).to.deep.include({ actor_id: actor.userId, before: { letters: 2 } })
    expect(row.after.letters).to.deep.equal([
      {
        address: 'dead-letter-bad',
        origin: 'create-order',
        died_of: 'a bug of then',
        died_at: diedAt,
        replays: 10,
        payload_sha256: createHash('sha256').update('{"rid":"x"}').digest('hex'),
      },
    ])
    const again = await discardLetters(dead, { group }, 'planted by a test', actor)
    expect(again.kind).to.equal('repeated')
    expect(await auditOf(world, 'dead-letter.discard')).to.have.length(1)
    expect(await world.knex('reservations').where({ rid: undecided.rid })).to.have.length(1)
  })

  for (const reason of ['', ' \n ', 'x'.repeat(201)])
    it(`discards nothing for the reason ${JSON.stringify(reason).slice(0, 12)}`, async () => {
      await dead.plant({ id: 'stays', payload: {} })
      const outcome = discardLetters(dead, { address: 'dead-letter-stays' }, reason, await actorIn(world))
      expect(await outcome.then(String, ({ name }: Error) => name)).to.equal('ZodError')
      expect(await dead.letters()).to.have.length(1)
    })

  it('discards a letter whose words PostgreSQL does not take, and replays such a one', async () => {
    const reason = `${'x'.repeat(199)}\u{1F480} of \0`
    await dead.plant({ id: 'odd', reason, origin: 'no\0where' })
    const selection = { address: 'dead-letter-odd' }
    expect((await replayLetters(dead, selection, await actorIn(world))).kind).to.equal('done')
    expect((await discardLetters(dead, selection, 'planted', await actorIn(world))).kind).to.equal('done')
    expect(await dead.letters()).to.deep.equal([])
  })

  it('goes on with a discard that was cut short, and spares what has changed since', async () => {
    await dead.plant({ id: 'one' }, { id: 'two' }, { id: 'three' })
    const group = (await dead.groups())[0]?.fingerprint ?? ''
    const unlocks = [await dead.lock('one'), await dead.lock('two')]
    const actor = await actorIn(world)
    const cutShort = discardLetters(dead, { group }, 'planted', actor)
    expect(await cutShort.then(String, ({ message }: Error) => message)).to.include('could not be removed')
    expect(await dead.letters()).to.have.length(2)
    for (const unlock of unlocks) await unlock()
    const [two] = await readLetters(dead.deadLetters.queue, ['dead-letter-two'])
    if (two !== undefined) await stampReplay(two.job, two.letter, undefined)
    const again = await discardLetters(dead, { group }, 'planted', actor)
    expect(again).to.deep.include({ kind: 'repeated' })
    expect((await dead.letters()).map(({ id }) => id)).to.deep.equal(['two'])
  })
})

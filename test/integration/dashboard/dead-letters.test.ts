import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { reservationAccepted } from '../../../src/contracts/messages/reservation-accepted.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { createSale } from '../../factories/sales.ts'
import { auditOf, letterOfMessage, openUndertaker, type Undertaker } from '../../support/dead-letters.ts'
import { formOf, openBrowser, textOf, type Browser } from '../../support/pages.ts'
import { accepted, buyerIds, order } from '../../support/reservations.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('dead letters at the dashboard', () => {
  let world: World
  let dead: Undertaker
  let operator: Browser
  let viewer: Browser

  before(async () => {
    world = await createWorld()
    await world.start('dashboard')
    dead = await openUndertaker(world)
    operator = await openBrowser(world, 'operator')
    viewer = await openBrowser(world, 'viewer')
  })
  after(async () => {
    await dead.close()
    await world.close()
  })
  beforeEach(() => dead.deadLetters.queue.drain())

  it('are shown in groups, and a group is replayed from its page, once for each form', async () => {
    const eventId = await createSale(world)
    const settled = await order(world, eventId, 3)
    await dead.plant(
      ...settled.map(({ rid }) => ({ payload: { rid }, reason: `a bug met ${rid} <script>` })),
      { reason: 'another', origin: 'close-order', payload: { order_id: 'x' } },
    )
    const groups = await viewer.get('/dead-letters')
    expect(textOf(groups)).to.match(/4 kept.* 3 a bug met # &lt;script> create-order \(job\)/)
    const path = /href="(\/dead-letters\/groups\/[0-9a-f]{16})"/.exec(groups.text)?.[1] ?? ''
    expect(textOf(await operator.get(path))).to.match(/ 3 Nothing is owed any more.* Replay these 3 letters/)
    const fields = await operator.fieldsOf(path, `${path}/replay`)
    const first = await operator.post(`${path}/replay`, fields)
    expect(textOf(first)).to.include('3 letters replayed. 3 settled, and gone.')
    const second = await operator.post(`${path}/replay`, fields)
    expect(textOf(second)).to.include('3 letters replayed, by the first press. 3 settled, and gone.')
    expect(await auditOf(world, 'dead-letter.replay')).to.have.length(1)
    expect(textOf(await operator.get(path))).to.include('no letters of this kind any more')
    expect(await dead.letters()).to.have.length(1)
  })

  it('of a large group are planned in part, which the page says', async () => {
    const died = { reason: 'to somebody@spike.test', source: 'message' as const, origin: 'nowhere' }
    await dead.plant(...Array.from({ length: 501 }, () => died))
    const group = (await dead.groups())[0]?.fingerprint ?? ''
    const page = textOf(await viewer.get(`/dead-letters/groups/${group}`))
    expect(page).to.include('501 dead letters of nowhere').and.include('With the oldest 500 of them')
    expect(page).to.match(/ 500 There is nothing that could be put back/)
  })

  it('name no buyer: ids are cut and e-mails masked, in jobs and in messages', async () => {
    const eventId = await createSale(world)
    const [userId = ''] = await buyerIds(world, 1)
    const message = accepted(eventId, userId)
    await dead.plant(
      letterOfMessage(world, reservationAccepted, message, { id: 'message' }),
      {
        id: 'job',
        reason: 'to somebody@spike.test',
        payload: { user_id: userId, email: 'somebody@spike.test' },
      },
      { id: 'text', source: 'message', payload: `{"user_id": "${userId}", "e": "somebody@spike.test` },
    )
    for (const id of ['message', 'job', 'text']) {
      const { text } = await operator.get(`/dead-letters/dead-letter-${id}`)
      expect(text, id).to.include(`${userId.slice(0, 8)}…`)
      expect(text, id).to.not.include(userId)
      expect(text, id).to.not.include('somebody@')
    }
    const shown = textOf(await operator.get('/dead-letters/dead-letter-message'))
    expect(shown).to.include(`verdict of ${message.rid}`).and.include('By PostgreSQL that is open')
    expect(shown).to.include('It is owed still').and.include('Its job is not there')
  })

  it('are discarded with a reason only, and kept while they owe a verdict', async () => {
    const eventId = await createSale(world)
    const [userId = ''] = await buyerIds(world, 1)
    const message = accepted(eventId, userId)
    await receiveReservations(world.knex, [message])
    await dead.plant({ id: 'bad' }, { id: 'owing', payload: { rid: message.rid } })
    const pathOf = (id: string) => `/dead-letters/dead-letter-${id}`
    const discard = (id: string, reason: string) =>
      operator.press(pathOf(id), `${pathOf(id)}/discard`, { reason })
    for (const reason of ['', ' ', 'x'.repeat(201)])
      expect((await discard('bad', reason)).status).to.equal(400)
    expect(textOf(await discard('owing', 'tired of it'))).to.include('1 kept: somebody waits for the verdict')
    expect(await dead.letters()).to.have.length(2)
    expect(textOf(await discard('bad', 'planted'))).to.include('1 letter discarded: planted')
    expect((await dead.letters()).map(({ id }) => id)).to.deep.equal(['owing'])
    const [row, ...more] = await auditOf(world, 'dead-letter.discard')
    expect(more).to.deep.equal([])
    expect(row).to.deep.include({ target: 'dead-letter-bad', actor_id: operator.account.id })
    expect((await operator.get(pathOf('bad'))).status).to.equal(404)
  })

  it('and failed jobs are looked at by viewers, and pressed by others', async () => {
    await dead.plant({ id: 'seen' })
    const group = (await dead.groups())[0]?.fingerprint ?? ''
    const fields = await viewer.fieldsOf('/dead-letters', '/logout')
    for (const path of ['/dead-letters/dead-letter-seen', `/dead-letters/groups/${group}`])
      for (const press of ['replay', 'discard']) {
        expect(formOf((await viewer.get(path)).text, `${path}/${press}`)).to.equal(undefined)
        expect((await viewer.post(`${path}/${press}`, { ...fields, reason: 'x' })).status).to.equal(403)
      }
    expect((await viewer.get('/dead-letters/retry-failed')).status).to.equal(200)
    expect((await viewer.post('/dead-letters/retry-failed', fields)).status).to.equal(403)
    expect(await dead.letters()).to.have.length(1)
    expect((await viewer.get(`/dead-letters/${randomUUID()}`)).status).to.equal(404)
  })
})

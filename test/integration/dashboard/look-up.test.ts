import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { lookUp, type LookUpDependencies } from '../../../src/look-up.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { order, pay, verdictOn } from '../../support/buying.ts'
import { logIn } from '../../support/dashboard.ts'
import { createClient, type Client } from '../../support/http.ts'
import { expectInOrder, lookUpDependencies, one, words } from '../../support/looking-up.ts'
import { atRest } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the look-up of a purchase', () => {
  let world: World
  let api: Client
  let dashboard: Client
  let headers: { cookie: string }
  let deps: LookUpDependencies
  let close: () => Promise<void>

  before(async () => {
    world = await createWorld({
      RATE_LIMIT: 'off',
      TRACE_URL_TEMPLATE: 'http://traces.test/trace/{trace_id}?a=1&b=2',
    })
    await world.start('workers')
    await world.start('api')
    await world.start('dashboard')
    api = createClient(`${world.apiUrl}/api/v1`)
    dashboard = createClient(world.dashboardUrl)
    headers = await logIn(dashboard, await createAccount(world, 'viewer'))
    ;({ deps, close } = lookUpDependencies(world))
  })
  after(async () => {
    await close()
    await world.close()
  })

  const page = (q: string) => dashboard('GET', `/look-up?q=${encodeURIComponent(q)}`, { headers })
  const look = (text: string) => lookUp(deps, text)

  async function buyer(): Promise<LoadBuyer> {
    const [made] = await createBuyers(world, 1)
    if (made === undefined) throw new Error('no buyer')
    return made
  }

  /** A paid order whose request had this id. */
  async function paidOrder(requestId: string) {
    const eventId = await createSale(world)
    const who = await buyer()
    const reply = await api<{ reservation_id: string }>('POST', `/spike-events/${eventId}/orders`, {
      token: who.access_token,
      json: {},
      headers: { 'x-request-id': requestId },
    })
    const rid = reply.body.data.reservation_id
    const { order_id: orderId = '' } = await verdictOn(api, rid, who)
    await pay(api, orderId, who)
    await atRest(world, eventId)
    return { eventId, rid, orderId, who }
  }

  describe('of a paid order', () => {
    const requestId = uuidv7()
    let paid: Awaited<ReturnType<typeof paidOrder>>
    before(async () => {
      paid = await paidOrder(requestId)
    })

    it('finds it by every kind of name', async () => {
      const { rid, orderId, who } = paid
      const names = {
        order: orderId,
        reservation: rid,
        'reservation in capitals': rid.toUpperCase(),
        'with spaces around': `  ${rid} `,
        'job that made it': `create-order-${rid}`,
        'job that would close it': `close-order-${orderId}`,
        'job that would release it': `release-stock-${rid}`,
        request: requestId,
        'e-mail': who.email,
        'e-mail in capitals': who.email.toUpperCase(),
      }
      for (const [kind, name] of Object.entries(names)) {
        const { status, text } = await page(name)
        expect(status, kind).to.equal(200)
        expect(text, kind).to.include(`>${orderId}<`).and.include(`>${rid}<`)
        expect(text, kind).to.include(`href="/sales/${paid.eventId}"`)
      }
    })

    it('shows its way through all steps, each with its time and clock', async () => {
      const purchase = one(await look(paid.orderId))
      expectInOrder(purchase, [
        'http requested',
        'reserve reserved',
        'bridge received',
        'create-order job_added',
        'create-order job_started',
        'create-order ordered',
        'create-order decided',
        'create-order job_completed',
        'payment payment_started',
        'provider payment_captured',
        'payment paid',
      ])
      expect(words(purchase)).to.include.members([
        'publish told',
        'publish published',
        'close-order job_added',
        'close-order job_due',
      ])
      const clockOf = (what: string) => purchase.timeline.find((moment) => moment.what === what)?.clock
      expect(['requested', 'reserved', 'received', 'job_added'].map(clockOf)).to.deep.equal([
        'api',
        'redis',
        'postgresql',
        'bullmq',
      ])
      expect(purchase.standing).to.deep.equal({ word: 'paid', reason: undefined })
      expect(purchase.requestId).to.equal(requestId)
      expect(purchase.reservations.map(({ record }) => record?.state)).to.deep.equal(['paid'])
      expect(purchase.jobs.map(({ step, state }) => `${step} ${state}`)).to.deep.equal([
        'create-order completed',
        'close-order delayed',
        'release-stock undefined',
      ])
    })

    it('shows its trace, with the way to it', async () => {
      const [traceId, spanId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
      await world
        .knex('reservations')
        .where({ rid: paid.rid })
        .update({ traceparent: `00-${traceId}-${spanId}-01` })
      const { text } = await page(paid.rid)
      expect(text).to.include(`>${traceId}<`)
      expect(text).to.include(`href="http://traces.test/trace/${traceId}?a=1&amp;b=2"`)
      await world.knex('reservations').where({ rid: paid.rid }).update({ traceparent: null })
      expect((await page(paid.rid)).text)
        .to.include('not traced')
        .and.not.include('traces.test')
    })

    it('masks the e-mail of its buyer, even when it was looked up by it', async () => {
      for (const name of [paid.orderId, paid.who.email]) {
        const { text } = await page(name)
        const shown = name === paid.orderId ? text : text.replace(`value="${paid.who.email}"`, '')
        expect(shown).to.not.include(paid.who.email)
        const [local = '', domain = ''] = paid.who.email.split('@')
        expect(shown).to.include(`${local[0]}…${local.at(-1)}@${domain}`)
      }
    })

    it('leads to its jobs on the board', async () => {
      const { text } = await page(paid.rid)
      const job = `/queues/queue/create-order/create-order-${paid.rid}`
      expect(text).to.include(`href="${job}"`)
      expect((await dashboard('GET', job, { headers })).status).to.equal(200)
    })
  })

  it('lists the purchases of an e-mail, the newest first', async () => {
    const who = await buyer()
    const sales = [await createSale(world), await createSale(world)] as const
    const [first, second] = [await order(api, sales[0], who), await order(api, sales[1], who)]
    const { text } = await page(who.email)
    expect(text).to.include('2 purchases')
    const [newer, older] = [text.indexOf(`q=${second.orderId}`), text.indexOf(`q=${first.orderId}`)]
    expect(newer).to.be.above(0)
    expect(older).to.be.above(newer)
  })

  it('says so when nothing has the name, and what the name was taken for', async () => {
    expect((await page(uuidv7())).text).to.include(
      'No order, reservation or request of a purchase has this name',
    )
    expect((await page('nobody@spike.test')).text).to.include('account with this e-mail has this name')
    expect((await page('')).text).to.include('as buyers see it in the API')
  })

  for (const [kind, text] of Object.entries({
    markup: '<script>alert(1)</script>',
    wildcard: '%',
    pattern: '*',
    quotes: `' OR '1'='1`,
    'a zero byte': 'a\0b',
    'something long': 'a'.repeat(5_000),
    'a backslash': '\\ud800',
  }))
    it(`takes ${kind} for no name`, async () => {
      const { status, text: html } = await page(text)
      expect(status).to.equal(400)
      expect(html).to.include('no id and no e-mail').and.not.include('<script>alert')
    })

  it('takes a name given twice for none, and keeps strangers out', async () => {
    expect((await dashboard('GET', '/look-up?q=a&q=b', { headers })).status).to.equal(400)
    const stranger = await dashboard('GET', '/look-up?q=a')
    expect(`${stranger.status} ${stranger.headers.get('location')}`).to.equal('302 /login')
  })

  it('tells nobody the e-mail that was looked up: no referrer, no cache, no text of an error', async () => {
    const reply = await page('nobody@spike.test')
    expect(reply.headers.get('referrer-policy')).to.equal('same-origin')
    expect(reply.headers.get('cache-control')).to.equal('no-store')
    const failing = world.knex.raw('SELECT ?::int', ['nobody@spike.test'])
    const message = await failing.then(
      () => 'none',
      (error: Error) => error.message,
    )
    expect(message)
      .to.include('SELECT')
      .and.not.match(/nobody.*nobody|'nobody/)
  })
})

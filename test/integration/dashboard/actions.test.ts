import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { createDraft, createSale } from '../../factories/sales.ts'
import type { Reply } from '../../support/http.ts'
import { formOf, openBrowser, textOf, type Browser } from '../../support/pages.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

const ACTIONS = ['pause', 'resume', 'end', 'stock', 'rebuild', 'repair'] as const

describe('actions on a sale at the dashboard', () => {
  let world: World
  let operator: Browser
  let viewer: Browser

  before(async () => {
    world = await createWorld()
    await world.start('dashboard')
    operator = await openBrowser(world, 'operator')
    viewer = await openBrowser(world, 'viewer')
  })
  after(() => world.close())

  const page = (id: string, action: string) => `/sales/${id}/actions/${action}`
  const target = (id: string, action: string) => `/sales/${id}/${action}`
  const audits = (id: string, action: string) =>
    world
      .knex('audit_log')
      .where({ target: id, action: `spike-event.${action}` })
      .orderBy('id')
  const eventOf = (id: string) => world.knex('spike_events').where({ id }).first()
  const gateOf = (id: string) => world.redis.hget(spikeKeys(id).gate, 'status')
  const expectLedTo = (reply: Reply<unknown>, path: string) =>
    expect(`${reply.status} ${reply.headers.get('location')}`).to.equal(`303 ${path}`)

  it('pause, resume and end tell their numbers first, then happen once, each with its row', async () => {
    const id = await createSale(world, { stock: 10 })
    const asked = textOf(await operator.get(page(id, 'pause')))
    expect(asked).to.match(/Free units granted and without an order 10/)
    expect(asked).to.match(/Unpaid orders 0 units 0/)
    const done = await operator.press(page(id, 'pause'), target(id, 'pause'))
    expectLedTo(done, `${page(id, 'pause')}?done=1`)
    expect(textOf(await operator.get(`${page(id, 'pause')}?done=1`))).to.include('The sale is paused.')
    expect([(await eventOf(id)).status, await gateOf(id)]).to.deep.equal(['paused', 'paused'])
    await operator.press(page(id, 'resume'), target(id, 'resume'))
    expect([(await eventOf(id)).status, await gateOf(id)]).to.deep.equal(['published', 'open'])
    expect(textOf(await operator.get(page(id, 'end')))).to.match(/go back to the inventory .*? 10/)
    await operator.press(page(id, 'end'), target(id, 'end'))
    expect([(await eventOf(id)).status, await gateOf(id)]).to.deep.equal(['ended', 'ended'])
    for (const [action, before, after] of [
      ['pause', 'published', 'paused'],
      ['resume', 'paused', 'published'],
      ['end', 'published', 'ended'],
    ] as const) {
      const [row, ...more] = await audits(id, action)
      expect(more, action).to.deep.equal([])
      expect(row.actor_id, action).to.equal(operator.account.id)
      expect([row.before.status, row.after.status]).to.deep.equal([before, after])
      expect(row.request_id, action).to.be.a('string')
      expect(row.created_at, action).to.be.an.instanceof(Date)
    }
  })

  it('a double click, and a second operator, get the same answer and leave one row', async () => {
    const id = await createSale(world)
    const other = await openBrowser(world, 'admin')
    const fields = await operator.fieldsOf(page(id, 'pause'), target(id, 'pause'))
    const fieldsOfOther = await other.fieldsOf(page(id, 'pause'), target(id, 'pause'))
    const replies = await Promise.all([
      operator.post(target(id, 'pause'), fields),
      operator.post(target(id, 'pause'), fields),
      other.post(target(id, 'pause'), fieldsOfOther),
    ])
    for (const reply of replies) expectLedTo(reply, `${page(id, 'pause')}?done=1`)
    expect(await audits(id, 'pause')).to.have.length(1)
  })

  it('a form that was shown for another state is refused in words, and changes nothing', async () => {
    const id = await createSale(world)
    const fields = await operator.fieldsOf(page(id, 'end'), target(id, 'end'))
    await operator.press(page(id, 'pause'), target(id, 'pause'))
    const before = await stateOf(world, id)
    const reply = await operator.post(target(id, 'end'), fields)
    expect(reply.status).to.equal(409)
    expect(textOf(reply))
      .to.include('The sale is paused since this was asked')
      .and.include('Nothing was changed')
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  it('is not possible in a state that it is not for: 409 in words, and no button', async () => {
    const [draft, ended] = [await createDraft(world), await createSale(world)]
    await operator.press(page(ended, 'end'), target(ended, 'end'))
    const fields = await operator.fieldsOf(page(await createSale(world), 'pause'), '/logout')
    for (const [id, actions] of [
      [draft, ACTIONS],
      [ended, ['pause', 'resume', 'stock']],
    ] as const) {
      const before = await stateOf(world, id)
      for (const action of actions) {
        const shown = action === 'rebuild' ? '1' : (await eventOf(id)).status
        const asked = await operator.get(page(id, action))
        expect(formOf(asked.text, target(id, action)), action).to.equal(undefined)
        const reply = await operator.post(target(id, action), { ...fields, shown, delta: '1', reason: 'x' })
        expect(reply.status, `${action}: ${textOf(reply)}`).to.equal(409)
      }
      expect(await stateOf(world, id)).to.deep.equal(before)
    }
  })

  it('is not there for a sale that is not there, and refuses what is no input, in words', async () => {
    const id = await createSale(world)
    const fields = await operator.fieldsOf(page(id, 'pause'), '/logout')
    const before = await stateOf(world, id)
    for (const action of ACTIONS)
      for (const none of [randomUUID(), 'x']) {
        expect((await operator.get(page(none, action))).status).to.equal(404)
        expect((await operator.post(target(none, action), fields)).status).to.equal(404)
      }
    expect((await operator.get(page(id, 'explode'))).status).to.equal(404)
    for (const [action, input] of [
      ['pause', {}],
      ['end', { shown: 'gone' }],
      ['rebuild', { shown: 'x' }],
      ['stock', { delta: '0', reason: 'x' }],
      ['stock', { delta: '1.5', reason: 'x' }],
      ['stock', { delta: '1', reason: ' ' }],
      ['stock', { delta: '1', reason: 'x'.repeat(201) }],
      ['stock', { delta: '1', reason: 'x\0' }],
      ['stock', { delta: '1', reason: 'x', idempotency_key: '' }],
    ] as const) {
      const reply = await operator.post(target(id, action), { ...fields, ...input })
      expect(reply.status, `${action} ${JSON.stringify(input)}`).to.equal(400)
      expect(textOf(reply)).to.include('Nothing was changed')
    }
    expect((await operator.get(`${page(id, 'stock')}?delta=0&reason=x`)).status).to.equal(400)
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  it('stock: tells what comes of it, changes it once for each form, and refuses more than there is', async () => {
    const id = await createSale(world, { stock: 10 })
    const plan = `${page(id, 'stock')}?delta=5&reason=more+%3Cb%3E`
    expect(textOf(await operator.get(plan))).to.match(
      /Granted units 10 → 15 .*Inventory of Test product 990 → 985/,
    )
    const fields = await operator.fieldsOf(plan, target(id, 'stock'))
    const post = () => operator.post(target(id, 'stock'), fields)
    const replies = [...(await Promise.all([post(), post()])), await post()]
    const places = new Set(replies.map((reply) => `${reply.status} ${reply.headers.get('location')}`))
    expect(places.size, [...places].join()).to.equal(1)
    expect(replies[0]?.status).to.equal(303)
    expect(textOf(await operator.get(replies[0]?.headers.get('location') ?? ''))).to.include(
      'Done: add 5 units. The sale has 15 units, 15 free.',
    )
    expect(await world.redis.get(spikeKeys(id).stock)).to.equal('15')
    const [row, ...more] = await audits(id, 'stock')
    expect(more).to.deep.equal([])
    expect([row.before, row.after]).to.deep.equal([
      { granted: 10, available: 10 },
      {
        granted: 15,
        available: 15,
        delta: 5,
        reason: 'more <b>',
      },
    ])
    for (const [delta, words] of [
      ['-16', 'Only 15 units of the sale are free.'],
      ['986', 'has fewer than 986 units'],
    ] as const) {
      const link = `${page(id, 'stock')}?delta=${delta}&reason=x`
      const reply = await operator.press(link, target(id, 'stock'))
      expect(`${reply.status} ${textOf(reply)}`)
        .to.match(/^409/)
        .and.include(words)
    }
    expect((await eventOf(id)).granted).to.equal(15)
  })

  it('rebuild: tells rids, backlog and epoch, and happens once for each form', async () => {
    const id = await createSale(world)
    const asked = textOf(await operator.get(page(id, 'rebuild')))
    expect(asked).to.match(/Epoch becomes 2 1 /)
    expect(asked).to.match(/Rids that Redis knows 0/)
    expect(asked).to.match(/Reservations in the broker .*? 0 /)
    const fields = await operator.fieldsOf(page(id, 'rebuild'), target(id, 'rebuild'))
    const post = () => operator.post(target(id, 'rebuild'), fields)
    for (const reply of [...(await Promise.all([post(), post()])), await post()])
      expectLedTo(reply, `${page(id, 'rebuild')}?done=1`)
    const rows = await audits(id, 'rebuild')
    expect(rows.map((row) => [row.actor_id, row.before, row.after])).to.deep.equal([
      [operator.account.id, { epoch: 1 }, { epoch: 2 }],
    ])
    expect(await gateOf(id)).to.equal('open')
  })

  it('repair: looks first, writes nothing then, repairs what lasts, and finds nothing the second time', async () => {
    const sound = await createSale(world)
    const clean = await operator.get(page(sound, 'repair'))
    expect(textOf(clean)).to.include('there is nothing to repair')
    expect(formOf(clean.text, target(sound, 'repair'))).to.equal(undefined)
    const id = await createSale(world)
    await world.redis.incrby(spikeKeys(id).stock, 3)
    const rotten = await operator.get(page(id, 'repair'))
    expect(textOf(rotten)).to.match(/Drift: -3 units.*miscounted 1 rebuild/)
    expect([...(await audits(id, 'repair')), ...(await audits(id, 'rebuild'))]).to.deep.equal([])
    expect(await world.redis.get(spikeKeys(id).stock)).to.equal('13')
    const fields = formOf(rotten.text, target(id, 'repair')) ?? {}
    const reply = await operator.post(target(id, 'repair'), fields)
    expect(textOf(await operator.get(reply.headers.get('location') ?? ''))).to.include(
      'Repaired: the sale was rebuilt.',
    )
    const again = await operator.post(target(id, 'repair'), fields)
    expect(textOf(await operator.get(again.headers.get('location') ?? ''))).to.include('nothing was changed')
    expect(await world.redis.get(spikeKeys(id).stock)).to.equal('10')
    const [row, ...more] = await audits(id, 'repair')
    expect(more).to.deep.equal([])
    expect([row.actor_id, row.before, row.after]).to.deep.equal([
      operator.account.id,
      { drift: -3, findings: { miscounted: 1 } },
      { repaired: {}, rebuilt: true },
    ])
  })

  it('repair: looks once for all who ask within seconds, and anew after a press', async () => {
    const id = await createSale(world)
    await world.redis.incrby(spikeKeys(id).stock, 3)
    const pages = await Promise.all([operator, viewer, viewer].map((one) => one.get(page(id, 'repair'))))
    await world.redis.incrby(spikeKeys(id).stock, 1)
    for (const one of [...pages, await viewer.get(page(id, 'repair'))])
      expect(textOf(one)).to.include('Drift: -3 units')
    const fields = formOf(pages[0]?.text ?? '', target(id, 'repair')) ?? {}
    const reply = await operator.post(target(id, 'repair'), fields)
    expect((await audits(id, 'repair'))[0]?.before).to.deep.equal({ drift: -4, findings: { miscounted: 1 } })
    expect(textOf(await operator.get(reply.headers.get('location') ?? ''))).to.include('Drift: 0 units')
  })

  it('rebuilds many sales that are pressed at once, each in its turn', async () => {
    const ids = await Promise.all(Array.from({ length: 16 }, () => createSale(world)))
    const fields = await operator.fieldsOf(page(ids[0] ?? '', 'rebuild'), '/logout')
    const replies = await Promise.all(
      ids.map((id) => operator.post(target(id, 'rebuild'), { ...fields, shown: '1' })),
    )
    for (const [i, id] of ids.entries())
      expectLedTo(replies[i] as Reply<unknown>, `${page(id, 'rebuild')}?done=1`)
    expect(await Promise.all(ids.map(gateOf))).to.deep.equal(ids.map(() => 'open'))
  })

  it('takes what no text can hold for what is not there', async () => {
    const id = await createSale(world)
    for (const path of [
      `${page(id, 'repair')}?done=%00`,
      '/audit?target=%00',
      `${page(id, 'stock')}?done=%00`,
    ])
      expect((await viewer.get(path)).status, path).to.equal(200)
  })

  it('a viewer sees the numbers and no button, and is refused when pressing one all the same', async () => {
    const id = await createSale(world)
    const fields = await viewer.fieldsOf(page(id, 'pause'), '/logout')
    const before = await stateOf(world, id)
    for (const action of ACTIONS) {
      const asked = await viewer.get(`${page(id, action)}?delta=1&reason=x`)
      expect(asked.status).to.equal(200)
      expect(formOf(asked.text, target(id, action)), action).to.equal(undefined)
      const shown = action === 'rebuild' ? '1' : 'published'
      const sent = { ...fields, shown, delta: '1', reason: 'x' }
      expect((await viewer.post(target(id, action), sent)).status, action).to.equal(403)
    }
    expect(await stateOf(world, id)).to.deep.equal(before)
  })

  it('leaves rows that everybody at the dashboard can read, by target and by page', async () => {
    const id = await createSale(world)
    await operator.press(page(id, 'pause'), target(id, 'pause'))
    const rows = textOf(await viewer.get(`/audit?target=${id}`))
    expect(rows)
      .to.include(`${operator.account.email} spike-event.pause`)
      .and.include('{"status":"published"}')
    expect(rows).to.include('the product itself spike-event.publish')
    const filler = Array.from({ length: 101 }, (_, i) => ({ action: 'test', target: 'filler', after: { i } }))
    await world.knex('audit_log').insert(filler)
    const first = await viewer.get('/audit?target=filler')
    const older = /href="(\/audit\?older=\d+&amp;target=filler)"/.exec(first.text)?.[1] ?? ''
    const second = textOf(await viewer.get(older.replaceAll('&amp;', '&')))
    expect(second).to.include('{"i":0}').and.not.include('{"i":1}')
    expect((await viewer.get('/audit?older=x')).status).to.equal(200)
  })
})

import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { LiveView } from '../../../dashboard/live/wire.ts'
import { receiveReservations } from '../../../src/orders/inbox.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { createSale } from '../../factories/sales.ts'
import { orderUnits, reserveUnits } from '../../support/claims.ts'
import { logIn } from '../../support/dashboard.ts'
import { createClient } from '../../support/http.ts'
import { meterOf, openTab, shown, type LiveTab } from '../../support/live.ts'
import { openBrowser, textOf, type Browser } from '../../support/pages.ts'
import { accepted } from '../../support/reservations.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** The sweep of the workers would mend it by itself, so none runs. */
describe('a hold that somebody has deleted from Redis by hand', () => {
  let world: World
  let operator: Browser
  let headers: Record<string, string>
  const SHOWN_WITHIN_MS = 60_000
  before(async () => {
    world = await createWorld()
    await world.start('dashboard')
    operator = await openBrowser(world, 'operator')
    headers = await logIn(createClient(world.dashboardUrl), operator.account)
  })
  after(() => world.close())

  /** Deletes it under the eyes of a live page, and repairs what the page shows, by its form. */
  async function deleteAndRepair(eventId: string, rid: string, watch: (tab: LiveTab) => Promise<unknown>) {
    const tab = await openTab(world, eventId, headers)
    await tab.sees('all is well', (view) => shown(view, 'drift') === 'Every unit is accounted for.')
    expect(await world.redis.hdel(spikeKeys(eventId).states, rid)).to.equal(1)
    await watch(tab)
    const [page, target] = [`/sales/${eventId}/actions/repair`, `/sales/${eventId}/repair`]
    const done = await operator.press(page, target)
    expect(textOf(await operator.get(done.headers.get('location') ?? ''))).to.include('Repaired')
    const mended = tab.views().length
    const isWell = (view: LiveView) => shown(view, 'drift') === 'Every unit is accounted for.'
    await until('all is well again', () => tab.views().slice(mended).some(isWell))
    tab.leave()
    const rows = await world.knex('audit_log').where({ target: eventId, action: 'spike-event.repair' })
    expect(rows).to.have.length(1)
    expect(rows[0]).to.include({ actor_id: operator.account.id })
    expect(rows[0].created_at).to.be.an.instanceof(Date)
    return rows[0] as { before: { drift: number; findings: object }; after: object }
  }

  it('is drift when it has no verdict; repair brings it back, and the audit log has it', async () => {
    const eventId = await createSale(world, { stock: 5 })
    const [claim] = await reserveUnits(world, eventId, 1)
    const { rid, userId } = claim as { rid: string; userId: string }
    await receiveReservations(world.knex, [accepted(eventId, userId, { rid })])
    const row = await deleteAndRepair(eventId, rid, async (tab) => {
      const view = await tab.sees(
        'drift',
        ({ fields }) => fields.drift?.tone === 'bad' && fields.drift.text.startsWith('1 unit missing'),
        SHOWN_WITHIN_MS,
      )
      expect(meterOf(view)).to.include({ drift: 1, free: 4, held: 0 })
    })
    expect(row.before.drift).to.equal(1)
    expect(await world.redis.hget(spikeKeys(eventId).states, rid)).to.match(/^(held|queued)\|/)
    expect(await world.redis.get(spikeKeys(eventId).stock)).to.equal('4')
  })

  it('is named with a link when its order stands; repair brings it back, and the audit log has it', async () => {
    const eventId = await createSale(world, { stock: 5 })
    const [ordered] = await orderUnits(world, eventId, 1)
    const { rid } = ordered as { rid: string }
    const row = await deleteAndRepair(eventId, rid, async (tab) => {
      const view = await tab.sees('a fault', ({ fields }) => fields.drift?.tone === 'bad', SHOWN_WITHIN_MS)
      expect(view.findings.map((finding) => finding.rid)).to.include(rid)
    })
    expect(Object.keys(row.before.findings)).to.include('unconfirmed')
    expect(await world.redis.hget(spikeKeys(eventId).states, rid)).to.match(/^confirmed\|/)
    expect(await world.redis.get(spikeKeys(eventId).stock)).to.equal('4')
  })
})

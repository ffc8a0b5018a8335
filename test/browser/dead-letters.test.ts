import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { Page } from 'playwright-core'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { decideReservations } from '../../src/orders/decide.ts'
import { receiveReservations } from '../../src/orders/inbox.ts'
import { startStepWorker } from '../../src/platform/bullmq/worker.ts'
import { createWorkerRedis } from '../../src/platform/redis/client.ts'
import { createOrderHandler } from '../../workers/create-order/handler.ts'
import { createAccount } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { expectAccessible, logInBy, useBrowser } from '../support/browser.ts'
import { letterOfMessage, openUndertaker, type Undertaker } from '../support/dead-letters.ts'
import { accepted, buyerIds, expectConserved } from '../support/reservations.ts'
import { createWorld, type World } from '../support/world.ts'

const ORDERED = 20
const UNDECIDED = 30
const LETTERS = ORDERED + UNDECIDED

describe('dead letters, in a browser', function () {
  this.slow(15_000)
  const visit = useBrowser('dead-letters')
  let world: World
  let dead: Undertaker
  let eventId: string
  let stopWorker: () => Promise<void>
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('dashboard')
    dead = await openUndertaker(world)
    stopWorker = startCreateOrder(world) // and no triage, which would be faster than the browser
    eventId = await createSale(world, { stock: LETTERS + 10 })
    const messages = (await buyerIds(world, LETTERS)).map((userId) => accepted(eventId, userId))
    await receiveReservations(world.knex, messages)
    await decideReservations(
      world.knex,
      messages.slice(0, ORDERED).map(({ rid }) => rid),
    )
    await dead.plant(
      ...messages.map((message) =>
        letterOfMessage(world, reservationAccepted, message, { reason: `no column for ${message.rid}` }),
      ),
    )
  })
  after(async () => {
    await stopWorker?.()
    await dead?.close()
    await world?.close()
  })

  /** By the links that people follow. */
  async function openGroup(page: Page): Promise<void> {
    await page.getByRole('link', { name: 'Dead letters' }).click()
    await page.getByText(`${LETTERS} kept`).waitFor()
    await expectAccessible(page)
    await page.getByRole('link', { name: 'no column for #' }).click()
    await page.getByRole('heading', { level: 1, name: `${LETTERS} dead letters` }).waitFor()
  }

  const orders = () => world.knex('orders').where({ event_id: eventId })

  it(
    'are shown to a viewer, with no button to press',
    visit(async ({ page }) => {
      await logInBy(page, world.dashboardUrl, await createAccount(world, 'viewer'))
      await openGroup(page)
      expect(await page.locator('form[method=post] button').allTextContents()).to.deep.equal(['Log out'])
      await page.getByRole('listitem').getByRole('link').first().click()
      await page.getByRole('heading', { name: 'A dead letter' }).waitFor()
      await expectAccessible(page)
      expect(await page.locator('form[method=post] button').allTextContents()).to.deep.equal(['Log out'])
    }),
  )

  it(
    'of one kind are replayed to none, by two presses in two tabs, without a second order',
    visit(async ({ page, newTab, picture }) => {
      await logInBy(page, world.dashboardUrl, await createAccount(world, 'operator'))
      await openGroup(page)
      const other = await newTab()
      await other.goto(page.url())
      for (const count of [ORDERED, UNDECIDED])
        await page.getByRole('cell', { name: String(count), exact: true }).waitFor()
      await expectAccessible(page)
      await picture('group')
      expect(await orders()).to.have.length(ORDERED)

      const replay = { name: `Replay these ${LETTERS} letters` }
      await page.getByRole('button', replay).click()
      await page.getByRole('status').getByText(`${LETTERS} letters replayed. ${LETTERS} settled`).waitFor()
      await picture('replayed')
      expect(await orders()).to.have.length(LETTERS)

      await other.getByRole('button', replay).click()
      await other.getByText('0 letters replayed').waitFor()
      await other.getByRole('link', { name: 'All dead letters' }).click()
      await other.getByText('There are none.').waitFor()
      expect(await orders()).to.have.length(LETTERS)
      expect(await expectConserved(world.knex, eventId)).to.equal(10)
    }),
  )
})

function startCreateOrder(world: World): () => Promise<void> {
  const connection = createWorkerRedis(world.config.queueRedisUrl, 'spike-test', world.log)
  const worker = startStepWorker({
    definition: createOrderJob,
    handler: createOrderHandler(world),
    exhausted: async () => undefined,
    isOutage: () => false,
    concurrency: 50,
    namespace: world.config.namespace,
    connection,
    log: world.log,
  })
  return async () => {
    await worker.close()
    connection.disconnect()
  }
}

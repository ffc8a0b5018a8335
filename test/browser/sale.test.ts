import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import type { Page } from 'playwright-core'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createAccount, createBuyers, type Account } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { expectAccessible, logInBy, useBrowser } from '../support/browser.ts'
import { buy, verdictOn } from '../support/buying.ts'
import { createClient, type Client } from '../support/http.ts'
import { createWorld, type World } from '../support/world.ts'

const UNITS = 100
/** What the page promises: a change is seen within this time. */
const SEEN_WITHIN_MS = 2_000

describe('a running sale, in a browser', function () {
  this.slow(15_000)
  const visit = useBrowser('sale')
  let world: World
  let api: Client
  let operator: Account
  let viewer: Account
  let eventId: string
  let buyers: LoadBuyer[]
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    for (const role of ['workers', 'api', 'dashboard'] as const) await world.start(role)
    api = createClient(`${world.apiUrl}/api/v1`)
    operator = await createAccount(world, 'operator')
    viewer = await createAccount(world, 'viewer')
    eventId = await createSale(world, { stock: UNITS })
    buyers = await createBuyers(world, 10)
  })
  after(() => world?.close())

  const nextBuyer = (): LoadBuyer => {
    const buyer = buyers.pop()
    if (buyer === undefined) throw new Error('no buyer is left')
    return buyer
  }

  /** Opens the live page from the list of sales, and waits until it is fed. */
  async function openSale(page: Page, account: Account): Promise<void> {
    await logInBy(page, world.dashboardUrl, account)
    await page.goto(`${world.dashboardUrl}/sales`)
    await page.locator(`a[href="/sales/${eventId}"]`).first().click()
    await page.getByText('live', { exact: true }).first().waitFor()
  }

  const figure = (page: Page, name: string) => page.locator(`[data-live="${name}"]`).first()
  const shows = (page: Page, name: string, text: string) =>
    figure(page, name)
      .filter({ hasText: new RegExp(`^${text}$`) })
      .waitFor({ timeout: SEEN_WITHIN_MS })

  it(
    'shows a purchase within 2 s, in every tab, without being loaded again',
    visit(async ({ page, newTab, picture }) => {
      await openSale(page, operator)
      const other = await newTab()
      await other.goto(page.url())
      const free = Number(await figure(page, 'free').textContent())
      await buy(api, eventId, nextBuyer())
      await Promise.all([page, other].map((tab) => shows(tab, 'free', String(free - 1))))
      await picture('live')
      await expectAccessible(page)
    }),
  )

  for (const colorScheme of ['light', 'dark'] as const)
    it(
      `can be read on a narrow screen, ${colorScheme}`,
      visit(
        async ({ page, picture }) => {
          await openSale(page, operator)
          await expectAccessible(page)
          await picture(`narrow-${colorScheme}`)
        },
        { colorScheme, width: 360 },
      ),
    )

  it(
    'is paused and resumed by buttons that ask first',
    visit(async ({ page, newTab, picture }) => {
      await openSale(page, operator)
      const watching = await newTab()
      await watching.goto(page.url())
      const refused = nextBuyer()

      await page.getByRole('link', { name: 'Pause' }).click()
      await expectAccessible(page)
      await picture('pause')
      await page.getByRole('button', { name: /pause/i }).click()
      await page.getByText('The sale is paused.').waitFor()
      await shows(watching, 'state', 'Paused')
      expect((await buy(api, eventId, refused)).body.error).to.equal('SALE_PAUSED')

      await watching.getByRole('link', { name: 'Resume' }).click()
      await watching.getByRole('button', { name: /resume/i }).click()
      await watching.getByRole('status').getByText('The sale is').waitFor()
      expect((await buy(api, eventId, refused)).status).to.equal(202)
      const rows = await world.knex('audit_log').where({ actor_id: operator.id }).orderBy('id')
      expect(
        rows.map(({ action, target }) => [action.split('.').at(-1), target.includes(eventId)]),
      ).to.deep.equal([
        ['pause', true],
        ['resume', true],
      ])
    }),
  )

  it(
    'shows a viewer everything and no button but the way out',
    visit(async ({ page }) => {
      await openSale(page, viewer)
      for (const path of ['', '/report']) {
        await page.goto(`${world.dashboardUrl}/sales/${eventId}${path}`)
        const buttons = await page.locator('form[method=post] button').allTextContents()
        expect(buttons, `on the page${path}`).to.deep.equal(['Log out'])
        expect(await page.locator('a[href*="/actions/"]').count(), `ways to actions on${path}`).to.equal(0)
      }
      await page.goto(`${world.dashboardUrl}/sales/${eventId}/actions/pause`)
      expect(await page.getByRole('button', { name: /pause/i }).count()).to.equal(0)
    }),
  )

  describe('whose purchases are looked up', () => {
    const names: Record<string, string> = {}
    before(async () => {
      const buyer = nextBuyer()
      const reply = await buy(api, eventId, buyer)
      const rid = reply.body.data.reservation_id
      const { order_id: orderId = '' } = await verdictOn(api, rid, buyer)
      Object.assign(names, {
        'an order id': orderId,
        'a reservation id': rid,
        'a job id': `create-order-${rid}`,
        'a request id': reply.body.request_id,
        'an e-mail': buyer.email,
      })
    })

    for (const kind of ['an order id', 'a reservation id', 'a job id', 'a request id', 'an e-mail'])
      it(
        `are found by ${kind}`,
        visit(async ({ page, picture }) => {
          await logInBy(page, world.dashboardUrl, viewer)
          await page.getByRole('link', { name: 'Look up' }).click()
          await page.getByRole('searchbox').fill(names[kind] ?? '')
          await page.keyboard.press('Enter')
          await page.getByRole('heading', { name: 'Timeline' }).waitFor()
          const told = page.getByRole('region', { name: 'Names of the purchase' })
          for (const name of ['an order id', 'a reservation id', 'a request id'])
            expect(await told.textContent(), name).to.contain(names[name])
          await expectAccessible(page)
          await picture(`found-by-${kind.replaceAll(' ', '-')}`)
        }),
      )
  })
})

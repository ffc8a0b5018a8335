import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount, type Account } from '../factories/accounts.ts'
import { expectAccessible, logInBy, useBrowser } from '../support/browser.ts'
import { createWorld, type World } from '../support/world.ts'

describe('the way into the dashboard, in a browser', function () {
  this.slow(10_000)
  const visit = useBrowser('login')
  let world: World
  let operator: Account
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('dashboard')
    operator = await createAccount(world, 'operator')
  })
  after(() => world?.close())

  it(
    'is a form that leads in, and a button that leads out',
    visit(async ({ page, picture }) => {
      await page.goto(world.dashboardUrl)
      expect(new URL(page.url()).pathname).to.equal('/login')
      await expectAccessible(page)
      await picture('form')
      await logInBy(page, world.dashboardUrl, operator)
      await picture('inside')
      await page.getByRole('button', { name: 'Log out' }).click()
      await page.getByRole('button', { name: 'Log in' }).waitFor()
      await page.goto(`${world.dashboardUrl}/queues`)
      expect(new URL(page.url()).pathname, 'after the log-out').to.equal('/login')
    }),
  )

  it(
    'works without a mouse',
    visit(async ({ page }) => {
      await page.goto(`${world.dashboardUrl}/login`)
      // The form gets the focus by itself, when the browser first paints it.
      await page.getByLabel('E-mail').and(page.locator(':focus')).waitFor()
      await page.keyboard.type(operator.email)
      await page.keyboard.press('Tab')
      await page.keyboard.type(operator.password)
      await page.keyboard.press('Enter')
      await page.getByRole('button', { name: 'Log out' }).waitFor()
      await page.keyboard.press('Tab')
      const first = page.locator(':focus')
      expect(await first.textContent(), 'first stop').to.contain('Skip to the content')
      expect(await first.isVisible(), 'seen when it is reached').to.equal(true)
    }),
  )

  it(
    'says what is wrong, and keeps the session cookie from scripts',
    visit(
      async ({ page, picture }) => {
        await page.goto(`${world.dashboardUrl}/login`)
        await page.getByLabel('E-mail').fill(operator.email)
        await page.getByLabel('Password').fill('not the password')
        await page.getByRole('button', { name: 'Log in' }).click()
        await page.getByRole('alert').waitFor()
        expect(await page.getByRole('alert').textContent()).to.contain('E-mail or password is wrong')
        await expectAccessible(page)
        await picture('refused')
        await logInBy(page, world.dashboardUrl, operator)
        expect(await page.evaluate('document.cookie')).to.not.contain('spike_dashboard')
      },
      { expected: [/status of 401/] },
    ),
  )

  for (const colorScheme of ['light', 'dark'] as const)
    it(
      `fits a narrow screen, ${colorScheme}`,
      visit(
        async ({ page, picture }) => {
          await page.goto(`${world.dashboardUrl}/login`)
          await expectAccessible(page)
          await picture(`narrow-${colorScheme}`)
        },
        { colorScheme, width: 360 },
      ),
    )

  it(
    "has Bull Board's queues behind it, which need nothing from elsewhere",
    visit(async ({ page, picture }) => {
      await logInBy(page, world.dashboardUrl, operator)
      await page.goto(`${world.dashboardUrl}/queues`)
      for (const queue of ['create-order', 'close-order', 'release-stock', 'dead-letter'])
        await page
          .getByRole('link', { name: new RegExp(queue) })
          .first()
          .waitFor()
      await picture('queues')
    }),
  )
})

/** A real Chromium in front of the dashboard, which says whatever went wrong on a page. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { after, before } from 'mocha'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { findInstalled } from '../../tools/services/binaries.ts'
import type { Account } from '../factories/accounts.ts'

/** Ignored by git. */
const PICTURES = fileURLToPath(new URL('../../.data/screenshots', import.meta.url))
const IN_PAGE = readFileSync(new URL('./in-page.js', import.meta.url), 'utf8')
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])
const PATIENCE_MS = 5_000

export interface VisitOptions {
  colorScheme?: 'light' | 'dark'
  /** Of the window; 1280 by default. */
  width?: number
  /** Errors on the console that belong to what the test does, such as the refusal that it asks for. */
  expected?: readonly RegExp[]
}

export interface Visit {
  page: Page
  /** A further tab with the same cookies. */
  newTab: () => Promise<Page>
  /** Keeps what the page looks like at this step. */
  picture: (name: string) => Promise<void>
}

/**
 * One browser for the tests of a file, and a context of its own for each. A visit fails when a page throws, writes an
 * error to the console (a broken content policy does), fails to load something, or asks any host but this machine.
 * @param name of the file's folder among the pictures
 */
export function useBrowser(
  name: string,
): (run: (visit: Visit) => Promise<void>, options?: VisitOptions) => () => Promise<void> {
  let browser: Browser
  before('a browser', async function () {
    this.timeout(30_000)
    const executablePath = process.env.CHROMIUM_PATH || findInstalled('chromium', process.env.PATH)?.command
    if (executablePath === undefined) {
      process.stdout.write(
        '\n  NO CHROMIUM: the tests in a browser are skipped; set CHROMIUM_PATH to have them\n\n',
      )
      this.skip()
    }
    // Whatever a page names outside of this machine does not even resolve.
    const args = ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost']
    browser = await chromium.launch({ executablePath, args })
  })
  after(() => browser?.close())

  return (run, options = {}) =>
    async function () {
      const context = await openContext(browser, options)
      const problems = watch(context, options.expected ?? [])
      const page = await context.newPage()
      const picture = (step: string) => takePicture(page, name, step)
      try {
        await run({ page, newTab: () => context.newPage(), picture })
      } catch (error) {
        await picture(`failed-${Date.now()}`).catch(() => undefined) // the test's own error is the one to tell
        throw problems.length === 0 ? error : new Error(problems.join('\n'), { cause: error })
      } finally {
        await context.close()
      }
      expect(problems, 'what went wrong on the pages').to.deep.equal([])
    }
}

async function openContext(
  browser: Browser,
  { colorScheme = 'light', width = 1_280 }: VisitOptions,
): Promise<BrowserContext> {
  const viewport = { width, height: 800 }
  const context = await browser.newContext({ colorScheme, viewport, reducedMotion: 'reduce', locale: 'en' })
  context.setDefaultTimeout(PATIENCE_MS)
  return context
}

/** Collects from every page of a context what no page may do. */
function watch(context: BrowserContext, expected: readonly RegExp[]): string[] {
  const problems: string[] = []
  context.on('weberror', (error) => problems.push(`thrown: ${error.error().message}`))
  context.on('console', (message) => {
    const text = message.text()
    if (message.type() !== 'error' || expected.some((pattern) => pattern.test(text))) return
    problems.push(`console: ${text} (${message.location().url})`)
  })
  context.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url())
    if (protocol !== 'data:' && !LOOPBACK.has(hostname)) problems.push(`asks elsewhere: ${request.url()}`)
  })
  context.on('requestfailed', (request) => {
    const why = request.failure()?.errorText ?? ''
    // A page that is left takes its stream and its unfinished requests with it.
    if (why !== 'net::ERR_ABORTED') problems.push(`not loaded: ${request.url()} ${why}`)
  })
  return problems
}

async function takePicture(page: Page, folder: string, step: string): Promise<void> {
  await page.screenshot({ path: join(PICTURES, folder, `${step}.png`), fullPage: true })
}

/** Fills the form in and waits for the page behind it. */
export async function logInBy(page: Page, dashboardUrl: string, account: Account): Promise<void> {
  await page.goto(`${dashboardUrl}/login`)
  await page.getByLabel('E-mail').fill(account.email)
  await page.getByLabel('Password').fill(account.password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.waitForURL((url) => url.pathname !== '/login')
}

/** Things that a reader of screens stumbles over: each has a role, and no name. */
const NAMELESS = /^\s*- (button|link|textbox|searchbox|spinbutton|combobox|checkbox|radio|img|meter)(:|$| \[)/

/**
 * Holds a page against what people need who do not see it well: a language, a title, one main heading, a name on
 * everything that can be used, text that stands out, and nothing that hangs out at the side.
 */
export async function expectAccessible(page: Page): Promise<void> {
  expect(await page.title(), 'title').to.not.equal('')
  expect(await page.locator('html').getAttribute('lang'), 'language').to.equal('en')
  expect(await page.getByRole('heading', { level: 1 }).count(), 'main headings').to.equal(1)
  const lines = (await page.locator('body').ariaSnapshot()).split('\n')
  expect(
    lines.filter((line) => NAMELESS.test(line)),
    'things without a name',
  ).to.deep.equal([])
  const found = await page.evaluate<{ pale: string[]; overhang: number }>(IN_PAGE)
  expect(found.pale, 'text that hardly stands out').to.deep.equal([])
  expect(found.overhang, 'pixels to scroll to the side').to.be.at.most(0)
}

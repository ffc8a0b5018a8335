import { expect } from 'chai'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { provideBrowser } from '../../tools/services/browser.ts'

describe('provideBrowser', () => {
  let folder: string
  let dataDir: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'browser-test-'))
    chmodSync(folder, 0o755) // else root's services, which run as somebody else, could not be kept in it
    dataDir = join(folder, 'data')
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const program = (name: string, script = 'exit 0'): string => {
    const file = join(folder, name)
    writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return file
  }
  const provide = (env: NodeJS.ProcessEnv) => provideBrowser({ env, log: () => undefined, dataDir })

  for (const name of ['chromium', 'chromium-browser', 'google-chrome'])
    it(`finds ${name} on the PATH`, async () => {
      const path = program(name)
      expect(await provide({ PATH: folder })).to.deep.equal({ kind: 'found', path })
    })

  it('takes the one that CHROMIUM_PATH names before any other', async () => {
    program('chromium')
    const path = program('mine')
    expect(await provide({ PATH: folder, CHROMIUM_PATH: path })).to.deep.equal({ kind: 'found', path })
  })

  it('does not go on with another when CHROMIUM_PATH names no program', async () => {
    program('chromium')
    const error = await provide({ PATH: folder, CHROMIUM_PATH: '/no/such' }).catch((e: unknown) => e)
    expect((error as Error).message).to.equal('CHROMIUM_PATH names no program: /no/such')
  })

  it('says how to get one where it can not be fetched', async () => {
    expect(await provide({ PATH: folder })).to.deep.equal({
      kind: 'missing',
      reason: 'Chromium is not installed, and there is no apt-get to fetch it with',
      wayOut: 'sudo apt-get install --no-install-recommends chromium, or name one in CHROMIUM_PATH',
    })
  })

  it('says why the fetch failed, and leaves nothing behind', async () => {
    program('apt-get', 'echo E: no network; exit 100')
    program('dpkg-deb')
    const browser = await provide({ PATH: folder })
    expect(browser.kind).to.equal('missing')
    expect(browser.kind === 'missing' && browser.reason).to.match(/could not be fetched: [^]*E: no network/)
    expect(readdirSync(dataDir)).to.deep.equal([])
  })
})

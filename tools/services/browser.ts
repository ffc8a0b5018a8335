import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findInstalled, findUnpacked, isExecutable } from './binaries.ts'
import { openHome, type Home } from './home.ts'
import { installCommand } from './install-command.ts'
import { openInstance } from './instance.ts'
import { canFetch, packageFetcher, packageFolder } from './packages.ts'

/** Where Chromium is, or why there is none and what puts that right. */
export type Browser = { kind: 'found'; path: string } | { kind: 'missing'; reason: string; wayOut: string }

interface BrowserOptions {
  env: NodeJS.ProcessEnv
  log: (line: string) => void
  signal?: AbortSignal
  /** Where fetched packages are kept; by default the project's ignored data folder. */
  dataDir?: string
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Provides Chromium as the services are provided: the one that `CHROMIUM_PATH` names, else one that is installed, else
 * Debian's package, fetched and unpacked with no root and no change to the system.
 * @throws when `CHROMIUM_PATH` names no program
 */
export async function provideBrowser(options: BrowserOptions): Promise<Browser> {
  const { env, dataDir = join(PROJECT, '.data') } = options
  const given = env['CHROMIUM_PATH']
  if (given !== undefined && given !== '') {
    if (!isExecutable(given)) throw new Error(`CHROMIUM_PATH names no program: ${given}`)
    return { kind: 'found', path: given }
  }
  const installed = findInstalled('chromium', env['PATH'])
  if (installed !== undefined) return { kind: 'found', path: installed.command }
  try {
    const home = openHome(dataDir)
    const path = unpacked(home) ?? (canFetch(env) ? await fetchBrowser(home, options) : undefined)
    if (path !== undefined) return { kind: 'found', path }
    return missing(env, 'Chromium is not installed, and there is no apt-get to fetch it with')
  } catch (error) {
    options.signal?.throwIfAborted()
    return missing(env, `Chromium is not installed and could not be fetched: ${(error as Error).message}`)
  }
}

async function fetchBrowser(home: Home, { env, log, signal }: BrowserOptions): Promise<string | undefined> {
  const instance = openInstance(home)
  const giveUp = (): void => void instance.keeper.stop()
  signal?.addEventListener('abort', giveUp)
  try {
    await packageFetcher(instance, home, env, log)('chromium')
    return unpacked(home)
  } finally {
    signal?.removeEventListener('abort', giveUp)
    await instance.keeper.stop()
  }
}

function unpacked(home: Home): string | undefined {
  return findUnpacked('chromium', packageFolder(home, 'chromium'))?.command
}

function missing(env: NodeJS.ProcessEnv, reason: string): Browser {
  return {
    kind: 'missing',
    reason,
    wayOut: `${installCommand(['chromium'], env)}, or name one in CHROMIUM_PATH`,
  }
}

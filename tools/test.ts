/**
 * `npm test`: the checks of the sources, the audit of the packages, the build, then every test on real services, with
 * coverage.
 * `npm test -- test/lua` runs only those tests, without the checks.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { auditPackages } from './lib/audit.ts'
import { checkSources } from './lib/checks.ts'
import { runCommand, type Cleanup } from './lib/command.ts'
import { build, provideEnvironment } from './lib/set-up.ts'
import { provideBrowser } from './services/browser.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const say = (line: string) => process.stdout.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  const only = process.argv.slice(2)
  if (only.length === 0 && !((await checkSources()) && (await auditPackages()))) return 1
  const [{ env, services }, , browser] = await Promise.all([
    provideEnvironment(say, signal),
    build(),
    needsBrowser(only) ? provideBrowser({ env: process.env, log: say, signal }) : undefined,
  ])
  cleanup.add(() => services.stop())
  env.ALL_TESTS = only.length === 0 ? '1' : '0'
  if (browser?.kind === 'found') env.CHROMIUM_PATH = browser.path
  const code = await runMocha(only, env, cleanup)
  if (browser?.kind === 'missing')
    say(`\nTESTS IN A BROWSER WERE SKIPPED: ${browser.reason}\nto have them: ${browser.wayOut}`)
  return code
})

function needsBrowser(only: readonly string[]): boolean {
  return only.length === 0 || only.some((path) => path.includes('browser'))
}

/** Mocha under c8; the processes that tests start are covered too. Ends with the counts on a line of their own. */
async function runMocha(only: readonly string[], env: NodeJS.ProcessEnv, cleanup: Cleanup): Promise<number> {
  const colour = process.stdout.isTTY ? '--color' : '--no-color'
  const mocha = [
    'node_modules/mocha/bin/mocha.js',
    colour,
    '--recursive',
    // Those of clusters have a command of their own: `npm run clusters`.
    ...(only.length === 0 ? ['test', '--ignore', 'test/clusters/**'] : only),
  ]
  const child = spawn(process.execPath, ['node_modules/c8/bin/c8.js', process.execPath, ...mocha], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  cleanup.add(() => child.kill('SIGTERM'))
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    process.stdout.write(chunk)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  const plain = stripVTControlCharacters(output)
  const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}`, 'm').exec(plain)?.[1] ?? 0)
  say(`\n${count('passing')} passed, ${count('failing')} failed, ${count('pending')} skipped`)
  return count('passing') === 0 ? 1 : (code ?? 1)
}

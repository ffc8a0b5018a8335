/**
 * `npm run clusters`: the product on clusters of its services, one of whose nodes is killed in mid-sale, and behind a proxy.
 * `npm run clusters -- redis-cluster` runs one of the files of `test/clusters` only.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { runCommand } from './lib/command.ts'
import { build, provideEnvironment } from './lib/set-up.ts'
import { CLUSTERS } from './services/clusters.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** What has a test: the clusters, and what stands in front of the API. */
const NAMES = [...Object.keys(CLUSTERS), 'haproxy']

const say = (line: string) => process.stdout.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  const names = readNames(process.argv.slice(2))
  // The plain services: each test starts its own cluster in the place of some of them.
  const [{ env, services }] = await Promise.all([provideEnvironment(say, signal), build()])
  cleanup.add(() => services.stop())
  const files = names.map((name) => `test/clusters/${name}.test.ts`)
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...files], {
    cwd: ROOT,
    env,
    stdio: 'inherit',
  })
  cleanup.add(() => child.kill('SIGTERM'))
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
})

function readNames(asked: readonly string[]): readonly string[] {
  for (const name of asked)
    if (!NAMES.includes(name))
      throw new Error(`there is no test of '${name}': name one of ${NAMES.join(', ')}`)
  return asked.length === 0 ? NAMES : asked
}

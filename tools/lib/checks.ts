import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SOURCES = [
  'src',
  'workers',
  'dashboard',
  'migrations',
  'seeds',
  'tools',
  'client',
  'test',
  'bench',
  'knexfile.ts',
]

/** The checks of the sources, in the order in which they run. */
const CHECKS: { name: string; args: string[] }[] = [
  { name: 'format', args: ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.'] },
  { name: 'lint', args: ['node_modules/oxlint/bin/oxlint', '--type-aware', '--quiet', ...SOURCES] },
  { name: 'types', args: ['node_modules/typescript/bin/tsc', '--noEmit'] },
  { name: 'browser types', args: ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.browser.json'] },
  {
    name: 'imports',
    args: [
      '--import',
      'tsx',
      '--import',
      './tools/lib/typescript-5.ts',
      'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
      '--config',
      '.dependency-cruiser.cjs',
      ...SOURCES,
    ],
  },
  { name: 'api', args: ['--import', 'tsx', 'tools/api/generate.ts', '--check'] },
]

/** Runs all checks, also after one has failed. @returns whether all passed */
export async function checkSources(): Promise<boolean> {
  let ok = true
  for (const { name, args } of CHECKS) {
    const began = Date.now()
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    process.stdout.write(
      `${name}: ${code === 0 ? 'ok' : 'FAILED'} (${((Date.now() - began) / 1_000).toFixed(1)} s)\n`,
    )
    if (code === 0) continue
    process.stdout.write(output)
    ok = false
  }
  return ok
}

/** The knex CLI in a process of its own, as operators call it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLI = 'node_modules/knex/bin/cli.js'

export interface CliResult {
  code: number | null
  output: string
}

/** @param form whether the sources run, or the compiled files */
export async function knexCli(
  form: 'sources' | 'compiled',
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<CliResult> {
  const node = form === 'sources' ? ['--import', 'tsx', CLI] : [CLI]
  const knexfile = form === 'sources' ? 'knexfile.ts' : 'dist/knexfile.js'
  const args = [...node, '--knexfile', knexfile, ...command]
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

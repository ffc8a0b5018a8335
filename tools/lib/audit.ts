/** The audit of the packages that run in production, as far as the registry answers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Weaknesses below are told and do not fail the tests. */
const FAILING = ['high', 'critical'] as const

const report = z.object({
  vulnerabilities: z.record(
    z.string(),
    z.object({ severity: z.enum(['info', 'low', 'moderate', ...FAILING]), range: z.string() }),
  ),
})

/** @returns false when a package of production has a known weakness of high or critical severity */
export async function auditPackages(): Promise<boolean> {
  const answer = report.safeParse(await npmAudit())
  if (!answer.success) {
    say('audit: skipped, the registry did not answer it')
    return true
  }
  const found = Object.entries(answer.data.vulnerabilities)
  const failing = found.filter(([, { severity }]) => FAILING.some((level) => level === severity))
  say(`audit: ${failing.length === 0 ? 'ok' : 'FAILED'} (known weaknesses: ${found.length})`)
  for (const [name, { severity, range }] of found) say(`  ${severity}: ${name} ${range}`)
  return failing.length === 0
}

/** @returns what npm printed, read as JSON; undefined when it is none */
async function npmAudit(): Promise<unknown> {
  const cli = process.env.npm_execpath?.endsWith('npm-cli.js')
    ? [process.execPath, process.env.npm_execpath]
    : ['npm']
  const [command = 'npm', ...first] = cli
  const args = ['audit', '--omit=dev', '--json', '--fetch-retries=0', '--fetch-timeout=15000']
  const child = spawn(command, [...first, ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await once(child, 'close') // with 1 when there is something to tell, too
  try {
    return JSON.parse(output) as unknown
  } catch {
    return undefined
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

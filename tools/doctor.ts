/**
 * `npm run doctor`: checks every setting, service and process that this product needs; each bad line says what mends
 * it. Exit code 1 when one is bad, 2 when it was called wrongly.
 */
import { loadEnvFile } from '../src/platform/config.ts'
import { examine } from './doctor/examine.ts'
import type { Finding } from './doctor/finding.ts'
import { DOCTOR_HELP, doctorOptions } from './doctor/options.ts'
import { runCommand } from './lib/command.ts'
import { withRunningStack } from './lib/running-stack.ts'

await runCommand(async () => {
  const options = readOptions(process.argv.slice(2))
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${DOCTOR_HELP}\n`)
    return 0
  }
  loadEnvFile()
  const checks = await examine(withRunningStack(process.env))
  const ok = checks.every((check) => check.ok)
  process.stdout.write(options.json ? `${JSON.stringify({ ok, checks }, undefined, 2)}\n` : report(checks))
  return ok ? 0 : 1
})

function readOptions(argv: readonly string[]) {
  try {
    return doctorOptions(argv)
  } catch (error) {
    return (error as Error).message.split('\n')[0] ?? ''
  }
}

function report(checks: readonly Finding[]): string {
  const lines = checks.map(({ what, ok, detail, mend, untold }) => {
    const mark = untold === true ? '--  ' : ok ? 'ok  ' : 'BAD '
    return `${mark}  ${what}: ${detail}${mend === undefined ? '' : `\n        -> ${mend}`}`
  })
  const bad = checks.filter((check) => !check.ok).length
  const verdict = bad === 0 ? 'Everything is usable.' : `${bad} of ${checks.length} checks failed.`
  return `${lines.join('\n')}\n\n${verdict}\n`
}

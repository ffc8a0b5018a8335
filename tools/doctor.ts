/** `npm run doctor`: checks every setting and service this product needs; exit 1 when one is not usable. */
import { ConfigError, loadConfig, loadEnvFile, type Config } from '../src/platform/config.ts'
import {
  checkBroker,
  checkDashboard,
  checkApi,
  checkNode,
  checkPostgres,
  checkRedis,
} from './doctor/checks.ts'
import type { Finding } from './doctor/finding.ts'
import { runCommand } from './lib/command.ts'
import { withRunningStack } from './lib/running-stack.ts'

await runCommand(async () => {
  loadEnvFile()
  const findings: Finding[] = [checkNode()]
  const config = readConfig(findings)
  if (config !== undefined) {
    const rounds = await Promise.all([
      checkPostgres(config),
      checkRedis('REDIS_URL', config.redisUrl, { durable: true }),
      checkRedis('QUEUE_REDIS_URL', config.queueRedisUrl, { durable: false }),
      checkBroker(config),
      checkApi(config),
      checkDashboard(config),
    ])
    findings.push(...rounds.flat())
  }
  for (const { what, ok, detail, mend } of findings)
    process.stdout.write(
      `${ok ? 'ok  ' : 'BAD '}  ${what}: ${detail}${mend === undefined || ok ? '' : `\n        -> ${mend}`}\n`,
    )
  const bad = findings.filter((finding) => !finding.ok).length
  process.stdout.write(
    bad === 0 ? '\nEverything is usable.\n' : `\n${bad} of ${findings.length} checks failed.\n`,
  )
  return bad === 0 ? 0 : 1
})

function readConfig(findings: Finding[]): Config | undefined {
  try {
    const config = loadConfig(withRunningStack(process.env))
    findings.push({ what: 'settings', ok: true, detail: `complete for ${config.env}` })
    return config
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems)
      findings.push({
        what: 'setting',
        ok: false,
        detail: problem,
        mend: 'cp .env.example .env and fill it in, or start everything with `npm run stack`',
      })
    return undefined
  }
}

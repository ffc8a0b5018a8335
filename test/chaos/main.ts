/**
 * `npm run chaos`: the campaign of crashes, on private services of its own.
 *
 *   --runs N      how many runs (default 30)      --seed S     the first run's seed (default 1)
 *   --cells N     sets of services at a time      --faults a,b only these kinds of fault
 *   --markdown F  writes the table into F         --picture F  writes the course of the first run as SVG into F
 *   --each-failpoint   a run for each fail point with each failure, or for those that --faults names
 *   --teeth       plants bugs into a copy of the build and expects the campaign to catch each
 *   --recovery    measures how long each recovery takes, in place of the campaign
 *
 * Exits 0 only when every run kept every promise.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { runCommand } from '../../tools/lib/command.ts'
import { build } from '../../tools/lib/set-up.ts'
import { runCampaign } from './campaign.ts'
import { openCell } from './cell.ts'
import { FAILPOINT_FAULTS, FAULTS } from './faults.ts'
import { drawRun } from './picture.ts'
import { planFailpoint, planRun, type RunPlan } from './plan.ts'
import { measureRecovery, recoveryMarkdown } from './recovery.ts'
import { faultsOf } from './run.ts'
import { lineOf, markdownOf, totalsOf } from './summary.ts'
import { catchPlantedBugs } from './teeth.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

const options = {
  runs: { type: 'string', default: '30' },
  seed: { type: 'string', default: '1' },
  cells: { type: 'string', default: '2' },
  faults: { type: 'string' },
  markdown: { type: 'string' },
  picture: { type: 'string' },
  'each-failpoint': { type: 'boolean', default: false },
  teeth: { type: 'boolean', default: false },
  recovery: { type: 'boolean', default: false },
} as const

function whole(name: string, text: string, max: number): number {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1 || n > max)
    throw new Error(`--${name} must be a whole number from 1 to ${max}`)
  return n
}

/** The deck, or only what was asked for. */
function planned(seed: number, only: readonly string[] | undefined): RunPlan {
  const failpoints = FAILPOINT_FAULTS.map(({ name }) => name)
  const outside = FAULTS.map(({ name }) => name).filter((name) => !failpoints.includes(name))
  const plan = planRun(seed, { failpoints, outside })
  if (only === undefined) return plan
  return { ...plan, strikes: only.map((fault, i) => ({ fault, atMs: 500 + i * 500 })) }
}

await runCommand(async (cleanup, signal) => {
  const { values } = parseArgs({ options })
  const [runs, seed] = [whole('runs', values.runs, 100_000), whole('seed', values.seed, 2 ** 31)]
  const cells = whole('cells', values.cells, 8)
  await build()
  const opened = (cell: { close(): Promise<void> }) => cleanup.add(() => cell.close())
  if (values.recovery) {
    const cell = await openCell(say, signal)
    opened(cell)
    const rows = await measureRecovery(cell, say)
    const table = recoveryMarkdown(rows)
    say(table)
    if (values.markdown !== undefined) writeFileSync(values.markdown, table)
    return rows.every(({ goalS, measured }) => Math.max(...measured) <= goalS) ? 0 : 1
  }
  if (values.teeth) return catchPlantedBugs({ cells, say, signal, opened })
  const only = values.faults?.split(',')
  const plans = values['each-failpoint']
    ? (only ?? FAILPOINT_FAULTS.map(({ name }) => name)).map((fault, i) => planFailpoint(fault, seed + i))
    : Array.from({ length: runs }, (_, i) => planned(seed + i, only))
  const results = await runCampaign({ plans, cells, say, signal, opened })
  if (values.markdown !== undefined) writeFileSync(values.markdown, markdownOf(results))
  const [first] = results
  if (values.picture !== undefined && first !== undefined)
    writeFileSync(
      values.picture,
      drawRun(`seed ${first.plan.seed}: ${faultsOf(first.plan)}`, first.samples, first.marks),
    )
  const totals = totalsOf(results)
  say(lineOf(totals))
  return totals.broken === 0 && totals.runs === plans.length ? 0 : 1
})

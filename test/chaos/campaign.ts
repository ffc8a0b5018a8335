/** Many runs, on several cells at the same time: the machine mostly waits for what a fault has broken to come back. */
import type { Cell } from './cell.ts'
import { openCell } from './cell.ts'
import type { RunPlan } from './plan.ts'
import { isKept, faultsOf, runPlan, type RunResult } from './run.ts'

export interface CampaignOptions {
  plans: readonly RunPlan[]
  /** Sets of private services that are used at the same time. */
  cells: number
  say: (line: string) => void
  signal: AbortSignal
  /** Called with each cell that is opened, so that it is closed however the command ends. */
  opened: (cell: Cell) => void
}

/** Runs all plans. A run that breaks a promise does not stop the others. */
export async function runCampaign(options: CampaignOptions): Promise<RunResult[]> {
  const { plans, say, signal } = options
  const results: RunResult[] = []
  const left = [...plans]
  const work = async () => {
    const cell = await openCell(say, signal)
    options.opened(cell)
    for (let plan = left.shift(); plan !== undefined && !signal.aborted; plan = left.shift()) {
      const result = await runPlan(cell, plan, () => undefined)
      results.push(result)
      say(lineOf(result, results.length, plans.length))
    }
  }
  await Promise.all(Array.from({ length: Math.min(options.cells, plans.length) }, work))
  return results.toSorted((a, b) => a.plan.seed - b.plan.seed)
}

function lineOf(result: RunResult, nth: number, of: number): string {
  const { plan, judgement, tookMs } = result
  const { told, orders, settledAfterMs } = judgement
  const verdict = isKept(judgement) ? 'kept' : 'BROKEN'
  const line = `${String(nth).padStart(String(of).length)}/${of}  seed ${plan.seed}  ${verdict}  ${faultsOf(plan)}  told ${told}, orders ${orders}, at rest after ${(settledAfterMs / 1_000).toFixed(1)} s, ${(tookMs / 1_000).toFixed(0)} s in all`
  if (isKept(judgement)) return line
  return [
    line,
    ...judgement.broken.map((what) => `    ${what}`),
    `    logs: ${result.logs}`,
    `    again: ${replayOf(plan)}`,
  ].join('\n')
}

/** The command that runs one plan again. */
export function replayOf({ seed }: RunPlan): string {
  return `npm run chaos -- --runs 1 --seed ${seed}`
}

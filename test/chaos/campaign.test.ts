import { expect } from 'chai'
import { after, describe, it } from 'mocha'
import { ServicesUnavailable } from '../../tools/services/index.ts'
import { runCampaign } from './campaign.ts'
import { FAILPOINT_FAULTS, FAULTS } from './faults.ts'
import { planRun } from './plan.ts'
import { lineOf, totalsOf } from './summary.ts'

const RUNS = 24
const FIRST_SEED = 1
/** On 2 cores; a run mostly waits for what a fault has broken. */
const CELLS = 3
const TWELVE_MINUTES_MS = 720_000

describe('campaign of crashes', function () {
  this.timeout(TWELVE_MINUTES_MS)
  const abort = new AbortController()
  const cells: { close(): Promise<void> }[] = []
  after(async () => {
    abort.abort()
    await Promise.all(cells.map((cell) => cell.close()))
  })

  it(`keeps every promise in ${RUNS} runs`, async function () {
    const failpoints = FAILPOINT_FAULTS.map(({ name }) => name)
    const outside = FAULTS.map(({ name }) => name).filter((name) => !failpoints.includes(name))
    const plans = Array.from({ length: RUNS }, (_, i) => planRun(FIRST_SEED + i, { failpoints, outside }))
    try {
      const results = await runCampaign({
        plans,
        cells: CELLS,
        say: (line) => process.stdout.write(`      ${line}\n`),
        signal: abort.signal,
        opened: (cell) => cells.push(cell),
      })
      const totals = totalsOf(results)
      process.stdout.write(`      ${lineOf(totals)}\n`)
      expect(totals).to.include({ runs: RUNS, broken: 0 })
    } catch (error) {
      if (!(error instanceof ServicesUnavailable)) throw error
      process.stdout.write(`\n  NO CAMPAIGN: it needs private services, which this machine can't have\n\n`)
      this.skip()
    }
  })
})

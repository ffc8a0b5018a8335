import { expect } from 'chai'
import { describe, it } from 'mocha'
import { MUTANT_NAMES, MUTANTS } from './model/mutants.ts'
import { simulate } from './simulation.ts'

/** Most are found within a few hundred. */
const SEEDS = 20_000

describe('the teeth of the simulation', function () {
  this.timeout(120_000)

  for (const planted of MUTANT_NAMES)
    it(`catches ${planted}: ${MUTANTS[planted]}`, function () {
      const failure = simulate({ seeds: SEEDS, seed: 1, planted, shrink: false })
      expect(failure, `not caught in ${SEEDS} schedules`).not.to.equal(undefined)
      expect(failure?.rule, failure?.story.join('\n')).not.to.equal('the model works')
      if (this.test !== undefined) this.test.title += ` (${failure?.played} schedules, "${failure?.rule}")`
    })
})

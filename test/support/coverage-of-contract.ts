import { expect } from 'chai'
import { unseenAnswers } from './conformance.ts'

/** After a run of all tests: has a test got every answer that the contract declares? */
export function checkContractCoverage(): void {
  // Set by `npm test` when it runs everything; a run of some files can not see everything.
  if (process.env.ALL_TESTS !== '1') return
  const { unseen, declared } = unseenAnswers()
  process.stdout.write(
    `\n  contract: ${declared - unseen.length} of ${declared} declared answers were got by a test\n`,
  )
  expect(unseen, 'declared and never got').to.deep.equal([])
}

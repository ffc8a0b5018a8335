import pLimit from 'p-limit'
import { readConservation, type ConservationDependencies } from '../../conservation.ts'
import { presentConservation, presentReport } from '../../figures/present-sale.ts'
import { readReport } from '../../report.ts'
import type { figureRoutes } from '../contract/figures.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

/** Each keeps a connection of PostgreSQL for seconds when the sale is big; buyers need the others. */
const READS_AT_ONCE = 2

export function figureHandlers(deps: ConservationDependencies): HandlersOf<typeof figureRoutes> {
  const turn = pLimit(READS_AT_ONCE)
  return {
    readConservation: async ({ params: { id } }) => {
      const facts = await turn(() => readConservation(deps, id))
      return facts === undefined ? refuse('NOT_FOUND') : { status: 200, data: presentConservation(id, facts) }
    },
    readReport: async ({ params: { id } }) => {
      const report = await turn(() => readReport(deps, id))
      return report === undefined ? refuse('NOT_FOUND') : { status: 200, data: presentReport(report) }
    },
  }
}

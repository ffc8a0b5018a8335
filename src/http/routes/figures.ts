import { readConservation, type ConservationDependencies } from '../../conservation.ts'
import { readReport } from '../../report.ts'
import type { figureRoutes } from '../contract/figures.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'
import { presentConservation, presentReport } from '../present-sale.ts'

export function figureHandlers(deps: ConservationDependencies): HandlersOf<typeof figureRoutes> {
  return {
    readConservation: async ({ params: { id } }) => {
      const facts = await readConservation(deps, id)
      return facts === undefined ? refuse('NOT_FOUND') : { status: 200, data: presentConservation(id, facts) }
    },
    readReport: async ({ params: { id } }) => {
      const report = await readReport(deps, id)
      return report === undefined ? refuse('NOT_FOUND') : { status: 200, data: presentReport(report) }
    },
  }
}

import { Router } from '@koa/router'
import type { ConservationDependencies } from '../../src/conservation.ts'
import { id } from '../../src/contracts/values.ts'
import { presentReport, type PresentedReport } from '../../src/figures/present-sale.ts'
import { readReport } from '../../src/report.ts'
import { keptByEvent } from '../kept.ts'
import { showPage } from '../page.tsx'
import { ReportPage } from './page.tsx'

/** A read keeps a connection of PostgreSQL for seconds when the sale is big, and Redis from its work for a moment. */
const FRESH_MS = 3_000

/** What a sale brought: a page to print, and the same figures as JSON. */
export function reportRoutes(deps: ConservationDependencies): Router {
  const reports = keptByEvent(FRESH_MS, async (eventId) => {
    const report = await readReport(deps, eventId)
    return report && presentReport(report)
  })
  /** Undefined where there is no such event. */
  const read = async (param: string | undefined): Promise<PresentedReport | undefined> => {
    const eventId = id.safeParse(param)
    return eventId.success ? reports.read(eventId.data) : undefined
  }
  const router = new Router()
  router.get('/sales/:id/report', async (ctx) => {
    const report = await read(ctx.params.id)
    if (report === undefined) return
    const product = await deps.knex('products').where('id', report.event.product_id).first('name')
    showPage(ctx, {
      title: `Report: ${product.name}`,
      section: 'sales',
      styles: ['report.css'],
      body: <ReportPage report={report} productName={product.name} />,
    })
  })
  router.get('/sales/:id/report.json', async (ctx) => {
    const report = await read(ctx.params.id)
    if (report === undefined) return
    ctx.set('Cache-Control', 'no-store')
    ctx.set('Content-Disposition', `attachment; filename="sale-${report.event.id}.json"`)
    ctx.type = 'json'
    ctx.body = JSON.stringify(report, null, 2)
  })
  return router
}

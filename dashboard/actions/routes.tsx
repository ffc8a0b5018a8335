/** What may be done to a sale: each action has a page that asks, with the numbers it touches, and one way to press. */
import { Router } from '@koa/router'
import { id } from '../../src/contracts/values.ts'
import type { DashboardContext } from '../context.ts'
import { readSale, withShared, type ActionDependencies, type Actions, type Sale } from './dependencies.ts'
import { askRebuild, askRepair, doRebuild, doRepair } from './mend.tsx'
import { askStep, doStep } from './steps.tsx'
import { askStock, doStock } from './stock.tsx'
import { isAction, isStep, WORDS, type Action } from './words.ts'

export function actionRoutes(dependencies: ActionDependencies): Router {
  const deps = withShared(dependencies)
  const router = new Router()
  router.get('/sales/:id/actions/:action', async (ctx) => {
    const { action } = ctx.params
    const sale = await saleOf(deps, ctx.params.id)
    if (sale !== undefined && isAction(action)) await ask(ctx, deps, action, sale)
  })
  for (const action of Object.keys(WORDS) as Action[])
    router.post(`/sales/:id/${action}`, async (ctx) => {
      const sale = await saleOf(deps, ctx.params.id)
      if (sale === undefined) return
      try {
        await act(ctx, deps, action, sale)
      } finally {
        deps.dryRuns.forget(sale.event.id)
      }
    })
  return router
}

/** What is not there is left to whoever answers for missing pages. */
async function saleOf(deps: ActionDependencies, param: string | undefined): Promise<Sale | undefined> {
  const { data: eventId } = id.safeParse(param)
  return eventId === undefined ? undefined : readSale(deps, eventId)
}

function ask(ctx: DashboardContext, deps: Actions, action: Action, sale: Sale): Promise<void> {
  if (isStep(action)) return askStep(ctx, deps, action, sale)
  const questions = { stock: askStock, rebuild: askRebuild, repair: askRepair }
  return questions[action](ctx, deps, sale)
}

function act(ctx: DashboardContext, deps: Actions, action: Action, sale: Sale): Promise<void> {
  if (isStep(action)) return doStep(ctx, deps, action, sale)
  const presses = { stock: doStock, rebuild: doRebuild, repair: doRepair }
  return presses[action](ctx, deps, sale)
}

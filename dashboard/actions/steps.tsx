/** Pause, resume, end. */
import { z } from 'zod'
import { endSale, pauseSale, resumeSale } from '../../src/sale.ts'
import { EVENT_STATUSES } from '../../src/spike-events/model.ts'
import { actorOf, type DashboardContext } from '../context.ts'
import { ActionForm, Confirm, leadTo, notPossible, showActionPage } from './pages.tsx'
import { readNumbers, type ActionDependencies, type Sale } from './dependencies.ts'
import { possibleIn, STATUS_WORDS, STEP_STATES, type Step } from './words.ts'

const USE_CASE = { pause: pauseSale, resume: resumeSale, end: endSale }
const form = z.object({ shown: z.enum(EVENT_STATUSES) })

export async function askStep(
  ctx: DashboardContext,
  deps: ActionDependencies,
  action: Step,
  sale: Sale,
): Promise<void> {
  const { event } = sale
  const page = { action, event, productName: sale.product.name }
  if (ctx.query.done !== undefined && event.status === STEP_STATES[action].to)
    return showActionPage(ctx, { ...page, done: `The sale is ${STATUS_WORDS[event.status]}.` })
  if (!possibleIn(action).includes(event.status))
    return showActionPage(ctx, { ...page, children: <p>{notPossible(action, event.status)}</p> })
  const numbers = await readNumbers(deps, sale)
  const children = (
    <Confirm ctx={ctx} action={action} numbers={numbers}>
      <ActionForm ctx={ctx} action={action} eventId={event.id} shown={event.status} />
    </Confirm>
  )
  return showActionPage(ctx, { ...page, children })
}

/** Pressed twice, the second press finds the sale where the first one has brought it, and says the same. */
export async function doStep(
  ctx: DashboardContext,
  deps: ActionDependencies,
  action: Step,
  { event, product }: Sale,
): Promise<void> {
  const done = `/sales/${event.id}/actions/${action}?done=1`
  const refuse = (status: number, refused: string) =>
    showActionPage(ctx, { action, event, productName: product.name, status, refused })
  const input = form.safeParse(ctx.request.body)
  if (!input.success) return refuse(400, 'The form does not say what it was shown for.')
  if (event.status === STEP_STATES[action].to) return leadTo(ctx, done)
  if (event.status !== input.data.shown)
    return refuse(409, `The sale is ${STATUS_WORDS[event.status]} since this was asked: look again.`)
  const result = await USE_CASE[action](deps.sale, event.id, actorOf(ctx))
  switch (result.kind) {
    case 'done':
      return leadTo(ctx, done)
    case 'not_found':
      return undefined
    case 'wrong_state':
      return result.status === STEP_STATES[action].to
        ? leadTo(ctx, done)
        : refuse(409, notPossible(action, result.status))
  }
}

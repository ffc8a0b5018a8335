/** Adding units to a sale, and taking free ones back: first how many, then what comes of it, then the press. */
import type { VNode } from 'preact'
import { z } from 'zod'
import { id } from '../../src/contracts/values.ts'
import { adjustSale } from '../../src/sale.ts'
import { MAX_GRANTED } from '../../src/spike-events/model.ts'
import { actorOf, maySteer, type DashboardContext } from '../context.ts'
import { readNumbers, type ActionDependencies, type Sale } from './dependencies.ts'
import { NumbersTable } from './numbers.tsx'
import { ActionForm, Confirm, leadTo, notPossible, showActionPage } from './pages.tsx'
import { possibleIn } from './words.ts'

const change = z.object({
  delta: z.coerce
    .number()
    .int()
    .min(-MAX_GRANTED)
    .max(MAX_GRANTED)
    .refine((delta) => delta !== 0),
  reason: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .regex(/^[^\0]*$/), // PostgreSQL's texts have no NUL
})
type Change = z.infer<typeof change>
/** Without its key, a form that is sent twice would change the stock twice. */
const form = change.extend({ idempotency_key: id })

const BAD_INPUT = `Say how many units, not 0 and at most ${MAX_GRANTED}, and why, in 1 to 200 characters.`

export async function askStock(ctx: DashboardContext, deps: ActionDependencies, sale: Sale): Promise<void> {
  const { event } = sale
  const page = { action: 'stock' as const, event, productName: sale.product.name }
  const done = await wordsOfDone(ctx, deps, sale)
  if (!possibleIn('stock').includes(event.status))
    return showActionPage(ctx, { ...page, done, children: <p>{notPossible('stock', event.status)}</p> })
  const input = change.safeParse(ctx.query)
  const isAsked = ctx.query.delta !== undefined
  const numbers = await readNumbers(deps, sale)
  const children = (
    <Confirm ctx={ctx} action="stock" numbers={numbers}>
      {input.success ? <Plan ctx={ctx} sale={sale} change={input.data} /> : <Question eventId={event.id} />}
    </Confirm>
  )
  const refused = isAsked && !input.success ? { refused: BAD_INPUT, status: 400 } : {}
  return showActionPage(ctx, { ...page, ...refused, done, children })
}

export async function doStock(
  ctx: DashboardContext,
  deps: ActionDependencies,
  { event, product }: Sale,
): Promise<void> {
  const refuse = (status: number, refused: string) =>
    showActionPage(ctx, { action: 'stock', event, productName: product.name, status, refused })
  const input = form.safeParse(ctx.request.body)
  if (!input.success) return refuse(400, BAD_INPUT)
  const { delta, reason } = input.data
  const result = await adjustSale(deps.sale, event.id, { delta, reason }, actorOf(ctx))
  switch (result.kind) {
    case 'done':
      return leadTo(ctx, `/sales/${event.id}/actions/stock?done=${result.adjustment.id}`)
    case 'not_found':
      return undefined
    case 'wrong_state':
      return refuse(409, notPossible('stock', result.status))
    case 'insufficient_stock':
      return refuse(409, `The inventory of ${product.name} has fewer than ${delta} units.`)
    case 'too_few_free':
      return refuse(409, `Only ${result.available} units of the sale are free.`)
    case 'stock_limit':
      return refuse(409, `A sale has at most ${MAX_GRANTED} units; this one has ${result.granted}.`)
  }
}

function Question({ eventId }: { eventId: string }): VNode {
  return (
    <form method="get" action={`/sales/${eventId}/actions/stock`}>
      <label>
        Units to add; with a minus, units to take back
        <input name="delta" type="number" step="1" min={-MAX_GRANTED} max={MAX_GRANTED} required />
      </label>
      <label>
        Why
        <input name="reason" maxLength={200} required />
      </label>
      <button>See what comes of it</button>
    </form>
  )
}

function Plan({ ctx, sale, change }: { ctx: DashboardContext; sale: Sale; change: Change }): VNode {
  const { event, product } = sale
  const { delta, reason } = change
  const lines = [
    { label: 'Granted units', value: `${event.granted} → ${event.granted + delta}` },
    { label: 'Free units', value: `${event.available} → ${event.available + delta}` },
    { label: `Inventory of ${product.name}`, value: `${product.inventory} → ${product.inventory - delta}` },
  ]
  return (
    <>
      <h2>{wordsOf(delta)}</h2>
      <p>Reason: {reason}</p>
      <NumbersTable lines={lines} />
      {maySteer(ctx) && (
        <ActionForm ctx={ctx} action="stock" eventId={event.id} shown={event.version}>
          <input type="hidden" name="delta" value={delta} />
          <input type="hidden" name="reason" value={reason} />
        </ActionForm>
      )}
    </>
  )
}

/** Of the change that an address names, as it is in the ledger of the sale. */
async function wordsOfDone(
  ctx: DashboardContext,
  { knex }: ActionDependencies,
  { event }: Sale,
): Promise<string | undefined> {
  const { data: adjustmentId } = id.safeParse(ctx.query.done)
  if (adjustmentId === undefined) return undefined
  const row: { delta: number } | undefined = await knex('spike_event_adjustments')
    .where({ id: adjustmentId, event_id: event.id })
    .first('delta')
  return (
    row &&
    `Done: ${wordsOf(row.delta).toLowerCase()}. The sale has ${event.granted} units, ${event.available} free.`
  )
}

function wordsOf(delta: number): string {
  const units = `${Math.abs(delta)} ${Math.abs(delta) === 1 ? 'unit' : 'units'}`
  return delta > 0 ? `Add ${units}` : `Take back ${units}`
}

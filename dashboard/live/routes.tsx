/** Sales: their list, and the live page of each. */
import { Router } from '@koa/router'
import type { Knex } from 'knex'
import { z } from 'zod'
import { id } from '../../src/contracts/values.ts'
import { EventStream } from '../../src/platform/event-stream.ts'
import type { Remaining } from '../../src/reserve/remaining.ts'
import { EVENT_STATES, findEvent, listEvents } from '../../src/spike-events/model.ts'
import { readStaffSession } from '../../src/users/staff-sessions.ts'
import { maySteer, type DashboardContext } from '../context.ts'
import { showPage } from '../page.tsx'
import type { LiveHub } from './hub.ts'
import { SalePage } from './sale-page.tsx'
import { SalesPage, type SaleLine } from './sales-page.tsx'

export interface LiveDependencies {
  knex: Knex
  remaining: Remaining
  hub: LiveHub
}

const PAGE_SIZE = 50
/** What makes no sense in the address is as good as not there. */
const listQuery = z.object({
  state: z.enum(EVENT_STATES).optional().catch(undefined),
  page: z.coerce.number().int().min(1).max(10_000).catch(1),
})

export function liveRoutes(deps: LiveDependencies): Router {
  const router = new Router()
  router.get('/sales', (ctx) => showSales(ctx as never, deps))
  router.get('/sales/:id', (ctx) => showSale(ctx as never, ctx.params.id, deps))
  router.get('/sales/:id/events', (ctx) => streamSale(ctx as never, ctx.params.id, deps))
  return router
}

async function showSales(ctx: DashboardContext, { knex, remaining }: LiveDependencies): Promise<void> {
  const { state, page } = listQuery.parse(ctx.query)
  const filter = { state, productId: undefined, currency: undefined }
  const order = { sort: 'start_at', direction: 'desc' } as const
  const { items, total } = await listEvents(knex, { page, pageSize: PAGE_SIZE, ...order, ...filter })
  const free = await remaining.read(items.map((event) => event.id)).catch(() => [])
  const products: { id: string; name: string }[] = await knex('products')
    .whereIn(
      'id',
      items.map((event) => event.product_id),
    )
    .select('id', 'name')
  const names = new Map(products.map(({ id, name }) => [id, name]))
  const sales = items.map((event, i): SaleLine => {
    return { event, productName: names.get(event.product_id) ?? '', free: free[i] ?? null }
  })
  const body = <SalesPage sales={sales} total={total} page={page} pageSize={PAGE_SIZE} state={state} />
  showPage(ctx, { title: 'Sales', section: 'sales', styles: ['live.css'], body })
}

/** A sale that is not there leaves the answer to whoever answers for missing pages. */
async function showSale(
  ctx: DashboardContext,
  param: string | undefined,
  { knex, hub }: LiveDependencies,
): Promise<void> {
  const eventId = id.safeParse(param).data
  const event = eventId && (await findEvent(knex, eventId))
  if (!event) return
  const product = await knex('products').where({ id: event.product_id }).first('name')
  const view = await hub.look(event.id)
  showPage(ctx, {
    title: view.title,
    section: 'sales',
    styles: ['uplot.css', 'live.css'],
    scripts: ['live.js'],
    body: (
      <SalePage
        eventId={event.id}
        productName={product?.name ?? ''}
        status={event.status}
        view={view}
        steers={maySteer(ctx)}
        wall={ctx.query.wall === '1'}
      />
    ),
  })
}

async function streamSale(
  ctx: DashboardContext,
  param: string | undefined,
  { knex, hub }: LiveDependencies,
): Promise<void> {
  const eventId = id.safeParse(param).data
  if (!eventId || (await findEvent(knex, eventId)) === undefined) return
  const { claims, id: sessionId } = ctx.state.session
  const stillAllowed = async () => (await readStaffSession(knex, claims)) !== undefined
  const stream = await hub.join(eventId, { sessionId, stillAllowed })
  if (stream === undefined) {
    ctx.status = 503
    ctx.set('Retry-After', '5')
    ctx.body = { error: 'OVERLOADED', message: 'Too many live pages are open.' }
    return
  }
  ctx.status = 200
  ctx.type = EventStream.TYPE
  ctx.set(EventStream.HEADERS)
  ctx.body = stream
}

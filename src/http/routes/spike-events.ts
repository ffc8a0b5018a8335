import type Router from '@koa/router'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { id, MAX_QUANTITY, money } from '../../contracts/values.ts'
import { spikeKeys } from '../../reserve/keys.ts'
import { endSale, pauseSale, publishSale, resumeSale, type SaleDependencies } from '../../sale.ts'
import { findEvent, listEvents, presentEvent } from '../../spike-events/model.ts'
import { createEvent, type Transition } from '../../spike-events/transitions.ts'
import { answer, claimsOf, type Context, type Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import { validate } from '../validate.ts'
import { pageOf, pageQuery } from './lists.ts'

export const eventParams = z.object({ id })

const newEvent = z
  .strictObject({
    product_id: id,
    start_at: z.iso.datetime({ offset: true }),
    end_at: z.iso.datetime({ offset: true }),
    spike_price: money,
    stock: z.int().min(1).max(1_000_000),
    payment_window_s: z.int().min(1).max(86_400),
    per_user_limit: z.int().min(1).max(MAX_QUANTITY).default(1),
    lapse_limit: z.int().min(0).max(100).default(1),
  })
  .refine((event) => Date.parse(event.end_at) > Date.parse(event.start_at), {
    path: ['end_at'],
    message: 'must be after start_at',
  })

type Act = (deps: SaleDependencies, id: string, actor: ReturnType<typeof actorOf>) => Promise<Transition>

export function spikeEventRoutes(
  router: Router,
  deps: { sale: SaleDependencies; redis: Redis; user: Middleware; admin: Middleware },
): void {
  const { knex } = deps.sale

  router.get('/spike-events', async (ctx: Context) => {
    const query = validate(pageQuery, ctx.query)
    const { items, total } = await listEvents(knex, { page: query.page, pageSize: query.page_size })
    const remaining = await Promise.all(items.map((event) => remainingOf(deps.redis, event.id)))
    answer(
      ctx,
      pageOf(
        query,
        total,
        items.map((event, i) => presentEvent(event, remaining[i])),
      ),
    )
  })

  router.get('/spike-events/:id', async (ctx: Context) => {
    await answerEvent(ctx, validate(eventParams, ctx.params).id, false)
  })

  router.post('/spike-events', deps.user, deps.admin, async (ctx: Context) => {
    const body = validate(newEvent, ctx.request.body)
    const result = await createEvent(
      knex,
      {
        productId: body.product_id,
        startAt: new Date(body.start_at),
        endAt: new Date(body.end_at),
        spikePrice: body.spike_price,
        stock: body.stock,
        paymentWindowS: body.payment_window_s,
        perUserLimit: body.per_user_limit,
        lapseLimit: body.lapse_limit,
      },
      actorOf(ctx),
    )
    if (result.kind !== 'done') throw refusalOf(result)
    ctx.set('Location', `/api/v1/spike-events/${result.event.id}`)
    await answerEvent(ctx, result.event.id, true, 201)
  })

  const actions: Record<string, Act> = {
    publish: publishSale,
    pause: pauseSale,
    resume: resumeSale,
    end: endSale,
  }
  for (const [name, act] of Object.entries(actions))
    router.post(`/spike-events/:id/${name}`, deps.user, deps.admin, async (ctx: Context) => {
      const { id: eventId } = validate(eventParams, ctx.params)
      const result = await act(deps.sale, eventId, actorOf(ctx))
      if (result.kind !== 'done') throw refusalOf(result)
      await answerEvent(ctx, eventId, true)
    })

  async function answerEvent(ctx: Context, eventId: string, drafts: boolean, status = 200): Promise<void> {
    const event = await findEvent(knex, eventId)
    if (event === undefined || (event.status === 'draft' && !drafts)) throw new ApiError('NOT_FOUND')
    answer(ctx, presentEvent(event, await remainingOf(deps.redis, eventId)), status)
  }
}

async function remainingOf(redis: Redis, eventId: string): Promise<number | undefined> {
  const stock = await redis.get(spikeKeys(eventId).stock)
  return stock === null ? undefined : Number(stock)
}

function actorOf(ctx: Context) {
  return { userId: claimsOf(ctx).sub, requestId: ctx.state.requestId }
}

function refusalOf(transition: Exclude<Transition, { kind: 'done' }>): ApiError {
  switch (transition.kind) {
    case 'not_found':
      return new ApiError('NOT_FOUND')
    case 'wrong_state':
      return new ApiError('WRONG_STATE', { data: { state: transition.status } })
    case 'insufficient_stock':
      return new ApiError('INSUFFICIENT_STOCK')
    case 'window_over':
      return new ApiError('SALE_ENDED')
  }
}

import type { Redis } from 'ioredis'
import { spikeKeys } from '../../reserve/keys.ts'
import { endSale, pauseSale, publishSale, resumeSale, type SaleDependencies } from '../../sale.ts'
import { findEvent, listEvents, presentEvent } from '../../spike-events/model.ts'
import { createEvent, type Transition } from '../../spike-events/transitions.ts'
import { page } from '../contract/fields.ts'
import type { spikeEventRoutes } from '../contract/spike-events.ts'
import { refuse } from '../errors.ts'
import type { HandlersOf } from '../handler.ts'

type Act = (deps: SaleDependencies, id: string, actor: Actor) => Promise<Transition>
type Actor = { userId: string; requestId: string }

export function spikeEventHandlers(deps: {
  sale: SaleDependencies
  redis: Redis
}): HandlersOf<typeof spikeEventRoutes> {
  const { knex } = deps.sale

  async function view(eventId: string) {
    const event = await findEvent(knex, eventId)
    if (event === undefined) return undefined
    return {
      draft: event.status === 'draft',
      data: presentEvent(event, await remainingOf(deps.redis, eventId)),
    }
  }

  const action =
    (act: Act) => async (call: { params: { id: string }; claims: { sub: string }; requestId: string }) => {
      const { id } = call.params
      const result = await act(deps.sale, id, { userId: call.claims.sub, requestId: call.requestId })
      if (result.kind !== 'done') return refusalOf(result)
      const found = await view(id)
      return found === undefined ? refuse('NOT_FOUND') : { status: 200 as const, data: found.data }
    }

  return {
    listSpikeEvents: async ({ query }) => {
      const { items, total } = await listEvents(knex, { page: query.page, pageSize: query.page_size })
      const remaining = await Promise.all(items.map((event) => remainingOf(deps.redis, event.id)))
      return {
        status: 200,
        data: page(query, { items: items.map((event, i) => presentEvent(event, remaining[i])), total }),
      }
    },
    readSpikeEvent: async ({ params }) => {
      const found = await view(params.id)
      if (found === undefined || found.draft) return refuse('NOT_FOUND')
      return { status: 200, data: found.data }
    },
    createSpikeEvent: async ({ body, claims, requestId }) => {
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
        { userId: claims.sub, requestId },
      )
      const found = result.kind === 'done' ? await view(result.event.id) : undefined
      if (found === undefined) return refuse('NOT_FOUND')
      return { status: 201, data: found.data, headers: { Location: `/api/v1/spike-events/${found.data.id}` } }
    },
    patchSpikeEvent: async () => refuse('NOT_READY'),
    publishSpikeEvent: action(publishSale),
    pauseSpikeEvent: action(pauseSale),
    resumeSpikeEvent: action(resumeSale),
    endSpikeEvent: action(endSale),
    rebuildSpikeEvent: async () => refuse('NOT_READY'),
    adjustSpikeStock: async () => refuse('NOT_READY'),
    readConservation: async () => refuse('NOT_READY'),
    readReport: async () => refuse('NOT_READY'),
  }
}

async function remainingOf(redis: Redis, eventId: string): Promise<number | undefined> {
  const stock = await redis.get(spikeKeys(eventId).stock)
  return stock === null ? undefined : Number(stock)
}

function refusalOf(transition: Exclude<Transition, { kind: 'done' }>) {
  switch (transition.kind) {
    case 'not_found':
      return refuse('NOT_FOUND')
    case 'wrong_state':
      return refuse('WRONG_STATE', { data: { state: transition.status } })
    case 'insufficient_stock':
      return refuse('INSUFFICIENT_STOCK')
    case 'window_over':
      return refuse('SALE_ENDED')
  }
}

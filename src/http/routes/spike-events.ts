import type { Actor } from '../../audit/audit.ts'
import type { RedisClient } from '../../platform/redis/nodes.ts'
import { Remaining } from '../../reserve/remaining.ts'
import type { Rebuilt } from '../../rebuild.ts'
import { tallyOf, type RidFinding } from '../../reconcile.ts'
import type { RepairResult } from '../../repair.ts'
import { adjustSale, endSale, pauseSale, publishSale, resumeSale, type SaleDependencies } from '../../sale.ts'
import type { StockChange } from '../../spike-events/ledger.ts'
import { findEvent, listEvents, presentEvent } from '../../spike-events/model.ts'
import { patchEvent, type Patched } from '../../spike-events/patch.ts'
import { createEvent, type Publication, type Transition } from '../../spike-events/transitions.ts'
import { standingOf } from '../../users/accounts.ts'
import type { Claims } from '../../users/tokens.ts'
import { page } from '../contract/fields.ts'
import { MAX_LISTED, type spikeEventRoutes } from '../contract/spike-events.ts'
import { refuse } from '../errors.ts'
import { isUnchanged } from '../etag.ts'
import type { HandlersOf } from '../handler.ts'
import { API_PREFIX } from '../mount.ts'

type Caller = { claims: { sub: string }; requestId: string; idempotencyKey: string | undefined }
type Action = { params: { id: string } } & Caller

export function spikeEventHandlers(deps: {
  sale: SaleDependencies
  rebuild: (eventId: string, actor: Actor) => Promise<Rebuilt>
  repair: (eventId: string, options: { dryRun: boolean }, actor: Actor) => Promise<RepairResult>
  redis: RedisClient
}): HandlersOf<typeof spikeEventRoutes> {
  const { knex } = deps.sale
  const remaining = new Remaining(deps.redis, deps.sale.log)

  async function view(eventId: string) {
    const event = await findEvent(knex, eventId)
    if (event === undefined) return undefined
    const [units = null] = await remaining.read([eventId])
    return presentEvent(event, units)
  }

  /** Answers with the event as it is now. */
  async function answerWith<const S extends number>(status: S, eventId: string) {
    const data = await view(eventId)
    if (data === undefined) return refuse('NOT_FOUND')
    return { status, data, headers: { ETag: etagOf(data) } }
  }

  /** Drafts are no business of buyers; the database is asked, whatever an older token says. */
  async function seesDrafts(claims: Claims | undefined): Promise<boolean> {
    const standing = claims === undefined ? undefined : await standingOf(knex, claims)
    return standing?.kind === 'current' && standing.role !== 'user'
  }

  const action =
    (act: (deps: SaleDependencies, id: string, actor: Actor) => Promise<Transition>) =>
    async ({ params: { id }, ...caller }: Action) => {
      const result = await act(deps.sale, id, actorOf(caller))
      return result.kind === 'done' ? answerWith(200, id) : refusalOfStep(result)
    }

  return {
    listSpikeEvents: async ({ query, claims }) => {
      if (query.state === 'draft' && !(await seesDrafts(claims))) return refuse('FORBIDDEN')
      const [sort, direction] = query.sort
      const { items, total } = await listEvents(knex, {
        page: query.page,
        pageSize: query.page_size,
        sort,
        direction,
        state: query.state,
        productId: query.product_id,
        currency: query.currency,
      })
      const units = await remaining.read(items.map((event) => event.id))
      return {
        status: 200,
        data: page(query, { items: items.map((event, i) => presentEvent(event, units[i] ?? null)), total }),
      }
    },
    readSpikeEvent: async ({ ctx, params, claims }) => {
      const data = await view(params.id)
      if (data === undefined || (data.state === 'draft' && !(await seesDrafts(claims))))
        return refuse('NOT_FOUND')
      const headers = { ETag: etagOf(data) }
      return isUnchanged(ctx, headers.ETag) ? { status: 304, headers } : { status: 200, data, headers }
    },
    createSpikeEvent: async ({ body, ...caller }) => {
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
        actorOf(caller),
      )
      if (result.kind === 'no_product') return refuse('NOT_FOUND', { data: { product_id: result.productId } })
      const reply = await answerWith(201, result.event.id)
      if (!('status' in reply)) return reply
      return {
        ...reply,
        headers: { ...reply.headers, Location: `${API_PREFIX}/spike-events/${result.event.id}` },
      }
    },
    patchSpikeEvent: async ({ params: { id }, body, expectedVersion, ...caller }) => {
      const { start_at: startAt, end_at: endAt, ...others } = body
      const patch = {
        ...others,
        ...(startAt === undefined ? {} : { start_at: new Date(startAt) }),
        ...(endAt === undefined ? {} : { end_at: new Date(endAt) }),
      }
      const result = await patchEvent(knex, id, expectedVersion, patch, actorOf(caller))
      return result.kind === 'done' ? answerWith(200, id) : refusalOfPatch(result)
    },
    publishSpikeEvent: async ({ params: { id }, ...caller }) => {
      const result = await publishSale(deps.sale, id, actorOf(caller))
      return result.kind === 'done' ? answerWith(200, id) : refusalOfPublication(result)
    },
    pauseSpikeEvent: action(pauseSale),
    resumeSpikeEvent: action(resumeSale),
    endSpikeEvent: action(endSale),
    rebuildSpikeEvent: async ({ params: { id }, ...caller }) => {
      const result = await deps.rebuild(id, actorOf(caller))
      return result.kind === 'done' ? answerWith(200, id) : refusalOfStep(result)
    },
    repairSpikeEvent: async ({ params: { id }, body: { dry_run: dryRun }, ...caller }) => {
      const result = await deps.repair(id, { dryRun }, actorOf(caller))
      if (result.kind !== 'done') return refusalOfStep(result)
      const { drift, findings, repaired, rebuilt } = result
      const listed = findings
        .filter((finding): finding is RidFinding => 'rid' in finding)
        .slice(0, MAX_LISTED)
      return {
        status: 200,
        data: {
          event_id: id,
          dry_run: dryRun,
          drift,
          findings: tallyOf(findings),
          reservations: listed.map(({ rid, kind, redis, postgres }) => ({
            reservation_id: rid,
            kind,
            redis,
            postgres,
          })),
          repaired,
          rebuilt,
        },
      }
    },
    adjustSpikeStock: async ({ params: { id }, body, ...caller }) => {
      const result = await adjustSale(deps.sale, id, body, actorOf(caller))
      if (result.kind !== 'done') return refusalOfStockChange(result)
      const { adjustment, granted, available } = result
      return {
        status: 201,
        data: { adjustment_id: adjustment.id, event_id: id, delta: adjustment.delta, granted, available },
      }
    },
  }
}

function actorOf({ claims, requestId, idempotencyKey }: Caller): Actor {
  return { userId: claims.sub, requestId, idempotencyKey }
}

/** All that a reader may see change: the version covers what is stored, the clock and the buyers change the rest. */
function etagOf(event: { version: number; state: string; remaining: number | null }): string {
  return `"${event.version}.${event.state}.${event.remaining}"`
}

type NotDone<T> = Exclude<T, { kind: 'done' }>

function refusalOfStep(result: NotDone<Transition>) {
  switch (result.kind) {
    case 'not_found':
      return refuse('NOT_FOUND')
    case 'wrong_state':
      return refuse('WRONG_STATE', { data: { state: result.status } })
  }
}

function refusalOfPublication(result: NotDone<Publication>) {
  switch (result.kind) {
    case 'no_product':
      return refuse('NOT_FOUND', { data: { product_id: result.productId } })
    case 'insufficient_stock':
      return refuse('INSUFFICIENT_STOCK')
    case 'window_over':
      return refuse('SALE_ENDED')
    case 'not_found':
    case 'wrong_state':
      return refusalOfStep(result)
  }
}

function refusalOfPatch(result: NotDone<Patched>) {
  switch (result.kind) {
    case 'stale':
      return refuse('PRECONDITION_FAILED')
    case 'frozen':
      return refuse('FROZEN', { data: { fields: result.fields } })
    case 'no_window': {
      const problem = 'end_at must be after start_at'
      return refuse('VALIDATION_FAILED', { data: { fields: [{ field: result.field, problem }] } })
    }
    case 'not_found':
    case 'wrong_state':
      return refusalOfStep(result)
  }
}

function refusalOfStockChange(result: NotDone<StockChange>) {
  switch (result.kind) {
    case 'too_few_free':
      return refuse('INSUFFICIENT_STOCK', { data: { available: result.available } })
    case 'insufficient_stock':
      return refuse('INSUFFICIENT_STOCK')
    case 'stock_limit':
      return refuse('STOCK_LIMIT', { data: { granted: result.granted } })
    case 'not_found':
    case 'wrong_state':
      return refusalOfStep(result)
  }
}

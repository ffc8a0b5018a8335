/** Rebuild, and repair of drift, which is shown before it is done. */
import type { VNode } from 'preact'
import { z } from 'zod'
import { id } from '../../src/contracts/values.ts'
import { rebuildFrom } from '../../src/rebuild.ts'
import { REMEDIES, tallyOf, type Finding } from '../../src/reconcile.ts'
import { repairSale } from '../../src/repair.ts'
import { actorOf, maySteer, type DashboardContext } from '../context.ts'
import { readNumbers, type ActionDependencies, type Actions, type Sale } from './dependencies.ts'
import { ActionForm, Confirm, leadTo, notPossible, showActionPage } from './pages.tsx'
import { possibleIn, WORDS } from './words.ts'

const SHOWN_RIDS = 20
const rebuildForm = z.object({ shown: z.coerce.number().int().min(1) })

export async function askRebuild(ctx: DashboardContext, deps: ActionDependencies, sale: Sale): Promise<void> {
  const { event } = sale
  const page = { action: 'rebuild' as const, event, productName: sale.product.name }
  if (!possibleIn('rebuild').includes(event.status))
    return showActionPage(ctx, { ...page, children: <p>{notPossible('rebuild', event.status)}</p> })
  const done = ctx.query.done === undefined ? undefined : `Rebuilt: the sale is in epoch ${event.epoch}.`
  const numbers = await readNumbers(deps, sale)
  const children = (
    <Confirm ctx={ctx} action="rebuild" numbers={numbers}>
      <ActionForm ctx={ctx} action="rebuild" eventId={event.id} shown={event.epoch} />
    </Confirm>
  )
  return showActionPage(ctx, { ...page, done, children: done === undefined ? children : undefined })
}

/** Pressed twice, the second press finds the epoch that the first one has begun. */
export async function doRebuild(ctx: DashboardContext, deps: Actions, sale: Sale): Promise<void> {
  const { event, product } = sale
  const refuse = (status: number, refused: string) =>
    showActionPage(ctx, { action: 'rebuild', event, productName: product.name, status, refused })
  const input = rebuildForm.safeParse(ctx.request.body)
  if (event.status === 'draft') return refuse(409, notPossible('rebuild', event.status))
  if (!input.success) return refuse(400, 'The form does not say what it was shown for.')
  const { shown } = input.data
  const result = await deps.mending(() => rebuildFrom(deps.rebuild, event.id, shown, actorOf(ctx)))
  switch (result.kind) {
    case 'done':
    case 'rebuilt_since':
      return leadTo(ctx, `/sales/${event.id}/actions/rebuild?done=1`)
    case 'busy':
      return refuse(409, 'The sale is being rebuilt, or changed, by somebody else: look again in a moment.')
    case 'not_found':
      return undefined
    case 'wrong_state':
      return refuse(409, notPossible('rebuild', result.status))
  }
}

export async function askRepair(ctx: DashboardContext, deps: Actions, sale: Sale): Promise<void> {
  const { event } = sale
  const page = { action: 'repair' as const, event, productName: sale.product.name }
  const found = await deps.dryRuns.read(event.id)
  switch (found.kind) {
    case 'not_found':
      return undefined
    case 'wrong_state':
      return showActionPage(ctx, { ...page, children: <p>{notPossible('repair', found.status)}</p> })
    case 'done':
      return showActionPage(ctx, {
        ...page,
        done: await wordsOfRepair(ctx, deps, event.id),
        children: <Findings ctx={ctx} eventId={event.id} drift={found.drift} findings={found.findings} />,
      })
  }
}

/** What lasts is looked for anew: pressed twice, the second press finds nothing, and changes nothing. */
export async function doRepair(ctx: DashboardContext, deps: Actions, sale: Sale): Promise<void> {
  const { event, product } = sale
  const result = await deps.mending(() => repairSale(deps.rebuild, event.id, { dryRun: false }, actorOf(ctx)))
  switch (result.kind) {
    case 'not_found':
      return undefined
    case 'wrong_state':
      return showActionPage(ctx, {
        action: 'repair',
        event,
        productName: product.name,
        status: 409,
        refused: notPossible('repair', result.status),
      })
    case 'done':
      return leadTo(ctx, `/sales/${event.id}/actions/repair?done=${ctx.state.requestId}`)
  }
}

function Findings({
  ctx,
  eventId,
  drift,
  findings,
}: {
  ctx: DashboardContext
  eventId: string
  drift: number | null
  findings: readonly Finding[]
}): VNode {
  const driftWords = drift === null ? 'There is no gate to compare.' : `Drift: ${drift} units.`
  if (findings.length === 0)
    return (
      <p>
        {driftWords} Nothing was found at both looks: there is nothing to repair. What moves is in flight.
      </p>
    )
  const rids = findings.flatMap((finding) => ('rid' in finding ? [finding] : []))
  return (
    <>
      <p>
        {driftWords} {WORDS.repair.effect}
      </p>
      <div class="scroll">
        <table class="table">
          <thead>
            <tr>
              <th>Finding</th>
              <th class="number">How many</th>
              <th>Is repaired by</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(tallyOf(findings)).map(([kind, count]) => (
              <tr key={kind}>
                <td>{kind.replaceAll('_', ' ')}</td>
                <td class="number">{count}</td>
                <td>{REMEDIES[kind as Finding['kind']]}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rids.length > 0 && <Rids rids={rids} />}
      {maySteer(ctx) && <ActionForm ctx={ctx} action="repair" eventId={eventId} shown={findings.length} />}
    </>
  )
}

function Rids({ rids }: { rids: readonly Extract<Finding, { rid: string }>[] }): VNode {
  return (
    <>
      <h2>{rids.length > SHOWN_RIDS ? `The first ${SHOWN_RIDS} of ${rids.length} rids` : 'Rids'}</h2>
      <ul>
        {rids.slice(0, SHOWN_RIDS).map(({ kind, rid, redis, postgres }) => (
          <li key={`${kind} ${rid}`}>
            <a href={`/look-up?q=${rid}`}>
              <code>{rid}</code>
            </a>{' '}
            {kind.replaceAll('_', ' ')}: {redis} in Redis, {postgres} in PostgreSQL
          </li>
        ))}
      </ul>
    </>
  )
}

/** Of the press that an address names, as the audit log has it. */
async function wordsOfRepair(
  ctx: DashboardContext,
  { knex }: ActionDependencies,
  eventId: string,
): Promise<string | undefined> {
  const { data: done } = id.safeParse(ctx.query.done)
  if (done === undefined) return undefined
  const row: { after: { repaired: Record<string, number>; rebuilt: boolean } } | undefined = await knex(
    'audit_log',
  )
    .where({ target: eventId, action: 'spike-event.repair', request_id: done })
    .first('after')
  if (row === undefined) return 'Nothing that lasts was left to repair: nothing was changed.'
  const { repaired, rebuilt } = row.after
  const counts = Object.entries(repaired).map(([kind, count]) => `${count} ${kind.replaceAll('_', ' ')}`)
  return `Repaired: ${rebuilt ? 'the sale was rebuilt' : counts.join(', ')}.`
}

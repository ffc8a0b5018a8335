/** Who did what, when, to what, and what it was before and after. */
import { Router } from '@koa/router'
import type { Knex } from 'knex'
import type { VNode } from 'preact'
import { z } from 'zod'
import { listAudit, type AuditRow } from '../../src/audit/read.ts'
import { showPage } from '../page.tsx'

const PAGE_SIZE = 100
const MAX_SHOWN_CHARS = 400
/** What makes no sense in the address is as good as not there. */
const query = z.object({
  target: z
    .string()
    .min(1)
    .max(300)
    .regex(/^[^\0]*$/) // PostgreSQL's texts have no NUL
    .optional()
    .catch(undefined),
  older: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional().catch(undefined),
})

export function auditRoutes({ knex }: { knex: Knex }): Router {
  const router = new Router()
  router.get('/audit', async (ctx) => {
    const { target, older } = query.parse(ctx.query)
    const rows = await listAudit(knex, { target, olderThan: older, limit: PAGE_SIZE })
    const body = <AuditPage rows={rows} target={target} />
    showPage(ctx, { title: 'Audit', section: 'audit', body })
  })
  return router
}

function AuditPage({ rows, target }: { rows: readonly AuditRow[]; target: string | undefined }): VNode {
  const last = rows.at(-1)
  return (
    <>
      <h1>Audit</h1>
      <form method="get" action="/audit" class="actions">
        <input
          name="target"
          value={target}
          maxLength={300}
          aria-label="Id of what was changed"
          placeholder="Id of what was changed"
        />
        <button>Show</button>
        {target !== undefined && (
          <a class="button" href="/audit">
            All
          </a>
        )}
      </form>
      <div class="scroll">
        <table class="table">
          <thead>
            <tr>
              <th>When</th>
              <th>Who</th>
              <th>What</th>
              <th>To what</th>
              <th>Before</th>
              <th>After</th>
              <th>Request</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row row={row} key={row.id} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length === 0 && <p>Nothing is here.</p>}
      {rows.length === PAGE_SIZE && last && <a href={olderThan(last.id, target)}>Older ones</a>}
    </>
  )
}

function Row({ row }: { row: AuditRow }): VNode {
  return (
    <tr>
      <td>
        <time dateTime={row.at.toISOString()}>{row.at.toISOString().replace('T', ' ').slice(0, 19)}</time>
      </td>
      <td>{row.actor ?? 'the product itself'}</td>
      <td>{row.action}</td>
      <td>
        <a href={`/audit?target=${encodeURIComponent(row.target)}`}>{row.target}</a>
      </td>
      <td>
        <code>{shown(row.before)}</code>
      </td>
      <td>
        <code>{shown(row.after)}</code>
      </td>
      <td class="muted">{row.requestId}</td>
    </tr>
  )
}

function shown(value: unknown): string {
  if (value === null) return ''
  const text = JSON.stringify(value)
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text
}

function olderThan(id: number, target: string | undefined): string {
  return `/audit?${new URLSearchParams({ older: String(id), ...(target === undefined ? {} : { target }) })}`
}

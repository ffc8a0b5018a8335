import { Router } from '@koa/router'
import type { VNode } from 'preact'
import { z } from 'zod'
import { lookUp, type LookUp, type LookUpDependencies } from '../../src/look-up.ts'
import type { DashboardContext } from '../context.ts'
import { Notice, showPage } from '../page.tsx'
import { PurchaseList } from './list.tsx'
import { PurchasePage } from './purchase.tsx'
import { SILENT_WORDS, soughtText } from './words.ts'

interface Dependencies extends LookUpDependencies {
  /** URL of a trace with `{trace_id}` in it. */
  traceUrlTemplate: string | undefined
}

/** Longer than every name of a purchase. */
const MAX_LENGTH = 300

const query = z.object({ q: z.string().max(MAX_LENGTH).catch('?').default('') })

/**
 * One box for every name of a purchase. It is asked with GET although an e-mail may stand in it: viewers look up too, and
 * whoever may only see sends no other requests. So no log line of ours has the query, and no referrer leaves the site.
 */
export function lookUpRoutes(deps: Dependencies): Router {
  const router = new Router()
  router.get('/look-up', async (context) => {
    const ctx = context as unknown as DashboardContext
    const q = query.parse(ctx.query).q.trim()
    const found = q === '' ? undefined : await lookUp(deps, q)
    showPage(ctx, {
      title: 'Look up',
      section: 'look-up',
      styles: ['look-up.css'],
      status: found?.kind === 'unreadable' ? 400 : 200,
      body: (
        <>
          <h1>Look up a purchase</h1>
          <Box q={found?.kind === 'unreadable' ? '' : q} />
          {found === undefined ? <Examples /> : <Result found={found} template={deps.traceUrlTemplate} />}
        </>
      ),
    })
  })
  return router
}

function Box({ q }: { q: string }): VNode {
  return (
    <form class="look-up" role="search" action="/look-up">
      <label for="q">Id of an order, a reservation, a job or a request, or a buyer’s e-mail</label>
      <input
        id="q"
        name="q"
        type="search"
        value={q}
        maxLength={MAX_LENGTH}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        autofocus
        required
      />
      <button>Look up</button>
    </form>
  )
}

function Examples(): VNode {
  return (
    <dl class="names">
      <dt>Order id, reservation id</dt>
      <dd>
        <code>0198c0de-7a11-7000-8000-000000000001</code>, as buyers see it in the API
      </dd>
      <dt>Job id</dt>
      <dd>
        <code>create-order-…</code>, <code>close-order-…</code>, <code>release-stock-…</code> or{' '}
        <code>dead-letter-…</code>, as the queues show it
      </dd>
      <dt>Request id</dt>
      <dd>
        <code>X-Request-Id</code> of the answer to a purchase, <code>request_id</code> of a log line
      </dd>
      <dt>E-mail</dt>
      <dd>All purchases of the account, the newest first</dd>
    </dl>
  )
}

function Result({ found, template }: { found: LookUp; template: string | undefined }): VNode {
  switch (found.kind) {
    case 'one':
      return <PurchasePage purchase={found.purchase} traceUrlTemplate={template} />
    case 'several':
      return <PurchaseList {...found} />
    case 'nothing':
      return (
        <>
          {found.silent.map((store) => (
            <Notice kind="bad" key={store}>
              {SILENT_WORDS[store]}
            </Notice>
          ))}
          <Notice kind="info">No {soughtText(found.sought)} has this name.</Notice>
          <p class="muted">
            Of requests, only those that took units in a sale are kept. A dead letter that was settled or
            discarded is gone: look for the id in its text.
          </p>
        </>
      )
    case 'unreadable':
      return (
        <>
          <Notice kind="bad">This is no id and no e-mail.</Notice>
          <Examples />
        </>
      )
  }
}

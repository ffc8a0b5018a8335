/** The frame around every page of the dashboard, and the parts that pages share. */
import { randomUUID } from 'node:crypto'
import type { ComponentChildren, VNode } from 'preact'
import { renderToString } from 'preact-render-to-string'
import { maySteer, type DashboardContext } from './context.ts'
import { CSRF_FIELD } from './csrf.ts'

export type Section = 'sales' | 'look-up' | 'dead-letters' | 'audit'

const SECTIONS: readonly { section: Section | 'queues'; path: string; label: string }[] = [
  { section: 'sales', path: '/sales', label: 'Sales' },
  { section: 'look-up', path: '/look-up', label: 'Look up' },
  { section: 'dead-letters', path: '/dead-letters', label: 'Dead letters' },
  { section: 'queues', path: '/queues', label: 'Queues' },
  { section: 'audit', path: '/audit', label: 'Audit' },
]

interface Page {
  title: string
  section?: Section
  body: ComponentChildren
  /** Names of files in assets/, loaded as modules. */
  scripts?: readonly string[]
  /** Names of files in assets/, behind the common style sheet. */
  styles?: readonly string[]
  status?: number
}

/** Answers with a page. Nothing of it is kept by caches: it shows what only staff may see. */
export function showPage(ctx: DashboardContext, page: Page): void {
  ctx.status = page.status ?? 200
  ctx.type = 'html'
  ctx.set('Cache-Control', 'no-store')
  ctx.body = `<!doctype html>${renderToString(<Frame ctx={ctx} page={page} />)}`
}

function Frame({ ctx, page }: { ctx: DashboardContext; page: Page }): VNode {
  const { environment, session } = ctx.state
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${page.title} · Flash sale`}</title>
        <link rel="icon" href="/assets/icon.svg" />
        {['dashboard.css', ...(page.styles ?? [])].map((name) => (
          <link rel="stylesheet" href={`/assets/${name}`} key={name} />
        ))}
        {(page.scripts ?? []).map((name) => (
          <script type="module" src={`/assets/${name}`} key={name} />
        ))}
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <header class="frame">
          <strong>Flash sale</strong>
          <span class={`badge ${environment === 'prod' ? 'bad' : 'info'}`}>{environment}</span>
          <nav aria-label="Sections">
            {SECTIONS.map(({ section, path, label }) => (
              <a href={path} key={path} aria-current={section === page.section ? 'page' : undefined}>
                {label}
              </a>
            ))}
          </nav>
          <PostForm ctx={ctx} action="/logout">
            <span class="muted">
              {session.email} ({session.role}
              {maySteer(ctx) ? '' : ', can change nothing'})
            </span>
            <button>Log out</button>
          </PostForm>
        </header>
        <main id="main">{page.body}</main>
      </body>
    </html>
  )
}

interface PostFormProps {
  ctx: DashboardContext
  action: string
  children: ComponentChildren
  class?: string
}

/** A form that is accepted once: sent again, it carries the same key, and the session's word against forged ones. */
export function PostForm({ ctx, action, children, ...rest }: PostFormProps): VNode {
  return (
    <form method="post" action={action} {...rest}>
      <input type="hidden" name={CSRF_FIELD} value={ctx.state.session.csrf} />
      <input type="hidden" name="idempotency_key" value={randomUUID()} />
      {children}
    </form>
  )
}

/** Something that the reader has to know; bad news are told to screen readers at once. */
export function Notice({
  kind,
  children,
}: {
  kind: 'ok' | 'info' | 'bad'
  children: ComponentChildren
}): VNode {
  return (
    <p class={`notice ${kind}`} role={kind === 'bad' ? 'alert' : 'status'}>
      {children}
    </p>
  )
}

import type { Context } from './context.ts'

/**
 * True when `If-None-Match` names this ETag: `*`, or any of a list, weak ones too.
 * koa's `ctx.fresh` would not do: it hears `Cache-Control: no-cache`, which speaks to caches and which Node's
 * `fetch` adds to every conditional request.
 */
export function isUnchanged(ctx: Context, etag: string): boolean {
  const named = ctx.get('If-None-Match').split(',')
  return named.some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag)
}

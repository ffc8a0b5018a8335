import type { IncomingMessage, ServerResponse } from 'node:http'
import helmet from 'helmet'
import type { Next } from 'koa'
import type { Context } from '../context.ts'

/**
 * Helmet's headers on every answer. They are the same for all, so helmet is asked once: a dozen functions a request are
 * a tenth of what a purchase costs.
 */
export const SAFE_HEADERS: readonly [name: string, value: string][] = helmetsHeaders()

export function safeHeaders() {
  return (ctx: Context, next: Next): Promise<unknown> => {
    for (const [name, value] of SAFE_HEADERS) ctx.res.setHeader(name, value)
    return next()
  }
}

function helmetsHeaders(): [name: string, value: string][] {
  const headers = new Map<string, string>()
  const response = {
    setHeader: (name: string, value: string) => headers.set(name, value),
    removeHeader: (name: string) => headers.delete(name),
  }
  helmet()({} as IncomingMessage, response as unknown as ServerResponse, (error) => {
    if (error !== undefined) throw error as Error
  })
  return [...headers]
}

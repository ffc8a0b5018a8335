/** Answers that many are given again and again, written past Koa in one piece: known before, but for the request's id. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type Koa from 'koa'
import { prefersChinese, type Context } from './context.ts'
import type { CrossOriginHeaders } from './cross-origin.ts'
import { errorEntry, type ErrorName } from './errors.ts'
import { REQUEST_ID_HEADER, requestIdFrom } from './middleware/request-id.ts'

export interface RefusalDependencies {
  /** Reads the language of a client. */
  app: Pick<Koa, 'createContext'>
  crossOrigin: CrossOriginHeaders
}

/**
 * Makes the writer of an error that has neither data nor a challenge, as the chain of middleware would answer it.
 * @param headers name and value by turns; those of the error itself, of the request and of its origin are added
 * @returns writes the answer to a request of which nothing was read, and returns its status
 */
export function constantRefusal(
  error: ErrorName,
  headers: readonly string[],
  { app, crossOrigin }: RefusalDependencies,
): (request: IncomingMessage, response: ServerResponse) => number {
  const { status, n, en, zh, retryAfterS } = errorEntry(error)
  const retryAfter = retryAfterS === undefined ? [] : ['Retry-After', String(retryAfterS)]
  const same = [...headers, ...retryAfter, 'Vary', 'Origin, Accept-Language']
  const bodyIn = (message: string) => {
    const [beforeId = '', afterId = ''] = JSON.stringify({
      code: status * 100 + n,
      error,
      message,
      request_id: '@',
    }).split('@')
    return { beforeId, afterId, length: Buffer.byteLength(beforeId + afterId) }
  }
  const bodies = { en: bodyIn(en), zh: bodyIn(zh) }
  return (request, response) => {
    const { 'accept-language': languages, origin } = request.headers
    const isChinese =
      languages !== undefined && prefersChinese(app.createContext(request, response) as Context)
    const { beforeId, afterId, length } = bodies[isChinese ? 'zh' : 'en']
    const requestId = requestIdFrom(request)
    const own = [REQUEST_ID_HEADER, requestId, 'Content-Length', String(length + requestId.length)]
    if (origin !== undefined) own.push(...crossOrigin(origin))
    // Text, not bytes: Node sends it with the headers in one piece.
    response.writeHead(status, same.concat(own)).end(beforeId + requestId + afterId)
    return status
  }
}

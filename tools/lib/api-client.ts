/** The typed client over kept connections, for crowds. */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { createShopClient, type ShopClient } from '../../client/index.ts'

export interface ApiClient {
  shop: ShopClient
  close: () => void
}

const TIMEOUT_MS = 20_000

/** @param maxSockets bounds the requests under way; further ones wait in line */
export function createApiClient(apiUrl: string, maxSockets: number): ApiClient {
  const agent = new Agent({ keepAlive: true, maxSockets, scheduling: 'fifo' })
  return {
    shop: createShopClient(apiUrl, { fetch: (request) => send(agent, request) }),
    close: () => agent.destroy(),
  }
}

/** The header that a request of this buyer needs. */
export function bearer(token: string): { Authorization: string } {
  return { Authorization: `Bearer ${token}` }
}

interface Result {
  data?: { data?: unknown } | undefined
  error?: unknown
  response: Response
}

/**
 * The data of an answer that has to be a success.
 * @throws naming the status and the error that came instead
 */
export async function dataOf<R extends Result>(
  result: Promise<R>,
): Promise<NonNullable<NonNullable<R['data']>['data']>> {
  const got = await result
  const data = got.data?.data
  if (data === undefined || data === null)
    throw new Error(`the API answered ${got.response.status} ${errorOf(got)} where a success was due`)
  return data
}

/** Name of the error that an answer tells; an answer without our envelope is told as an error of its own. */
export function errorOf({ error }: Pick<Result, 'error'>): string {
  const name = (error as { error?: unknown } | undefined)?.error
  return typeof name === 'string' ? name : 'NO_ENVELOPE'
}

async function send(agent: Agent, request: Request): Promise<Response> {
  const body = request.body === null ? undefined : await request.text()
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(request.url, {
      method: request.method,
      agent,
      timeout: TIMEOUT_MS,
      headers: { ...Object.fromEntries(request.headers), ...length },
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)))
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      let text = ''
      incoming.setEncoding('utf8')
      incoming.on('data', (chunk: string) => (text += chunk))
      incoming.on('error', reject)
      incoming.on('end', () => resolve(responseOf(incoming, text)))
    })
    outgoing.end(body)
  })
}

function responseOf({ statusCode = 0, headers }: IncomingMessage, text: string): Response {
  const type = headers['content-type']
  return new Response(text === '' ? null : text, {
    status: statusCode,
    headers: type === undefined ? {} : { 'content-type': type },
  })
}

import { Agent, request, type IncomingMessage } from 'node:http'

export interface ApiReply {
  status: number
  /** Name of the error, for answers that are not 2xx. */
  error: string | undefined
  // The tools read answers of their own API and show what they find.
  data: Record<string, unknown>
  retryAfterS: number
}

export interface ApiClient {
  call(method: string, path: string, options?: { token?: string; body?: unknown }): Promise<ApiReply>
  close(): void
}

const TIMEOUT_MS = 20_000

/** A client for many concurrent requests over a bounded number of kept connections. */
export function createApiClient(baseUrl: string, maxSockets: number): ApiClient {
  const agent = new Agent({ keepAlive: true, maxSockets, scheduling: 'fifo' })
  return {
    close: () => agent.destroy(),
    call: (method, path, { token, body } = {}) =>
      new Promise((resolve, reject) => {
        const text = body === undefined ? undefined : JSON.stringify(body)
        const outgoing = request(`${baseUrl}${path}`, {
          method,
          agent,
          timeout: TIMEOUT_MS,
          headers: {
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          },
        })
        outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)))
        outgoing.on('error', reject)
        outgoing.on('response', (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => resolve(parse(response, Buffer.concat(chunks).toString('utf8'))))
        })
        outgoing.end(text)
      }),
  }
}

/** An answer without our envelope is told as an error of its own. */
function parse(response: IncomingMessage, text: string): ApiReply {
  const status = response.statusCode ?? 0
  const retryAfterS = Number(response.headers['retry-after'] ?? 1)
  try {
    const envelope = JSON.parse(text) as { error?: string; data?: Record<string, unknown> }
    return { status, error: envelope.error, data: envelope.data ?? {}, retryAfterS }
  } catch {
    return { status, error: 'NO_ENVELOPE', data: {}, retryAfterS }
  }
}

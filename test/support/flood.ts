/** Many raw requests over kept connections, as few copies and promises as that takes. */
import { Agent, request } from 'node:http'
import type { RawRequest } from './bad-inputs.ts'

export interface RawReply {
  status: number
  text: string
}

export interface Flood {
  send(request: RawRequest): Promise<RawReply>
  close(): void
}

const WITHIN_MS = 20_000

export function createFlood(baseUrl: string, sockets: number): Flood {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets })
  return {
    close: () => agent.destroy(),
    send: ({ method, path, headers, body }) =>
      new Promise((resolve, reject) => {
        const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
        const outgoing = request(`${baseUrl}${path}`, {
          method,
          agent,
          timeout: WITHIN_MS,
          headers: { ...headers, ...length },
        })
        outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer`)))
        outgoing.on('error', reject)
        outgoing.on('response', (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => (text += chunk))
          response.on('error', reject)
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        })
        outgoing.end(body)
      }),
  }
}

/** Runs `work` on every item, a bounded number at a time. */
export async function eachOf<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0
  const run = async () => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, run))
}

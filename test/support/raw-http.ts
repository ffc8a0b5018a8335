/** Bytes to a server, past everything that would keep a client from sending them. */
import type { Socket } from 'node:net'
import { expect } from 'chai'
import { noteStatus } from './attack.ts'
import { openSocket } from './sockets.ts'

const WITHIN_MS = 20_000

export interface RawAnswers {
  /** All that came until the server hung up, or until nothing came any more. */
  text: string
  /** Status of each answer in it. */
  statuses: number[]
  /** Whether the server hung up. */
  closed: boolean
}

/**
 * Sends bytes over a connection of its own and reads what comes.
 * @param quietMs how long to listen for more after the last byte that came
 */
export async function sendRaw(
  baseUrl: string,
  bytes: string | Uint8Array,
  quietMs = 150,
): Promise<RawAnswers> {
  const socket = await openSocket(baseUrl)
  const listening = listen(socket, quietMs)
  socket.write(bytes)
  const answers = await listening
  socket.destroy()
  return answers
}

/** Sees that each of these gets one answer, which is this one, and that the server hangs up on the rest. */
export async function expectHungUp(
  baseUrl: string,
  requests: Record<string, string>,
  status: number,
): Promise<void> {
  for (const [what, text] of Object.entries(requests)) {
    const { statuses, closed } = await sendRaw(baseUrl, Buffer.from(text, 'latin1'))
    expect([statuses, closed], what).to.deep.equal([[status], true])
  }
}

/** Sends the head, then one byte after the other, until the server has had enough. */
export async function trickle(
  baseUrl: string,
  head: string,
  everyMs = 500,
): Promise<RawAnswers & { ms: number }> {
  const began = Date.now()
  const socket = await openSocket(baseUrl)
  const listening = listen(socket, WITHIN_MS)
  socket.write(head)
  const drip = setInterval(() => socket.write('x'), everyMs)
  try {
    return { ...(await listening), ms: Date.now() - began }
  } finally {
    clearInterval(drip)
    socket.destroy()
  }
}

/** A request as text, with lines that end as HTTP wants it. */
export function rawRequest(line: string, headers: readonly string[] = [], body = ''): string {
  return [line, 'Host: localhost', ...headers, '', body].join('\r\n')
}

async function listen(socket: Socket, quietMs: number): Promise<RawAnswers> {
  const chunks: Buffer[] = []
  let closed = false
  await new Promise<void>((resolve) => {
    let quiet: NodeJS.Timeout | undefined
    const wait = (ms: number) => {
      clearTimeout(quiet)
      quiet = setTimeout(resolve, ms)
    }
    wait(WITHIN_MS)
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      wait(quietMs)
    })
    socket.on('close', () => {
      closed = true
      clearTimeout(quiet)
      resolve()
    })
  })
  const text = Buffer.concat(chunks).toString('latin1')
  const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map((match) => Number(match[1]))
  statuses.forEach(noteStatus)
  return { text, statuses, closed }
}

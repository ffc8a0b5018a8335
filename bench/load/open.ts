/**
 * Load of an open loop: requests at a steady rate, whether earlier ones are answered or not, and the time of each counted
 * from when it was due, waiting for a connection included. autocannon's rates are none: a connection spends its requests
 * of a second at once and sleeps for the rest of it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Answers, serveJob, type LoadJob, type LoadResult } from './job.ts'
import { Wire } from './wire.ts'

const DRAIN_MS = 5_000

async function run(job: LoadJob): Promise<LoadResult> {
  const { rate } = job
  if (rate === undefined) throw new Error('an open loop needs a rate')
  const { hostname, port, pathname } = new URL(job.url)
  const requests = job.headers.map((headers) => encode(job.method, `${hostname}:${port}`, pathname, headers))
  const answers = new Answers()
  const due: { request: Buffer; dueMs: number }[] = []
  const dueAt = new Map<Wire, number>()
  const send = (wire: Wire) => {
    const next = due.shift()
    if (next === undefined) idle.push(wire)
    else {
      dueAt.set(wire, next.dueMs)
      wire.send(next.request)
    }
  }
  const total = Math.floor(rate * job.seconds)
  if (job.once && total > requests.length) throw new Error(`${total} requests, ${requests.length} buyers`)
  let answered = 0
  let allAnswered = (): void => undefined
  const drained = new Promise<void>((resolve) => (allAnswered = resolve))
  const idle: Wire[] = Array.from(
    { length: job.connections },
    () =>
      new Wire(hostname, Number(port), {
        answered(wire, { status }) {
          answers.add(status, performance.now() - (dueAt.get(wire) ?? NaN))
          if (++answered === total) allAnswered()
          send(wire)
        },
      }),
  )
  const wires = [...idle]

  const began = performance.now()
  for (let sent = 0; sent < total; await sleep(1)) {
    const now = performance.now()
    for (; sent < total && began + (sent * 1_000) / rate <= now; sent++) {
      // Due when it is noticed: timers have whole milliseconds, and that is this process's doing.
      due.push({ request: requests[sent % requests.length] ?? Buffer.alloc(0), dueMs: now })
      const wire = idle.pop()
      if (wire !== undefined) send(wire)
    }
  }
  await Promise.race([drained, sleep(DRAIN_MS, undefined, { ref: false })])
  for (const wire of wires) wire.end()
  answers.errors = total - answered
  return answers.result()
}

function encode(method: string, host: string, path: string, headers: Record<string, string>): Buffer {
  const lines = Object.entries({ Host: host, Connection: 'keep-alive', ...headers })
  const length = method === 'POST' ? 'Content-Length: 0\r\n' : ''
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}${length}\r\n`)
}

serveJob(run)

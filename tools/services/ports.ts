import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ServiceDied, tail } from './errors.ts'
import type { KeptProcess } from './keeper.ts'

export const LOOPBACK = '127.0.0.1'

const ATTEMPTS = 3
const PROBE_EVERY_MS = 40
const PROBE_TIMEOUT_MS = 2000
const PORT_TAKEN = /address already in use|eaddrinuse/i

/** Free loopback ports, all different. Another process may take one before its owner binds: see withPorts. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(close))
  return ports
}

/** Runs an attempt on free ports, and again on others when it died because somebody was faster. */
export async function withPorts<T>(count: number, attempt: (ports: number[]) => Promise<T>): Promise<T> {
  for (let left = ATTEMPTS - 1; ; left--) {
    const ports = await freePorts(count)
    try {
      return await attempt(ports)
    } catch (error) {
      if (left === 0 || !(error instanceof ServiceDied)) throw error
      // Not every program says so, and who took the port may have left it.
      if (!PORT_TAKEN.test(error.message) && !(await taken(ports))) throw error
    }
  }
}

async function taken(ports: number[]): Promise<boolean> {
  try {
    for (const port of ports) await close(await listen(port))
    return false
  } catch {
    return true
  }
}

async function listen(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, LOOPBACK, resolve))
  return server
}

async function close(server: Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve))
}

/** Waits until the probe says yes; rejects with the end of the log when the process dies or the time is up. */
export async function untilReady(options: {
  name: string
  child: KeptProcess
  log: string
  timeoutMs: number
  probe: () => Promise<boolean>
}): Promise<void> {
  const { name, child, log, timeoutMs, probe } = options
  let died: string | undefined
  void child.exited.then(({ code, signal, error }) => {
    died = error ?? (signal === null ? `exit code ${code}` : signal)
  })
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const ready = await probe().catch(() => false)
    if (died !== undefined)
      throw new ServiceDied(`${name} ended while it was starting (${died}):\n${tail(log)}`)
    if (ready) return
    if (Date.now() > deadline) {
      throw new ServiceDied(`${name} did not answer within ${timeoutMs / 1000} s:\n${tail(log)}`)
    }
    await sleep(PROBE_EVERY_MS)
  }
}

/** One conversation with a local port: `talk` gets the socket and all bytes so far, and says when it is content. */
export function converse(
  port: number,
  talk: (socket: Socket, received: Buffer) => boolean,
): Promise<boolean> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0)
    const socket = connect(port, LOOPBACK)
    const finish = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    const step = (): void => {
      if (talk(socket, received)) finish(true)
    }
    socket.setTimeout(PROBE_TIMEOUT_MS, () => finish(false))
    socket.once('error', () => finish(false)).once('close', () => finish(false))
    socket.once('connect', step).on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      step()
    })
  })
}

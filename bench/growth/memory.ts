/** What a buyer who waits costs an API process: a stream of a reservation, and a connection that is merely kept. */
import { Agent, get, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { newRid, ridKey } from '../../src/reserve/rid.ts'
import { apiMetric } from '../lib/purchase-cost.ts'
import type { BenchWorld } from '../ratio.ts'
import { startApi, type Side } from './side.ts'

const WARM_UP = 500
const WAITING = 4_000
const AT_ONCE = 100
/** What was needed to open connections is given back. */
const SETTLE_MS = 3_000

export interface WaitingBytes {
  /** Resident memory of a process that nobody waits at, warmed up. */
  idle: number
  perStream: number
  perConnection: number
}

export async function waitingBytes(world: BenchWorld, side: Side): Promise<WaitingBytes> {
  const { arena, buyers } = side
  const eventId = await arena.openSale(WAITING + WARM_UP)
  const key = ridKey(arena.config.jwtSecret)
  const streams = await Promise.all(
    buyers.slice(0, WAITING + WARM_UP).map(async ({ user_id: userId, access_token: token }) => {
      const rid = newRid(eventId, userId, key)
      await arena.scripts.reserve({ eventId, rid, userId, quantity: 1, requestId: rid })
      return { path: `/api/v1/reservations/${rid}/stream`, headers: { authorization: `Bearer ${token}` } }
    }),
  )
  const stream = await growth(world, side, streams)
  const connection = await growth(
    world,
    side,
    streams.map(() => ({ path: '/healthz', headers: {} })),
  )
  await arena.forgetSale(eventId)
  return { idle: stream.idle, perStream: stream.each, perConnection: connection.each }
}

/** How the memory of a new process grows when all of these wait, but for those that warm it up. */
async function growth(
  world: BenchWorld,
  { arena }: Side,
  requests: readonly Request[],
): Promise<{ idle: number; each: number }> {
  const { apiUrl, stop } = await startApi(world, arena)
  const resident = async () => {
    await sleep(SETTLE_MS)
    return apiMetric(apiUrl, 'process_resident_memory_bytes')
  }
  drop(await open(apiUrl, requests.slice(0, WARM_UP)))
  const idle = await resident()
  const waiting = await open(apiUrl, requests.slice(WARM_UP))
  const each = ((await resident()) - idle) / WAITING
  drop(waiting)
  await stop()
  return { idle, each }
}

interface Request {
  path: string
  headers: Record<string, string>
}

interface Waiting {
  answer: IncomingMessage
  agent: Agent
}

/** Connections of their own, each with one request that is answered, or has begun to be. */
async function open(url: string, requests: readonly Request[]): Promise<Waiting[]> {
  const waiting: Waiting[] = []
  for (let i = 0; i < requests.length; i += AT_ONCE)
    waiting.push(...(await Promise.all(requests.slice(i, i + AT_ONCE).map((request) => ask(url, request)))))
  return waiting
}

function ask(url: string, { path, headers }: Request): Promise<Waiting> {
  const agent = new Agent({ keepAlive: true })
  return new Promise((resolve, reject) => {
    get(`${url}${path}`, { agent, headers }, (answer) => {
      if (answer.statusCode !== 200)
        return reject(new Error(`${path} was answered with ${answer.statusCode}`))
      answer.once('data', () => resolve({ answer, agent }))
      return answer.on('error', () => undefined).resume()
    }).on('error', reject)
  })
}

function drop(waiting: readonly Waiting[]): void {
  for (const { answer, agent } of waiting) {
    answer.destroy()
    agent.destroy()
  }
}

import type { RedisClient } from '../platform/redis/nodes.ts'
import { serverOf } from '../platform/redis/server.ts'
import { spikeKeys } from './keys.ts'
import type { GateStatus } from './scripts.ts'

/** What the gate of an event says of itself, and the units that are free. */
export interface Gate {
  status: GateStatus
  epoch: number
  granted: number
  stock: number
  /** Run of the server that wrote the gate. */
  runId: string | null
  /** The event is over for good, and its records were removed. */
  cleared: boolean
}

/** @returns undefined when the gate is missing, or its units are */
export async function readGate(redis: RedisClient, eventId: string): Promise<Gate | undefined> {
  const keys = spikeKeys(eventId)
  const [[status, epochText, grantedText, runId = null, clearedMs], stockText] = await Promise.all([
    redis.hmget(keys.gate, 'status', 'epoch', 'granted', 'run_id', 'cleared_ms'),
    redis.get(keys.stock),
  ])
  const [epoch, granted, stock] = [integer(epochText), integer(grantedText), integer(stockText)]
  if (!status || epoch === undefined || granted === undefined || stock === undefined) return undefined
  return { status: status as GateStatus, epoch, granted, stock, runId, cleared: Boolean(clearedMs) }
}

function integer(text: string | null | undefined): number | undefined {
  return text && /^-?\d+$/.test(text) ? Number(text) : undefined
}

/** Whether only a rebuild brings an event back, by its gate and by the server that serves it now. */
export async function isLostNow(redis: RedisClient, eventId: string): Promise<boolean> {
  const [gate, { runId }] = await Promise.all([
    readGate(redis, eventId),
    serverOf(redis, spikeKeys(eventId).gate),
  ])
  return isLost(gate, runId)
}

/**
 * Whether only a rebuild brings an event back: its gate is missing, or closed by a rebuild that has died, or was
 * written in another run of the server, on whose way here the last of it may have been lost. One that was cleared has
 * nothing left to lose.
 */
export function isLost(gate: Gate | undefined, runId: string): boolean {
  if (gate === undefined || gate.status === 'closed') return true
  return gate.runId !== runId && !gate.cleared
}

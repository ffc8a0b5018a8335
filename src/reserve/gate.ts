import type { Redis } from 'ioredis'
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
}

/** @returns undefined when the gate is missing, or its units are */
export async function readGate(redis: Redis, eventId: string): Promise<Gate | undefined> {
  const keys = spikeKeys(eventId)
  const [[status, epochText, grantedText, runId = null], stockText] = await Promise.all([
    redis.hmget(keys.gate, 'status', 'epoch', 'granted', 'run_id'),
    redis.get(keys.stock),
  ])
  const [epoch, granted, stock] = [integer(epochText), integer(grantedText), integer(stockText)]
  if (!status || epoch === undefined || granted === undefined || stock === undefined) return undefined
  return { status: status as GateStatus, epoch, granted, stock, runId }
}

function integer(text: string | null | undefined): number | undefined {
  return text && /^-?\d+$/.test(text) ? Number(text) : undefined
}

/**
 * Whether only a rebuild brings an event back: its gate is missing, or closed by a rebuild that has died, or was
 * written in another run of the server, on whose way here the last of it may have been lost.
 */
export function isLost(gate: Gate | undefined, runId: string): boolean {
  return gate === undefined || gate.status === 'closed' || gate.runId !== runId
}

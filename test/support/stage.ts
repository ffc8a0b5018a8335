/** A sale on the product's real processes, for flow tests: they run from the build, as users run them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConservation } from '../../src/conservation.ts'
import type { Facts, Invariant } from '../../src/figures/invariants.ts'
import { judge, readTold, type ToldFacts } from '../../tools/check/invariants.ts'
import { openQueueReader, type QueueFacts } from '../../tools/check/queues.ts'
import { newCrowdLog, runCrowd, type CrowdLog } from '../../tools/demo/crowd.ts'
import { createApiClient } from '../../tools/lib/api-client.ts'
import { startProcess, type ProcessRole, type StartedProcess } from '../../tools/lib/processes.ts'
import { createBuyers } from '../factories/accounts.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

export interface Stage {
  processes: Map<ProcessRole, StartedProcess>
  /** Starts a process; it is stopped with the stage. */
  start(role: ProcessRole): Promise<StartedProcess>
  /** What a process has logged. */
  logOf(role: ProcessRole): string
  close(): Promise<void>
}

export function createStage(world: World): Stage {
  const logs = mkdtempSync(join(tmpdir(), 'spike-test-logs-'))
  const processes = new Map<ProcessRole, StartedProcess>()
  return {
    processes,
    async start(role) {
      const started = await startProcess(role, world.env, logs)
      processes.set(role, started)
      return started
    },
    logOf: (role) => readFileSync(join(logs, `${role}.log`), 'utf8'),
    async close() {
      await Promise.all([...processes.values()].map((process) => process.stop()))
      rmSync(logs, { recursive: true, force: true })
    },
  }
}

/** Sends a crowd to a sale over HTTP and resolves when everybody has left. */
export async function sendCrowd(
  world: World,
  options: {
    eventId: string
    buyers: number
    payShare: number
    patienceMs: number
    surviveOutages?: boolean
  },
): Promise<CrowdLog> {
  const buyers = await createBuyers(world, options.buyers)
  const client = createApiClient(world.apiUrl, 64)
  const log = newCrowdLog()
  try {
    await runCrowd({ ...options, rush: client.shop, followUp: client.shop, seed: 7 }, buyers, log)
  } finally {
    client.close()
  }
  return log
}

/** Waits until nothing is in flight, then judges. @param limitMs longer where something has to come back first */
export async function judgeAtRest(
  world: World,
  eventId: string,
  told: readonly string[],
  limitMs?: number,
): Promise<{ facts: Facts; queues: QueueFacts; toldFacts: ToldFacts; invariants: Invariant[] }> {
  const reader = await openQueueReader(world.config.amqpUrl, world.queueRedis, world.config.namespace)
  try {
    const look = async () => {
      const facts = await readConservation(world, eventId)
      const queues = await reader.read()
      if (facts === undefined) return undefined
      const quiet = facts.ledger.pending + facts.ledger.unpublished + facts.inFlight + queues.waiting === 0
      return quiet && facts.pendingReleases === 0 && { facts, queues }
    }
    // The stores are read one after the other: what moved between the two was at rest in neither, and is by the next look.
    const { facts, queues } = await until('rest', async () => (await look()) && look(), limitMs)
    const toldFacts = await readTold(world.knex, eventId, { told })
    return { facts, queues, toldFacts, invariants: judge(facts, toldFacts, queues) }
  } finally {
    await reader.close()
  }
}

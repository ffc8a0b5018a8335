/**
 * Whether the campaign would notice: bugs are planted into a copy of the build, one at a time, and each has to break a
 * promise. The simulation has many more of them; these show that the checker of the real thing bites as well.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Cell } from './cell.ts'
import { openCell } from './cell.ts'
import type { RunPlan } from './plan.ts'
import { isKept, runPlan } from './run.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Beside the packages, so that the copies find them. */
const COPIES = join('.data', 'planted')
/** A planted bug may never come to rest: nobody waits a minute for it. */
const REST_WITHIN_MS = 20_000

interface PlantedBug {
  name: string
  edits: { file: string; find: string; put: string }[]
  /** What brings it to light. */
  faults: string[]
}

const several = (fault: string, times: number) => Array.from({ length: times }, () => fault)

const NO_NET: PlantedBug['edits'] = [
  { file: 'workers/compose.js', find: /* js */ ` logRelay({`, put: ` withoutWork({` },
  { file: 'workers/compose.js', find: /* js */ ` stuckHolds({`, put: ` withoutWork({` },
  {
    file: 'workers/compose.js',
    find: `export async function compose(`,
    put: `const withoutWork = () => ({ start() {}, async stop() {}, wake() {} });\nexport async function compose(`,
  },
]

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'the unit goes back because its publish was not confirmed',
    edits: [
      {
        file: 'src/buy.js',
        find: `if (outcome !== 'confirmed') {`,
        put: `if (outcome !== 'confirmed') {\nawait deps.scripts.release({ eventId: input.eventId, rid: reply.rid, userId: input.userId, quantity: input.quantity, reason: 'expired' });`,
      },
    ],
    faults: ['freeze-rabbitmq', 'memory-alarm'],
  },
  {
    name: 'messages are acked before they are in PostgreSQL, and there is no net',
    edits: [
      ...NO_NET,
      {
        file: 'src/platform/rabbitmq/batch-consumer.js',
        find: `await this.#options.handle(batch);`,
        put: `channel.ack(batch.at(-1), true);\nawait new Promise((resolve) => setTimeout(resolve, 50));\nawait this.#options.handle(batch);\nreturn;`,
      },
    ],
    faults: ['failpoint bridge.before-inbox=kill', ...several('kill-workers', 4)],
  },
  {
    name: 'nobody reads the reservation log',
    edits: NO_NET,
    faults: ['failpoint reserve.after=kill'],
  },
  {
    name: 'undecided reservations are not revived',
    edits: [
      {
        file: 'workers/sweep/sweep.js',
        find: `await reviveUndecided(knex, deps.createOrders)`,
        put: `0`,
      },
    ],
    faults: ['failpoint create-order.in-transaction=kill', ...several('flush-queue-redis', 8)],
  },
  {
    name: 'nobody closes overdue orders but their timers',
    edits: [
      {
        file: 'workers/sweep/sweep.js',
        find: `await overdueOrders(deps.knex, MAX_ROWS)`,
        put: `[]`,
      },
    ],
    faults: several('lost-timers', 6),
  },
  {
    name: 'late money is kept',
    edits: [{ file: 'src/pay.js', find: `await openRefund(`, put: `void (` }],
    faults: [],
  },
]

interface TeethOptions {
  cells: number
  say: (line: string) => void
  signal: AbortSignal
  opened: (cell: Cell) => void
}

/** Plants each bug in turn. @returns 0 when all were caught */
export async function catchPlantedBugs({ cells, say, signal, opened }: TeethOptions): Promise<number> {
  const left = [...PLANTED_BUGS.entries()]
  let missed = 0
  const work = async () => {
    const cell = await openCell(() => undefined, signal)
    opened(cell)
    for (let next = left.shift(); next !== undefined && !signal.aborted; next = left.shift()) {
      const [nth, bug] = next
      const caught = await isCaught(cell, bug, nth)
      if (caught === undefined) missed++
      say(
        `${caught === undefined ? 'MISSED' : 'caught'}  ${bug.name}${caught === undefined ? '' : `: ${caught}`}`,
      )
    }
  }
  await Promise.all(Array.from({ length: Math.min(cells, left.length) }, work))
  say(`planted bugs: ${PLANTED_BUGS.length}, missed: ${missed}`)
  return missed
}

/** @returns the first broken promise, undefined when none was */
async function isCaught(cell: Cell, bug: PlantedBug, nth: number): Promise<string | undefined> {
  const build = plant(bug, nth)
  try {
    const { judgement, logs } = await runPlan(cell, planFor(bug, nth), () => undefined, {
      build,
      restWithinMs: REST_WITHIN_MS,
    })
    rmSync(logs, { recursive: true, force: true })
    return isKept(judgement) ? undefined : (judgement.broken[0] ?? 'a count is not 0')
  } finally {
    rmSync(join(ROOT, build), { recursive: true, force: true })
  }
}

/** Copies the build and edits the copy. @returns its folder @throws when an edit does not fit the build any more */
function plant({ name, edits }: PlantedBug, nth: number): string {
  const build = join(COPIES, String(nth))
  rmSync(join(ROOT, build), { recursive: true, force: true })
  mkdirSync(join(ROOT, COPIES), { recursive: true })
  cpSync(join(ROOT, 'dist'), join(ROOT, build), { recursive: true })
  for (const { file, find, put } of edits) {
    const path = join(ROOT, build, file)
    const text = readFileSync(path, 'utf8')
    if (!text.includes(find)) throw new Error(`"${name}" does not fit ${file} any more`)
    writeFileSync(path, text.replace(find, put))
  }
  return build
}

function planFor({ faults }: PlantedBug, nth: number): RunPlan {
  return {
    seed: 900_000 + nth,
    units: 60,
    buyers: 120,
    rushMs: 4_000,
    payShare: 0.6,
    cancelShare: 0.1,
    paymentWindowS: 3,
    strikes: faults.map((fault, i) => ({ fault, atMs: i * 400 })),
    edits: [],
  }
}

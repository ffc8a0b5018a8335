/** Every statement that this process sends to PostgreSQL, as it is sent, and how PostgreSQL would run it. */
import { Client } from 'pg'

export interface Statement {
  sql: string
  values: readonly unknown[]
}

export interface Capture {
  /** What was sent since the last time, each text once, with the values that came with it first. */
  take(): Statement[]
  stop(): void
}

/** Statements that read or change rows; not those about transactions and settings. */
const OF_ROWS = /^\s*(?:select|with|insert|update|delete)\b/i

/** Listens to the driver itself, so that nothing which the process asks can be missed. */
export function captureStatements(): Capture {
  // oxlint-disable-next-line typescript/unbound-method -- it is called with the client that it is called on
  const { query } = Client.prototype
  let seen = new Map<string, Statement>()
  const listening = function (this: Client, ...args: unknown[]): unknown {
    const [first, second] = args
    const { text, values } =
      typeof first === 'string'
        ? { text: first, values: Array.isArray(second) ? second : [] }
        : (first as { text?: string; values?: unknown[] })
    if (text !== undefined && OF_ROWS.test(text) && !seen.has(text))
      seen.set(text, { sql: text, values: values ?? [] })
    return Reflect.apply(query, this, args)
  }
  Client.prototype.query = listening as typeof query
  return {
    take() {
      const statements = [...seen.values()]
      seen = new Map()
      return statements
    },
    stop: () => void (Client.prototype.query = query),
  }
}

export interface Plan {
  /** Tables that are read from end to end. */
  scanned: string[]
  indexes: string[]
  /** Pages touched, and milliseconds taken; 0 when the statement was not run. */
  buffers: number
  ms: number
}

/**
 * Asks PostgreSQL how it runs a statement.
 * @param run to run it as well, in a transaction that is rolled back; the second of two runs counts
 */
export async function explain(client: Client, statement: Statement, run = false): Promise<Plan> {
  const options = run ? 'ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON' : 'FORMAT JSON'
  const ask = async () => {
    const { rows } = await client.query({
      text: `EXPLAIN (${options}) ${statement.sql}`,
      values: [...statement.values],
    })
    return rows[0]['QUERY PLAN'][0] as Explained
  }
  if (!run) return planOf(await ask())
  await client.query('BEGIN')
  try {
    await ask()
    return planOf(await ask())
  } finally {
    await client.query('ROLLBACK')
  }
}

interface Explained {
  Plan: PlanNode
  'Execution Time'?: number
}

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Shared Hit Blocks'?: number
  'Shared Read Blocks'?: number
  Plans?: PlanNode[]
}

function planOf({ Plan: top, 'Execution Time': ms = 0 }: Explained): Plan {
  const nodes = [...nodesOf(top)]
  const scans = nodes.filter((node) => node['Node Type'] === 'Seq Scan')
  return {
    scanned: distinct(scans.map((node) => node['Relation Name'])),
    indexes: distinct(nodes.map((node) => node['Index Name'])),
    buffers: (top['Shared Hit Blocks'] ?? 0) + (top['Shared Read Blocks'] ?? 0),
    ms,
  }
}

function* nodesOf(node: PlanNode): Generator<PlanNode> {
  yield node
  for (const child of node.Plans ?? []) yield* nodesOf(child)
}

function distinct(names: readonly (string | undefined)[]): string[] {
  return [...new Set(names.filter((name) => name !== undefined))].sort()
}

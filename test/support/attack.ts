/** Attack cases: each is a test of its own, counted over all files of a run. */
import { expect } from 'chai'
import { after, afterEach, it, type Context, type Test } from 'mocha'
import { createClient, type Client } from './http.ts'
import { stateOf } from './state.ts'
import type { World } from './world.ts'

const cases = new Set<Test>()
const seen = { refused: 0, serverErrors: 0 }

/** A test whose title says the attack and what comes of it. It counts as refused when it passes, and only then. */
export function attack(title: string, run: (this: Context) => Promise<unknown>): void {
  cases.add(it(title, run))
}

/** A client whose answers are looked through for 5xx, where nothing is down that would excuse them. */
export function createAttackClient(baseUrl: string): Client {
  const client = createClient(baseUrl)
  return async <Data>(...[method, path, ask]: Parameters<Client>) => {
    const reply = await client<Data>(method, path, ask)
    noteStatus(reply.status)
    return reply
  }
}

/** Notes the status of an answer that came past the attack client. */
export function noteStatus(status: number): void {
  if (status >= 500) seen.serverErrors++
}

/**
 * Runs an attack and sees that nothing is stored differently after it.
 * @param but a table that may have got rows: the audit log, where somebody may do what then has no effect
 */
export async function unchanged<T>(
  world: World,
  eventIds: readonly string[],
  run: () => Promise<T>,
  but?: 'audit_log',
): Promise<T> {
  const stored = async () => {
    const { redis, tables } = await stateOf(world, ...eventIds)
    return { redis, tables: but === undefined ? tables : { ...tables, [but]: undefined } }
  }
  const before = await stored()
  const result = await run()
  expect(await stored(), 'what is stored').to.deep.equal(before)
  return result
}

afterEach(function () {
  const test = this.currentTest
  if (test !== undefined && cases.has(test) && test.state === 'passed') seen.refused++
})

// Runs once, after the last file.
after(() => {
  const { refused, serverErrors } = seen
  if (cases.size > 0)
    process.stdout.write(`attack cases: ${cases.size}, refused: ${refused}, 5xx = ${serverErrors}\n`)
})

/** Processor time that processes of this machine have taken, in seconds; other processes' turns are not counted. */
import { readdirSync, readFileSync } from 'node:fs'
import type { Knex } from 'knex'

/** Of a process with all its threads, by Linux's scheduler. @throws where there is none, and when the process is gone */
export function processSeconds(pid: number): number {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks)
    .map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9)
    .reduce((sum, seconds) => sum + seconds, 0)
}

/** Of each server process that works for connections to a database, by its id. */
export async function backendSeconds(knex: Knex): Promise<Map<number, number>> {
  const { rows } = await knex.raw(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'`,
  )
  return new Map(rows.map(({ pid }: { pid: number }) => [pid, processSeconds(pid)]))
}

/** What backends have taken since; those that ended in between were idle for long, and are left out. */
export function backendsSince(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): number {
  return [...after].reduce((sum, [pid, seconds]) => sum + seconds - (before.get(pid) ?? 0), 0)
}

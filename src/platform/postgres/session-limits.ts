import type { Knex } from 'knex'

/** What a session of ours may take at most, in ms; the server ends what takes longer. */
export const SESSION_LIMITS = {
  statement_timeout: 15_000,
  lock_timeout: 10_000,
  // A process that stands still in a transaction holds up everybody else, but not until they give up.
  idle_in_transaction_session_timeout: 8_000,
} as const

/**
 * The limits that do not hold although the client asked for them: a pooler that stands in between gives its sessions those
 * that it was told.
 * @returns a line for people, or undefined when all of them hold
 */
export async function missingLimits(knex: Knex): Promise<string | undefined> {
  const names = Object.keys(SESSION_LIMITS) as (keyof typeof SESSION_LIMITS)[]
  const { rows } = await knex.raw('SELECT name, setting::int AS ms FROM pg_settings WHERE name = ANY(?)', [
    names,
  ])
  const held = new Map<string, number>(rows.map(({ name, ms }: { name: string; ms: number }) => [name, ms]))
  const missing = names.filter((name) => {
    const ms = held.get(name) ?? 0
    return ms <= 0 || ms > SESSION_LIMITS[name]
  })
  if (missing.length === 0) return undefined
  return missing
    .map((name) => `${name} is ${held.get(name)} ms instead of ${SESSION_LIMITS[name]}`)
    .join(', ')
}

/** The statements that give a session its limits, for whoever opens sessions in our place. */
export function limitsAsSql(): string {
  return Object.entries(SESSION_LIMITS)
    .map(([name, ms]) => `SET ${name} = ${ms}`)
    .join('; ')
}

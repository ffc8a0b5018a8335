/** Telling trouble of a store from a fault of what it was given: only the second gets better by giving up on it. */
import { blamesValues, isTransient } from './postgres/transaction.ts'

/** Answers in which Redis speaks of itself, not of the command; also from inside a script. */
const REDIS_STATE =
  /\b(BUSY|CLUSTERDOWN|EXECABORT|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOPERM|NOREPLICAS|OOM|READONLY|TRYAGAIN|WRONGPASS)\b/
/** What the client says when it has no server to ask, or no answer in time. */
const NO_ANSWER =
  /^(Connection is closed|Command (timed out|aborted)|Stream isn't writeable|no answer in |Too many Cluster redirections|Failed to refresh slots cache|None of startup nodes)/
const SYSTEM_CODE = /^E[A-Z_]+$/
const SQL_STATE = /^[0-9A-Z]{5}$/

/**
 * True when a store is down, out of reach, full or read-only, also half-way through a migration: whatever PostgreSQL
 * refuses for another reason than the values counts as this.
 */
export function isStoreTrouble(error: unknown): boolean {
  const { code, name = '', message = '' } = error as { code?: unknown; name?: string; message?: string }
  if (isTransient(error) || name === 'MaxRetriesPerRequestError' || NO_ANSWER.test(message)) return true
  if (typeof code === 'string' && SYSTEM_CODE.test(code) && !code.startsWith('ERR_')) return true
  if (typeof code === 'string' && SQL_STATE.test(code)) return !blamesValues(error)
  return name === 'ReplyError' && REDIS_STATE.test(message)
}

import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'
import { activeIds } from './telemetry/trace.ts'

export type { Logger }

const SECRET_FIELDS = [
  'password',
  'current_password',
  'new_password',
  'access_token',
  'refresh_token',
  'device_token',
  'authorization',
  'email',
]

/** Paths that never reach a log line, whatever object is logged. E-mails are no secrets, but are nobody's business. */
const SECRET_PATHS = [
  ...SECRET_FIELDS,
  ...SECRET_FIELDS.map((field) => `*.${field}`),
  'headers.cookie',
  'req.headers.authorization',
  'req.headers.cookie',
  // PostgreSQL shows the whole row that broke a rule, hashes of passwords included.
  'err.detail',
  'err.*.detail',
]

/**
 * JSON lines on standard output, one logger a process; parts take children of it. A line that is written while a span is
 * open carries `trace_id` and `span_id`.
 * @param role name of the process: api, workers, dashboard
 * @param stream where the lines go instead
 */
export function createLogger(role: string, level: string, stream?: DestinationStream): Logger {
  const options = {
    level,
    base: { role, pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    mixin: activeIds,
    redact: { paths: SECRET_PATHS, censor: '[redacted]' },
  }
  // Written at once: what is under way when a process ends would be overtaken by its last words, or lost.
  return pino(options, stream ?? pino.destination({ dest: 1, sync: true }))
}

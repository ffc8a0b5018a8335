import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'

export type { Logger }

const SECRET_FIELDS = [
  'password',
  'current_password',
  'new_password',
  'access_token',
  'refresh_token',
  'device_token',
  'authorization',
]

/** Paths that never reach a log line, whatever object is logged. */
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
 * JSON lines on standard output, one logger a process; parts take children of it.
 * @param role name of the process: api, workers, dashboard
 * @param stream where the lines go instead
 */
export function createLogger(role: string, level: string, stream?: DestinationStream): Logger {
  const options = {
    level,
    base: { role, pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    redact: { paths: SECRET_PATHS, censor: '[redacted]' },
  }
  return stream === undefined ? pino(options) : pino(options, stream)
}

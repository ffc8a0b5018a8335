import { readFileSync } from 'node:fs'

const TAIL_LINES = 12
const TAIL_WIDTH = 240

/** Thrown when the services can't be had: its message is meant for people and names the ways out. */
export class ServicesUnavailable extends Error {
  override name = 'ServicesUnavailable'
}

/** A service's process ended (or never answered) while it was being started. */
export class ServiceDied extends Error {
  override name = 'ServiceDied'
}

/** The last lines of a log file, indented for an error message; a hint when there are none. */
export function tail(file: string): string {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // It died before it wrote anything.
  }
  const lines = text.trim().split('\n').slice(-TAIL_LINES)
  return lines.join('') === ''
    ? '    (its log is empty)'
    : lines.map((line) => `    ${line.slice(0, TAIL_WIDTH)}`).join('\n')
}

/** The one error for people: why nothing worked, and the three ways out. */
export function unavailable(reasons: string[], installCommand: string): ServicesUnavailable {
  return new ServicesUnavailable(
    [
      'The services this command needs are not to be had here:',
      ...reasons.map((reason) => `  - ${reason}`),
      'Three ways out:',
      '  1. give the URLs of your own in the environment: DATABASE_URL, REDIS_URL, QUEUE_REDIS_URL, AMQP_URL',
      '  2. start a Docker engine (with the compose plugin)',
      `  3. install the packages: ${installCommand}`,
    ].join('\n'),
  )
}

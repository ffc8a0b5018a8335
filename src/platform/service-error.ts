import { nodeUrls } from './node-urls.ts'
import { withinTime } from './time-limit.ts'

/** A store or broker that does not answer, said in one line with what to do about it. */
export class ServiceError extends Error {
  constructor(service: string, setting: string, url: string, cause: unknown) {
    super(
      `${service} at ${hostOf(url)} (${setting}) is not usable: ${reasonOf(cause)}. ` +
        `Start it or correct ${setting}; \`npm run doctor\` checks everything.`,
      { cause },
    )
    this.name = 'ServiceError'
  }
}

/** Host (or hosts), port and database of a URL, without user and password. */
export function hostOf(url: string): string {
  const nodes = nodeUrls(url).map((node) => new URL(node))
  const { pathname = '' } = nodes[0] ?? {}
  return `${nodes.map(({ host }) => host).join(',')}${pathname === '/' ? '' : pathname}`
}

/** The text of an error of Node or of a driver, whose message is empty when several addresses failed. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  if (error instanceof Error) return error.message || error.name
  return String(error)
}

/**
 * Runs a first contact with a service within a time limit.
 * @throws ServiceError when it fails or does not answer in time
 */
export async function firstContact<T>(
  service: { name: string; setting: string; url: string },
  contact: () => Promise<T>,
  timeoutMs = 5_000,
): Promise<T> {
  try {
    return await withinTime(contact(), timeoutMs)
  } catch (error) {
    throw new ServiceError(service.name, service.setting, service.url, error)
  }
}

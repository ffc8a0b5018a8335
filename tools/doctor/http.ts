import { reasonOf } from '../../src/platform/service-error.ts'
import { finding, unusable, type Finding } from './finding.ts'

const TIMEOUT_MS = 5_000

/** One process of the product as a load balancer sees it. @param mend the command that starts it */
export async function checkProcess(
  name: string,
  address: { host: string; port: number; path: string },
  mend: string,
): Promise<Finding[]> {
  const host = address.host === '0.0.0.0' || address.host === '::' ? '127.0.0.1' : address.host
  const origin = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
  const what = `${name} ${origin}`
  try {
    const response = await fetch(origin + address.path, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    return [finding(what, response.ok, `${address.path} answers ${response.status}`, mend)]
  } catch (error) {
    const { cause = error } = error as { cause?: unknown }
    return [unusable(what, reasonOf(cause), mend)]
  }
}

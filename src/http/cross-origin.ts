/** What browsers of other origins may read. */
export const EXPOSED_HEADERS = [
  'ETag',
  'Idempotent-Replayed',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'WWW-Authenticate',
  'X-Request-Id',
]

/** Headers of an answer, name and value by turns, for an `Origin`; none for one that is not on the list. */
export type CrossOriginHeaders = (origin: string) => readonly string[]

/** The same headers as @koa/cors sets, for answers that are written past Koa. */
export function crossOriginHeaders(origins: readonly string[]): CrossOriginHeaders {
  const exposed = ['Access-Control-Expose-Headers', EXPOSED_HEADERS.join(',')]
  return (origin) => (origins.includes(origin) ? ['Access-Control-Allow-Origin', origin, ...exposed] : [])
}

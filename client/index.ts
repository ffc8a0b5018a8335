/** A typed client of the API: paths, bodies and answers are checked by the compiler against `openapi.json`. */
import createClient, { type Client } from 'openapi-fetch'
import type { paths } from './schema.d.ts'

export type { components, operations, paths } from './schema.d.ts'

export type ShopClient = Client<paths>

/**
 * @param baseUrl of the API's process, for example `http://127.0.0.1:8080`
 * @param options token of the one who asks; fetch in place of the global one
 */
export function createShopClient(
  baseUrl: string,
  { token, fetch }: { token?: string; fetch?: (request: Request) => Promise<Response> } = {},
): ShopClient {
  return createClient<paths>({
    baseUrl,
    ...(token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } }),
    ...(fetch === undefined ? {} : { fetch }),
  })
}

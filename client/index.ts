/** A typed client of the API: paths, bodies and answers are checked by the compiler against `openapi.json`. */
import createClient, { type Client } from 'openapi-fetch'
import type { paths } from './schema.d.ts'

export type { components, operations, paths } from './schema.d.ts'

export type ShopClient = Client<paths>

export interface ShopClientOptions {
  /** The access token of the one who asks. A function is asked before each request: tokens live for minutes. */
  token?: string | (() => string | undefined)
  /** In place of the global one. */
  fetch?: (request: Request) => Promise<Response>
}

/** @param baseUrl of the API's process, for example `http://127.0.0.1:8080` */
export function createShopClient(baseUrl: string, { token, fetch }: ShopClientOptions = {}): ShopClient {
  const client = createClient<paths>({ baseUrl, ...(fetch === undefined ? {} : { fetch }) })
  client.use({
    onRequest({ request }) {
      const present = typeof token === 'function' ? token() : token
      if (present !== undefined) request.headers.set('Authorization', `Bearer ${present}`)
    },
  })
  return client
}

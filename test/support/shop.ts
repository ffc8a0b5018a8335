/** The typed client of the API, as tests use it. */
import { createShopClient, type ShopClient } from '../../client/index.ts'
import { expectDeclared } from './conformance.ts'
import { readEnvelope } from './http.ts'

/** A client that accepts only what the contract declares. */
export function createShop(apiUrl: string, token?: string): ShopClient {
  return createShopClient(apiUrl, { ...(token === undefined ? {} : { token }), fetch: declaredFetch })
}

async function declaredFetch(request: Request): Promise<Response> {
  const response = await fetch(request)
  const { status, headers } = response
  const text = await response.clone().text()
  const { pathname } = new URL(request.url)
  expectDeclared(request.method, pathname, { status, headers, text, body: readEnvelope(text) })
  return response
}

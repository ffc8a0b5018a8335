/** Products as an admin makes and changes them over HTTP. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { createAccount, type Account } from '../factories/accounts.ts'
import { createClient, type Ask, type Client, type Reply } from './http.ts'
import { createWorld, type World } from './world.ts'

export interface ProductBody {
  id: string
  sku: string
  name: string
  description: string
  price: number
  currency: string
  version: number
  created_at: string
  updated_at: string
  /** Of refusals. */
  fields?: { field: string; problem: string }[]
  spike_event_id?: string
}

export interface Shop {
  world: World
  api: Client
  admin: Account
  post(json: object, headers?: Record<string, string>): Promise<Reply<ProductBody>>
  /** @param version number for our ETag, or the header as it is */
  patch(id: string, version: number | string, json: object): Promise<Reply<ProductBody>>
  remove(id: string, version: number | string): Promise<Reply<ProductBody>>
  read(id: string, ifNoneMatch?: string): Promise<Reply<ProductBody>>
  /** Makes a product that is good for anything, unless the test says more. */
  make(more?: object): Promise<ProductBody>
  auditOf(target: string): Promise<Record<string, unknown>[]>
}

export const newSku = (): string => `T-${randomUUID()}`

/** A world with an API and an admin. */
export async function openShop(): Promise<Shop> {
  const world = await createWorld({ RATE_LIMIT: 'off' })
  await world.start('api')
  const api = createClient(`${world.apiUrl}/api/v1`)
  const admin = await createAccount(world, 'admin')
  const ask = (method: string, path: string, more: Ask) =>
    api<ProductBody>(method, `/products${path}`, { token: admin.token, ...more })
  const ifMatch = (version: number | string) => ({
    'if-match': typeof version === 'number' ? `"${version}"` : version,
  })
  const shop: Shop = {
    world,
    api,
    admin,
    post: (json, headers = {}) => ask('POST', '', { json, headers }),
    patch: (id, version, json) => ask('PATCH', `/${id}`, { json, headers: ifMatch(version) }),
    remove: (id, version) => ask('DELETE', `/${id}`, { headers: ifMatch(version) }),
    read: (id, ifNoneMatch) =>
      ask('GET', `/${id}`, { headers: ifNoneMatch === undefined ? {} : { 'if-none-match': ifNoneMatch } }),
    async make(more = {}) {
      const reply = await shop.post({ sku: newSku(), name: 'Thing', price: 500, ...more })
      expect(reply.status, reply.text).to.equal(201)
      return reply.body.data
    },
    auditOf: (target) =>
      world
        .knex('audit_log')
        .where({ target })
        .orderBy('id')
        .select('action', 'actor_id', 'request_id', 'before', 'after'),
  }
  return shop
}

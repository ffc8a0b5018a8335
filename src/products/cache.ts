import type { Knex } from 'knex'
import type { Logger } from '../platform/logger.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { ReadCache, type Lookup } from '../platform/redis/read-cache.ts'
import { findProduct, presentProduct, type ProductData } from './model.ts'

export type ProductCache = ReadCache<ProductData>

/** Products as the API tells of them; every change of one has to be told to it after the commit. */
export function createProductCache(deps: {
  knex: Knex
  redis: RedisClient
  namespace: string
  log: Logger
  onLookup?: (result: Lookup) => void
}): ProductCache {
  return new ReadCache({
    ...deps,
    prefix: `${deps.namespace}:cache:product`,
    load: async (id) => {
      const product = await findProduct(deps.knex, id)
      return product && presentProduct(product)
    },
  })
}

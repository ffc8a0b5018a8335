import type Router from '@koa/router'
import type { Knex } from 'knex'
import { listProducts, presentProduct, PRODUCT_SORTS } from '../../products/model.ts'
import { answer, type Context } from '../context.ts'
import { validate } from '../validate.ts'
import { pageOf, sortedPageQuery } from './lists.ts'

const listQuery = sortedPageQuery(PRODUCT_SORTS, 'created_at')

export function productRoutes(router: Router, deps: { knex: Knex }): void {
  router.get('/products', async (ctx: Context) => {
    const query = validate(listQuery, ctx.query)
    const [sort, direction] = query.sort
    const { items, total } = await listProducts(deps.knex, {
      page: query.page,
      pageSize: query.page_size,
      sort,
      direction,
    })
    answer(ctx, pageOf(query, total, items.map(presentProduct)))
  })
}

import { z } from 'zod'

const PAGE = {
  page: z.coerce.number().int().min(1).max(10_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(20),
}

/** Query of a list without sorting. */
export const pageQuery = z.strictObject(PAGE)

/** Query of a list that may be sorted by the given fields, as `sort=field,asc|desc`. */
export function sortedPageQuery<const F extends string>(fields: readonly [F, ...F[]], first: F) {
  return z.strictObject({
    ...PAGE,
    sort: z
      .string()
      .default(`${first},asc`)
      .transform((text) => text.split(','))
      .pipe(
        z.tuple([
          z.enum(fields, `sorts by ${fields.join(', ')} only`),
          z.enum(['asc', 'desc'], 'has the form field,asc or field,desc'),
        ]),
      ),
  })
}

/** The envelope's data of a list. */
export function pageOf<T>(query: { page: number; page_size: number }, total: number, items: T[]) {
  return { items, page: query.page, page_size: query.page_size, total }
}

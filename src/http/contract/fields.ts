/** Fields and pieces of schema that several routes share. */
import { z } from 'zod'
import { id } from '../../contracts/values.ts'

/** Times leave as ISO 8601 in UTC. */
export const timestamp = z.iso.datetime({ offset: true })
export const currency = z.string().regex(/^[A-Z]{3}$/, 'is a code of three capital letters, such as CNY')
export const units = z.int()

/**
 * Text of people: any script, no control characters but line breaks, nothing that PostgreSQL can't keep (NUL, half
 * of a surrogate pair). It is kept as it came.
 */
export function text(min: number, max: number) {
  return z
    .string()
    .min(min)
    .max(max)
    .refine((value) => value.isWellFormed() && !hasControls(value), 'holds characters that are no text')
    .refine((value) => min === 0 || value.trim() !== '', 'is blank')
}

function hasControls(value: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(value)
}

/** Why a person changed something; kept in the ledger. */
export const reason = text(1, 200)

export const idParams = z.object({ id })

const PAGE = {
  page: z.coerce.number().int().min(1).max(10_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(20),
}

/** `sort=field,asc|desc` over the given fields; unknown ones are refused with the list of what is allowed. */
export function sortBy<const F extends string>(
  fields: readonly [F, ...F[]],
  first: `${F},${'asc' | 'desc'}`,
) {
  return z
    .string()
    .default(first)
    .transform((value) => value.split(','))
    .pipe(
      z.tuple([
        z.enum(fields, `sorts by ${fields.join(', ')} only`),
        z.enum(['asc', 'desc'], 'has the form field,asc or field,desc'),
      ]),
    )
    .meta({
      type: 'string',
      default: first,
      description: `\`field,asc\` or \`field,desc\`; fields: ${fields.join(', ')}`,
      pattern: `^(${fields.join('|')}),(asc|desc)$`,
    })
}

/** Query of a list: its page, and the filters and the sort that it takes. Anything else is refused. */
export function listQuery<F extends z.ZodRawShape>(filters: F) {
  const shape = { ...PAGE, ...filters }
  const allowed = `takes ${Object.keys(shape).join(', ')} only`
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? `${issue.keys.join(', ')}: ${allowed}` : undefined,
  })
}

/** Data of a list's answer. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), page: z.int(), page_size: z.int(), total: z.int() })
}

export interface PageQuery {
  page: number
  page_size: number
}

/** The envelope's data of a list. */
export function page<T>(query: PageQuery, found: { items: T[]; total: number }) {
  return { items: found.items, page: query.page, page_size: query.page_size, total: found.total }
}

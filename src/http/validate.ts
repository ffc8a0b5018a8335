import type { z } from 'zod'
import { ApiError } from './errors.ts'

/**
 * Checks input of any kind against its schema.
 * @throws ApiError VALIDATION_FAILED with each field that is wrong; values are not repeated
 */
export function validate<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  throw new ApiError('VALIDATION_FAILED', {
    data: {
      fields: result.error.issues.map(({ path, message }) => ({
        field: path.join('.') || 'body',
        problem: message,
      })),
    },
  })
}

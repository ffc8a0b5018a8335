/** Reads an option that has to be a whole number. @throws naming it */
export function whole(name: string, text: string, max = 10_000): number {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1 || n > max)
    throw new Error(`--${name} must be a whole number from 1 to ${max}`)
  return n
}

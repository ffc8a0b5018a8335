/** Objects and lists in each other; no request of ours needs more than a few. */
const MAX_DEPTH = 32

/** Strings with the colon that makes them names of fields, and brackets. */
const TOKENS = /("(?:[^"\\]|\\.)*")\s*(:)?|[{}[\]]/g

/** What is wrong with the shape of a JSON text, which is read as valid before. */
export function problemOf(json: string): string | undefined {
  /** Names of the fields of every open object; none for lists. */
  const open: (Set<string> | undefined)[] = []
  for (const [token, text, colon] of json.matchAll(TOKENS)) {
    if (token === '{' || token === '[') {
      if (open.push(token === '{' ? new Set() : undefined) > MAX_DEPTH)
        return `is nested more than ${MAX_DEPTH} levels deep`
    } else if (token === '}' || token === ']') open.pop()
    else if (text !== undefined && colon !== undefined) {
      const name = JSON.parse(text) as string
      const names = open.at(-1)
      if (names?.has(name)) return 'names a field twice'
      names?.add(name)
    }
  }
  return undefined
}

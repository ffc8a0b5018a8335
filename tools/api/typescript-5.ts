import { register } from 'node:module'

const HOOK = `
export function resolve(specifier, context, next) {
  const legacy = specifier === 'typescript' && context.parentURL?.includes('/node_modules/openapi-typescript/')
  return next(legacy ? 'typescript-5' : specifier, context)
}`

/**
 * openapi-typescript builds its output with the JavaScript API of TypeScript, which version 7 does not have: from now
 * on its imports of `typescript`, and nobody else's, lead to version 5.
 */
export function leadToTypescript5(): void {
  register(`data:text/javascript,${encodeURIComponent(HOOK)}`)
}

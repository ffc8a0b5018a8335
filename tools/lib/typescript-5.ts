/**
 * openapi-typescript and dependency-cruiser use the JavaScript API of TypeScript, which version 7 does not have: from the
 * moment that this module is loaded, what they and nobody else ask for as `typescript` is version 5.
 */
import Module, { register } from 'node:module'

const ASKING = '/node_modules/(openapi-typescript|dependency-cruiser)/'

type Resolve = (request: string, parent?: { filename?: string | null }, ...rest: unknown[]) => string
/** What `require` resolves with; Node has no other name for it. */
const resolver = Module as unknown as Record<'_resolveFilename', Resolve>

const resolveFilename = resolver['_resolveFilename']
resolver['_resolveFilename'] = (request, parent, ...rest) => {
  const legacy = /^typescript(\/|$)/.test(request) && new RegExp(ASKING).test(parent?.filename ?? '')
  return resolveFilename(legacy ? request.replace('typescript', 'typescript-5') : request, parent, ...rest)
}

const hook = `
export function resolve(specifier, context, next) {
  const legacy = specifier === 'typescript' && new RegExp(${JSON.stringify(ASKING)}).test(context.parentURL ?? '')
  return next(legacy ? 'typescript-5' : specifier, context)
}`
register(`data:text/javascript,${encodeURIComponent(hook)}`)

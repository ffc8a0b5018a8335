/**
 * Typed Lua scripts. A definition names the file, builds KEYS and ARGV and decodes the reply;
 * `loadScripts` reads every file, checks it against its header and registers it as a client command.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { isTracing, span, type SpanAttributes } from '../telemetry/trace.ts'
import { isOneServer, type RedisClient } from './nodes.ts'

export interface ScriptDefinition<Input, Reply> {
  /** Location of the `.lua` file. */
  file: URL
  /**
   * KEYS in the order of the header. All of them share one hash tag, so the script runs on Redis Cluster. A script that
   * counts its KEYS takes more than the header lists, of any hash tags, but not on a cluster.
   */
  keys: (input: Input) => readonly string[]
  /** ARGV in the order of the header. */
  args: (input: Input) => readonly (string | number)[]
  /** Turns the words of the reply into a closed union; throws on a word it does not know. */
  decode: (reply: unknown) => Reply
  /** What the span of a call tells. Scripts that work for many at a time have none: they belong to no one's trace. */
  span?: (input: Input) => SpanAttributes
}

type Definitions = Record<string, ScriptDefinition<never, unknown>>

export type Scripts<D extends Definitions> = {
  readonly [K in keyof D]: D[K] extends ScriptDefinition<infer Input, infer Reply>
    ? (input: Input) => Promise<Reply>
    : never
}

export function defineScript<Input, Reply>(
  definition: ScriptDefinition<Input, Reply>,
): ScriptDefinition<Input, Reply> {
  return definition
}

interface Header {
  keys: number
  args: number
}

/** Counts the `-- KEYS[n]` and `-- ARGV[n]` lines that a script's header declares, which must be 1, 2, 3 ... */
export function readHeader(lua: string): Header {
  const count = (word: string): number => {
    const numbers = [...lua.matchAll(new RegExp(`^-- ${word}\\[(\\d+)\\]`, 'gm'))].map((m) => Number(m[1]))
    numbers.forEach((n, i) => {
      if (n !== i + 1) throw new Error(`header lists ${word}[${n}] where ${word}[${i + 1}] is due`)
    })
    return numbers.length
  }
  return { keys: count('KEYS'), args: count('ARGV') }
}

/**
 * Registers all scripts on a client and returns them as functions.
 * @throws when a file is missing or its header is out of order, so that a broken build fails at boot
 */
export function loadScripts<D extends Definitions>(redis: RedisClient, definitions: D): Scripts<D> {
  const entries = Object.entries(definitions).map(([name, definition]) => [
    name,
    registerScript(redis, definition as ScriptDefinition<unknown, unknown>),
  ])
  return Object.fromEntries(entries) as Scripts<D>
}

function registerScript(
  redis: RedisClient,
  definition: ScriptDefinition<unknown, unknown>,
): (input: unknown) => Promise<unknown> {
  const lua = readFileSync(definition.file, 'utf8')
  const file = basename(definition.file.pathname)
  const header = readHeader(lua)
  if (header.keys === 0) throw new Error(`${file}: the header declares no KEYS`)
  const name = file.replace(/\.lua$/, '')
  const command = `lua_${name.replaceAll('-', '_')}`
  // A cluster's client finds the server by the first argument, which has to be a key then and not their number.
  const takesMore = lua.includes('#KEYS') && isOneServer(redis)
  redis.defineCommand(command, takesMore ? { lua } : { lua, numberOfKeys: header.keys })
  const run = (redis as unknown as Record<string, (...args: (string | number)[]) => Promise<unknown>>)[
    command
  ]
  if (run === undefined) throw new Error(`${file}: the client did not take the command`)
  const call = async (input: unknown): Promise<unknown> => {
    const keys = definition.keys(input)
    const args = definition.args(input)
    const hasKeys = takesMore ? keys.length >= header.keys : keys.length === header.keys
    if (!hasKeys || args.length < header.args)
      throw new Error(`${file}: header declares ${header.keys} KEYS and ${header.args} ARGV`)
    return definition.decode(await run.call(redis, ...(takesMore ? [keys.length] : []), ...keys, ...args))
  }
  const attributesOf = definition.span
  if (attributesOf === undefined) return call
  return (input) =>
    isTracing()
      ? span(`redis ${name}`, { kind: 'CLIENT', attributes: attributesOf(input), outcome: wordOf }, () =>
          call(input),
        )
      : call(input)
}

/** Replies are words, or have one that says their kind. */
function wordOf(reply: unknown): string {
  return typeof reply === 'string' ? reply.toLowerCase() : (reply as { kind: string }).kind
}

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
  /** KEYS in the order of the header. All of them share one hash tag, so the script runs on Redis Cluster. */
  keys: (input: Input) => readonly string[]
  /** ARGV in the order of the header. */
  args: (input: Input) => readonly (string | number)[]
  /** Turns the words of the reply into a closed union; throws on a word it does not know. */
  decode: (reply: unknown) => Reply
  /** What the span of a call tells. */
  span?: (input: Input) => SpanAttributes
}

/**
 * A script for any number of inputs at a time, each with keys of another hash tag. KEYS and ARGV of one follow those of
 * the other, and the reply lists the reply to each. They are one call where one server has all keys, or one for each
 * hundred, and one for each on a cluster. It has no span: it belongs to no one's trace.
 */
export interface BatchScriptDefinition<Input, Reply> extends Omit<ScriptDefinition<Input, Reply>, 'span'> {
  batch: true
}

/** A script holds up all others: this many take well below a millisecond. */
const MAX_AT_ONCE = 100

type Definitions = Record<string, ScriptDefinition<never, unknown> | BatchScriptDefinition<never, unknown>>

export type Scripts<D extends Definitions> = {
  readonly [K in keyof D]: D[K] extends BatchScriptDefinition<infer Input, infer Reply>
    ? (inputs: readonly Input[]) => Promise<Reply[]>
    : D[K] extends ScriptDefinition<infer Input, infer Reply>
      ? (input: Input) => Promise<Reply>
      : never
}

export function defineScript<Input, Reply>(
  definition: ScriptDefinition<Input, Reply>,
): ScriptDefinition<Input, Reply> {
  return definition
}

export function defineBatchScript<Input, Reply>(
  definition: Omit<BatchScriptDefinition<Input, Reply>, 'batch'>,
): BatchScriptDefinition<Input, Reply> {
  return { ...definition, batch: true }
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
    'batch' in definition
      ? registerBatch(redis, definition as BatchScriptDefinition<unknown, unknown>)
      : registerScript(redis, definition as ScriptDefinition<unknown, unknown>),
  ])
  return Object.fromEntries(entries) as Scripts<D>
}

function registerScript(
  redis: RedisClient,
  definition: ScriptDefinition<unknown, unknown>,
): (input: unknown) => Promise<unknown> {
  const run = registerCommand(redis, definition.file)
  const call = async (input: unknown): Promise<unknown> =>
    definition.decode(await run([{ keys: definition.keys(input), args: definition.args(input) }]))
  const attributesOf = definition.span
  if (attributesOf === undefined) return call
  return (input) =>
    isTracing()
      ? span(
          `redis ${nameOf(definition.file)}`,
          { kind: 'CLIENT', attributes: attributesOf(input), outcome: wordOf },
          () => call(input),
        )
      : call(input)
}

function registerBatch(
  redis: RedisClient,
  definition: BatchScriptDefinition<unknown, unknown>,
): (inputs: readonly unknown[]) => Promise<unknown[]> {
  const run = registerCommand(redis, definition.file)
  const call = async (inputs: readonly unknown[]): Promise<unknown[]> => {
    const replies = await run(
      inputs.map((input) => ({ keys: definition.keys(input), args: definition.args(input) })),
    )
    if (!Array.isArray(replies) || replies.length !== inputs.length)
      throw new Error(`${nameOf(definition.file)}: not one reply for each of ${inputs.length}`)
    return replies.map(definition.decode)
  }
  const atOnce = isOneServer(redis) ? MAX_AT_ONCE : 1
  return async (inputs) => {
    const calls: Promise<unknown[]>[] = []
    for (let from = 0; from < inputs.length; from += atOnce)
      calls.push(call(inputs.slice(from, from + atOnce)))
    return (await Promise.all(calls)).flat()
  }
}

interface Invocation {
  keys: readonly string[]
  args: readonly (string | number)[]
}

function registerCommand(
  redis: RedisClient,
  file: URL,
): (invocations: readonly Invocation[]) => Promise<unknown> {
  const lua = readFileSync(file, 'utf8')
  const name = nameOf(file)
  const header = readHeader(lua)
  if (header.keys === 0) throw new Error(`${name}: the header declares no KEYS`)
  const command = `lua_${name.replaceAll('-', '_')}`
  // A cluster's client finds the server by the first argument, which has to be a key then and not their number.
  const isCounted = isOneServer(redis)
  redis.defineCommand(command, isCounted ? { lua } : { lua, numberOfKeys: header.keys })
  const run = (redis as unknown as Record<string, (...args: (string | number)[]) => Promise<unknown>>)[
    command
  ]
  if (run === undefined) throw new Error(`${name}: the client did not take the command`)
  return async (invocations) => {
    for (const { keys, args } of invocations)
      if (keys.length !== header.keys || args.length < header.args)
        throw new Error(`${name}: header declares ${header.keys} KEYS and ${header.args} ARGV`)
    const keys = invocations.flatMap((one) => one.keys)
    const args = invocations.flatMap((one) => one.args)
    return run.call(redis, ...(isCounted ? [keys.length] : []), ...keys, ...args)
  }
}

const nameOf = (file: URL): string => basename(file.pathname, '.lua')

/** Replies are words, or have one that says their kind. */
function wordOf(reply: unknown): string {
  return typeof reply === 'string' ? reply.toLowerCase() : (reply as { kind: string }).kind
}

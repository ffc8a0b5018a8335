import { z } from 'zod'

/** One kind of message that crosses RabbitMQ: routing key, queue and payload, shared by both ends. */
export interface MessageDefinition<Payload> {
  /** Routing key on the exchange, and the last part of the queue's name. */
  key: string
  /** What writers write. Raised with every change that a reader of the version before would misread. */
  version: number
  schema: z.ZodType<Payload>
  /**
   * Reads the version before, and makes of it what this one carries. While processes are replaced one by one, both
   * versions lie in the queue.
   */
  previous?: z.ZodType<Payload>
  /** What the message is about; becomes the AMQP messageId. */
  id: (payload: Payload) => string
}

export type Decoded<Payload> = { ok: true; payload: Payload } | { ok: false; reason: string }

export function defineMessage<Payload>(definition: MessageDefinition<Payload>): MessageDefinition<Payload> {
  return definition
}

/** @param payload what the schema of this version describes */
export function encodeMessage(definition: { version: number }, payload: object): Buffer {
  return Buffer.from(JSON.stringify({ v: definition.version, ...payload }))
}

const versioned = z.object({ v: z.int().min(1) })

/**
 * Parses and checks a message of this version or of the one before. What this process can't read stays unreadable to
 * it: park it with the reason. One of a newer version may be read after the process was upgraded.
 */
export function decodeMessage<Payload>(
  definition: MessageDefinition<Payload>,
  body: Buffer,
): Decoded<Payload> {
  let json: unknown
  try {
    json = JSON.parse(body.toString('utf8'))
  } catch {
    return { ok: false, reason: 'not JSON' }
  }
  const version = versioned.safeParse(json)
  if (!version.success) return { ok: false, reason: 'no version' }
  const schema = schemaOf(definition, version.data.v)
  if (schema === undefined) return { ok: false, reason: unreadable(definition, version.data.v) }
  const payload = schema.safeParse(json)
  if (payload.success) return { ok: true, payload: payload.data }
  const issue = payload.error.issues[0]
  return { ok: false, reason: `${issue?.path.join('.') || 'message'}: ${issue?.message}` }
}

function schemaOf<Payload>(
  { version, schema, previous }: MessageDefinition<Payload>,
  given: number,
): z.ZodType<Payload> | undefined {
  if (given === version) return schema
  return given === version - 1 ? previous : undefined
}

function unreadable({ version }: { version: number }, given: number): string {
  const age = given > version ? 'newer than' : 'too old for'
  return `version ${given} is ${age} this process, which reads version ${version}`
}

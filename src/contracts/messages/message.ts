import { z } from 'zod'

/** One kind of message that crosses RabbitMQ: routing key, queue and payload, shared by both ends. */
export interface MessageDefinition<Payload> {
  /** Routing key on the exchange, and the last part of the queue's name. */
  key: string
  schema: z.ZodType<Payload>
  /** What the message is about; becomes the AMQP messageId. */
  id: (payload: Payload) => string
}

/** Version written into every message; a reader refuses versions it does not know. */
const VERSION = 1

export type Decoded<Payload> = { ok: true; payload: Payload } | { ok: false; reason: string }

export function defineMessage<Payload>(definition: MessageDefinition<Payload>): MessageDefinition<Payload> {
  return definition
}

/** @param payload what the message's schema describes */
export function encodeMessage(payload: object): Buffer {
  return Buffer.from(JSON.stringify({ v: VERSION, ...payload }))
}

/** Parses and checks a message. A message that fails can never succeed: park it with the reason. */
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
  const version = z.object({ v: z.literal(VERSION) }).safeParse(json)
  if (!version.success) return { ok: false, reason: `version is not ${VERSION}` }
  const payload = definition.schema.safeParse(json)
  if (payload.success) return { ok: true, payload: payload.data }
  const issue = payload.error.issues[0]
  return { ok: false, reason: `${issue?.path.join('.') || 'message'}: ${issue?.message}` }
}

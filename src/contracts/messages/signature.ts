/**
 * Who may speak on the queues: processes that know the shop's secret, and nobody else who can write to the broker.
 * The signature covers the kind as well as the body, so a genuine message of one kind is none of another.
 */
import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { deriveKey } from '../../platform/derived-key.ts'
import { decodeMessage, type Decoded, type MessageDefinition } from './message.ts'

export const SIGNATURE_HEADER = 'x-signature'
const PURPOSE = 'spike messages'

export class MessageSigner {
  readonly #key: KeyObject

  /** @param secret of the shop; the key of the signatures is derived from it */
  constructor(secret: string) {
    this.#key = deriveKey(secret, PURPOSE)
  }

  /** The header that makes a message one of ours. */
  headersOf(message: { routingKey: string; body: Buffer }): Record<string, string> {
    return { [SIGNATURE_HEADER]: this.#sign(message.routingKey, message.body) }
  }

  /** Reads a message of a kind. What was not signed by us is not even looked into. */
  read<Payload>(definition: MessageDefinition<Payload>, body: Buffer, signature: unknown): Decoded<Payload> {
    if (!this.#isOurs(definition.key, body, signature))
      return { ok: false, reason: 'not signed by this shop' }
    return decodeMessage(definition, body)
  }

  #isOurs(key: string, body: Buffer, signature: unknown): boolean {
    if (typeof signature !== 'string') return false
    const given = Buffer.from(signature, 'base64url')
    const expected = Buffer.from(this.#sign(key, body), 'base64url')
    return given.length === expected.length && timingSafeEqual(given, expected)
  }

  /** No key has a line break, so that key and body can't be taken for one another. */
  #sign(key: string, body: Buffer): string {
    return createHmac('sha256', this.#key).update(`${key}\n`).update(body).digest('base64url')
  }
}

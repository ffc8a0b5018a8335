/** Keys for one purpose each out of one secret, so that what is signed for one can't be shown for another. */
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

const KEY_BYTES = 32

/** @param purpose a fixed text of our own; another text gives an unrelated key */
export function deriveKey(secret: string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', purpose, KEY_BYTES)))
}

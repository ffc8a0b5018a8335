/** Passwords and their hashes. A hash is heavy on purpose, so the work waits in a line of its own that has an end. */
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, verify } from '@node-rs/argon2'
import pLimit from 'p-limit'

/** OWASP's parameters for argon2id. */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
/** A few seconds of work on two processors; whoever comes later is better off trying again. */
const MAX_WAITING = 256

/** Of the process and not of an app, because the processors are. */
const turns = pLimit(availableParallelism())

export type Turn<T> = { kind: 'done'; result: T } | { kind: 'overloaded' }

/** Runs work that hashes when a processor is free for it; `overloaded` when too many wait already. */
export async function inHashingTurn<T>(work: () => Promise<T>): Promise<Turn<T>> {
  if (turns.pendingCount >= MAX_WAITING) return { kind: 'overloaded' }
  return { kind: 'done', result: await turns(work) }
}

/** Hashes at once, without a place in the line. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, ARGON2)
}

/** Compares byte for byte. @param stored undefined takes as long as any other and matches nothing */
export function matchesPassword(stored: string | undefined, password: string): Promise<boolean> {
  return verify(stored ?? NOBODYS_HASH, password)
}

/** Random bytes in the place of a hash: made of no password, and as much work to compare with as a real one. */
const NOBODYS_HASH = [
  '$argon2id$v=19',
  `m=${ARGON2.memoryCost},t=${ARGON2.timeCost},p=${ARGON2.parallelism}`,
  unpaddedBase64(16),
  unpaddedBase64(32),
].join('$')

function unpaddedBase64(bytes: number): string {
  return randomBytes(bytes).toString('base64').replaceAll('=', '')
}

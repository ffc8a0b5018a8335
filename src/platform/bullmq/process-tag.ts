import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { hostname } from 'node:os'
import { z } from 'zod'

/** Which BullMQ a process uses, and which process that is. */
export interface ProcessTag {
  version: string
  /** `<pid>@<host>` */
  process: string
}

const manifest = createRequire(import.meta.url).resolve('bullmq/package.json')

/** The version of BullMQ that is installed here. */
export const BULLMQ_VERSION = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(manifest, 'utf8'))).version

/** Ends the name of every connection of this process to BullMQ's Redis: `bullmq@6.7.0:123@host`. */
export const PROCESS_TAG = `bullmq@${BULLMQ_VERSION}:${process.pid}@${hostname()}`

/** Name of a producer's connection, as `CLIENT LIST` shows it; Redis takes no spaces. @param role of the process */
export function producerName(namespace: string, role: string): string {
  return `${namespace}:${role}:${PROCESS_TAG}`
}

/** Reads the tag from the name of a connection; undefined when it has none. */
export function readProcessTag(name: string): ProcessTag | undefined {
  const [, version, process] = /:bullmq@([^:]+):(\d+@\S+)$/.exec(name) ?? []
  return version === undefined || process === undefined ? undefined : { version, process }
}

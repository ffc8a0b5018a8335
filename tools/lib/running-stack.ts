/** How `npm run tokens` and `npm run doctor` find the stack that `npm run stack` started in another terminal. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const FILE = join(fileURLToPath(new URL('../../.data', import.meta.url)), 'stack.json')
const shape = z.object({ pid: z.int(), env: z.record(z.string(), z.string()) })

/** Settings that another command needs to talk to the stack. */
const SHARED = [
  'DATABASE_URL',
  'REDIS_URL',
  'QUEUE_REDIS_URL',
  'AMQP_URL',
  'JWT_SECRET',
  'PAYMENT_SECRET',
  'PORT',
  'DASHBOARD_PORT',
  'WORKERS_PORT',
  'NAMESPACE',
] as const

/** Notes the settings of this stack, readable by this user only. @returns how to forget them */
export function announceStack(env: NodeJS.ProcessEnv): () => void {
  const shared = Object.fromEntries(
    SHARED.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  )
  mkdirSync(dirname(FILE), { recursive: true })
  writeFileSync(FILE, JSON.stringify({ pid: process.pid, env: shared }), { mode: 0o600 })
  return () => rmSync(FILE, { force: true })
}

/** The environment, with the settings of a running stack for those that are not set. */
export function withRunningStack(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (env.DATABASE_URL !== undefined || !existsSync(FILE)) return env
  const stack = shape.safeParse(JSON.parse(readFileSync(FILE, 'utf8')))
  return stack.success && isAlive(stack.data.pid) ? { ...stack.data.env, ...env } : env
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

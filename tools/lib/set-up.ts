/** The set-up that demo, stack and tests share: services, build, schema, seeds. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ClusterName } from '../services/clusters.ts'
import { provideServices, type Services } from '../services/index.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export type Say = (line: string) => void

export interface SetUp {
  /** The environment of the product's processes. */
  env: NodeJS.ProcessEnv
  services: Services
}

/** Provides services, also as clusters, and settings. Secrets that are not given are made for this run. */
export async function provideEnvironment(
  say: Say,
  signal: AbortSignal,
  clusters: readonly ClusterName[] = [],
): Promise<SetUp> {
  const services = await provideServices({ env: process.env, log: say, signal, clusters })
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...services.urls,
    JWT_SECRET: process.env.JWT_SECRET ?? randomBytes(32).toString('hex'),
    PAYMENT_SECRET: process.env.PAYMENT_SECRET ?? randomBytes(32).toString('hex'),
  }
  return { env, services }
}

/** Compiles the sources. */
export async function build(): Promise<void> {
  await run('build', ['tools/build.mjs'], process.env)
}

/** Brings the schema up to date and runs the seeds, with the knex CLI on the compiled files. */
export async function migrateAndSeed(env: NodeJS.ProcessEnv): Promise<void> {
  const knex = ['node_modules/knex/bin/cli.js', '--knexfile', 'dist/knexfile.js']
  await run('migrate', [...knex, 'migrate:latest'], env)
  await run('seed', [...knex, 'seed:run'], env)
}

/** A port that is free on loopback now: the wanted one when it is, else any. */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer()
  try {
    server.listen(wanted, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : wanted
  } catch (error) {
    if (wanted === 0) throw error
    return freePort()
  } finally {
    server.close()
  }
}

/** Runs a Node script to its end. @throws with its output when it fails */
async function run(name: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(process.execPath, [...args], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`${name} failed:\n${output.trim()}`)
}

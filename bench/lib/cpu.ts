/** Processor time, by who takes it: the clock says how fast two cores are, this says what a job costs. */
import { readdir, readFile } from 'node:fs/promises'
import type { Redis } from 'ioredis'
import { infoField } from '../../src/platform/redis/info.ts'
import { onlyServer, type Arena } from './arena.ts'

/** `/proc` counts in these, whatever the machine. */
const TICKS_A_SECOND = 100

/** Seconds taken so far. What can't be told, because it does not run on this machine, is left out. */
export interface CpuTimes {
  node: number
  /** Of the queues. */
  redis: number
  /** Of the stock, where that is another server. */
  stock_redis?: number
  postgres?: number
}

/** @param pid of the measured process */
export async function cpuTimes(
  { knex, redis, queueRedis, config }: Pick<Arena, 'knex' | 'redis' | 'queueRedis' | 'config'>,
  pid: number,
): Promise<CpuTimes> {
  const postgres = await postgresSeconds((await knex.raw('SELECT pg_backend_pid() AS pid')).rows[0].pid)
  return {
    node: (await statOf(pid))?.own ?? NaN,
    redis: await redisSeconds(onlyServer(queueRedis)),
    ...(config.queueRedisUrl === config.redisUrl
      ? {}
      : { stock_redis: await redisSeconds(onlyServer(redis)) }),
    ...(postgres === undefined ? {} : { postgres }),
  }
}

/** Microseconds a job, by name; `cpu_us` is their sum. */
export function cpuEach(before: CpuTimes, after: CpuTimes, jobs: number): Record<string, number> {
  const earlier = new Map(Object.entries(before))
  const each = Object.entries(after).map(
    ([name, seconds]) => [`${name}_us`, ((seconds - (earlier.get(name) ?? NaN)) / jobs) * 1e6] as const,
  )
  return { cpu_us: each.reduce((sum, [, us]) => sum + us, 0), ...Object.fromEntries(each) }
}

export async function redisSeconds(redis: Redis): Promise<number> {
  const used = await Promise.all(
    ['used_cpu_user', 'used_cpu_sys'].map((name) => infoField(redis, 'cpu', name)),
  )
  return used.reduce((sum, seconds) => sum + Number(seconds), 0)
}

/** Of all of a server's processes, those that have ended included. @param backend the process behind one connection */
async function postgresSeconds(backend: number): Promise<number | undefined> {
  const postmaster = (await statOf(backend))?.parent
  if (postmaster === undefined) return undefined
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const children = (await Promise.all(pids.map(statOf))).filter((stat) => stat?.parent === postmaster)
  const ended = (await statOf(postmaster))?.ended ?? NaN
  return children.reduce((sum, stat) => sum + (stat?.own ?? 0), ended)
}

/** Undefined when there is no such process here. */
async function statOf(pid: number): Promise<{ parent: number; own: number; ended: number } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  // The name, in brackets, may hold anything; the third field follows it.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const seconds = (from: number) => ((fields[from] ?? NaN) + (fields[from + 1] ?? NaN)) / TICKS_A_SECOND
  return { parent: fields[1] ?? NaN, own: seconds(11), ended: seconds(13) }
}

/** Which processes use BullMQ, and whether they use the same version of it. */
import { deadLetterJob } from '../../src/contracts/jobs/dead-letter.ts'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import { queuePrefix } from '../../src/platform/bullmq/job.ts'
import { BULLMQ_VERSION, readProcessTag } from '../../src/platform/bullmq/process-tag.ts'
import type { Config } from '../../src/platform/config.ts'
import { mastersOf, type RedisClient } from '../../src/platform/redis/nodes.ts'
import { reasonOf } from '../../src/platform/service-error.ts'
import { finding, START_WORKERS, untold, type Finding } from './finding.ts'
import { withRedis } from './redis.ts'

/** Nobody works on the dead letters: they wait for an operator. */
const STEPS = JOBS.filter((job) => job !== deadLetterJob).map(({ step }) => step)

/** Workers on every step, and one version of BullMQ in every process and in what the queues say of themselves. */
export function checkBullmq({ queueRedisUrl, namespace }: Config): Promise<Finding[]> {
  return withRedis(
    queueRedisUrl,
    (error) => [untold('workers and BullMQ versions', reasonOf(error))],
    async (redis) => {
      const kept = await versionsOfQueues(redis, namespace)
      const names = await connectionNames(redis).catch((error: unknown) => reasonOf(error))
      if (typeof names === 'string') {
        const why = `this server does not list its clients (${names})`
        return [untold('workers', why), judgeVersions([...kept])]
      }
      const workers = STEPS.map((step) => ({ step, names: names.filter(isWorkerOf(namespace, step)) }))
      const producers = names.filter((name) => name.startsWith(`${namespace}:`))
      const running = [...workers.flatMap((worker) => worker.names), ...producers].map(versionOf)
      return [...workers.map(judgeWorkers), judgeVersions([...running, ...kept])]
    },
  )
}

interface UsedVersion {
  version: string
  by: string
}

function judgeWorkers({ step, names }: { step: string; names: readonly string[] }): Finding {
  const processes = new Set(names.map((name) => readProcessTag(name)?.process ?? 'one without a name'))
  return finding(
    `workers on ${step}`,
    names.length > 0,
    names.length === 0 ? `no worker on ${step}` : [...processes].join(', '),
    START_WORKERS,
  )
}

/** The doctor's own version counts: it comes from the build that the next process is started from. */
function judgeVersions(used: readonly UsedVersion[]): Finding {
  const users = new Map([[BULLMQ_VERSION, new Set(['this package'])]])
  for (const { version, by } of used) users.set(version, (users.get(version) ?? new Set()).add(by))
  const detail = [...users].map(([version, by]) => `${version}: ${[...by].join(', ')}`).join('; ')
  return finding(
    'BullMQ versions',
    users.size === 1,
    detail,
    'npm ci && npm run build, then start every process again (npm run workers, npm run dashboard)',
  )
}

/** As BullMQ names the connection on which a worker waits: prefix, queue in base64, and the worker's name if any. */
function isWorkerOf(namespace: string, step: string): (name: string) => boolean {
  const base = `${queuePrefix(namespace, step)}:${Buffer.from(step).toString('base64')}`
  return (name) => name === base || name.startsWith(`${base}:w:`)
}

function versionOf(connection: string): UsedVersion {
  const tag = readProcessTag(connection)
  return tag === undefined
    ? { version: 'unknown', by: 'a worker without a name' }
    : { version: tag.version, by: tag.process }
}

/** A process that uses a cluster is known to each of its servers that it talks to. */
async function connectionNames(redis: RedisClient): Promise<string[]> {
  const lists = await Promise.all(mastersOf(redis).map((node) => node.client('LIST') as Promise<string>))
  return [...lists.join('\n').matchAll(/ name=(\S+)/g)].map(([, name = '']) => name)
}

/** What the process that opened a queue last has written there; read past the library, whose reading writes it. */
async function versionsOfQueues(redis: RedisClient, namespace: string): Promise<UsedVersion[]> {
  const versions = await Promise.all(
    JOBS.map(({ step }) => redis.hget(`${queuePrefix(namespace, step)}:${step}:meta`, 'version')),
  )
  return versions.flatMap((version) =>
    version === null
      ? []
      : [{ version: version.replace('bullmq:', ''), by: 'whoever opened the queues last' }],
  )
}

/** What lies in the queues of a run, without the bad messages and jobs that a fault has planted there. */
import type { Queue } from 'bullmq'
import { deadLetterJob } from '../../src/contracts/jobs/dead-letter.ts'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'
import { openQueueReader, type QueueFacts } from '../../tools/check/queues.ts'
import { FORGED } from './fault.ts'

/** Over a connection of its own: the broker is killed in some runs. */
export async function readQueues(
  amqpUrl: string,
  queueRedis: RedisClient,
  namespace: string,
): Promise<QueueFacts> {
  const reader = await openQueueReader(amqpUrl, queueRedis, namespace)
  const queues = JOBS.map(({ step }) => openQueue(step, namespace, queueRedis))
  try {
    const { waiting, deadLetters } = await reader.read()
    const planted = new Map<string, number>()
    for (const queue of queues) planted.set(queue.name, await plantedIn(queue))
    const letters = planted.get(deadLetterJob.step) ?? 0
    const jobs = [...planted.values()].reduce((sum, n) => sum + n, 0) - letters
    return { waiting: waiting - jobs, deadLetters: deadLetters - letters }
  } finally {
    await Promise.all(queues.map((queue) => queue.close()))
    await reader.close()
  }
}

/** Letters wait for people; forged jobs of the other queues end as failed ones. */
async function plantedIn(queue: Queue): Promise<number> {
  const jobs = await queue.getJobs(queue.name === deadLetterJob.step ? ['waiting'] : ['failed'])
  return jobs.filter((job) => JSON.stringify(job.data).includes(FORGED)).length
}

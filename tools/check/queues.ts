/** How much work lies in the queues of RabbitMQ and BullMQ. */
import type { Channel } from 'amqplib'
import type { Queue } from 'bullmq'
import { deadLetterJob } from '../../src/contracts/jobs/dead-letter.ts'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import { MESSAGES, topologyOf } from '../../src/contracts/messages/topology.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import { connectOnce } from '../../src/platform/rabbitmq/connection.ts'
import type { RedisClient } from '../../src/platform/redis/nodes.ts'

export interface QueueFacts {
  /** Messages and jobs that somebody has still to work on; jobs delayed to a later time do not count. */
  waiting: number
  deadLetters: number
}

export interface QueueReader {
  read(): Promise<QueueFacts>
  close(): Promise<void>
}

export async function openQueueReader(
  amqpUrl: string,
  queueRedis: RedisClient,
  namespace: string,
): Promise<QueueReader> {
  const connection = await connectOnce(amqpUrl, 'spike-check')
  const channel = await connection.createChannel()
  const topology = topologyOf(namespace)
  const queues = JOBS.map((job) => openQueue(job.step, namespace, queueRedis))
  return {
    async read() {
      const names = [...MESSAGES.map((message) => topology.queueOf(message)), topology.deadQueue]
      const messages = await sum(names.map((name) => messagesIn(channel, name)))
      const steps = queues.filter((queue) => queue.name !== deadLetterJob.step)
      const jobs = await sum(steps.map(jobsIn))
      const dead = queues.filter((queue) => queue.name === deadLetterJob.step)
      return { waiting: messages + jobs, deadLetters: await sum(dead.map(jobsIn)) }
    },
    async close() {
      await Promise.all(queues.map((queue) => queue.close()))
      await connection.close()
    },
  }
}

async function messagesIn(channel: Channel, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount
}

async function jobsIn(queue: Queue): Promise<number> {
  return queue.getJobCountByTypes('waiting', 'active', 'prioritized', 'failed')
}

async function sum(numbers: readonly Promise<number>[]): Promise<number> {
  return (await Promise.all(numbers)).reduce((total, n) => total + n, 0)
}

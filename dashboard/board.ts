import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { KoaAdapter } from '@bull-board/koa'
import type { Queue } from 'bullmq'
import type { Middleware } from 'koa'
import { createOrderJob } from '../src/contracts/jobs/create-order.ts'
import { deadLetterJob } from '../src/contracts/jobs/dead-letter.ts'

export const BOARD_PATH = '/queues'

/** What an operator should know about each queue. */
const DESCRIPTIONS: Record<string, string> = {
  'create-order':
    'Step 4: PostgreSQL decides on each reservation. Read-only here: the sweep retries by itself.',
  'close-order': 'Step 5: closes orders that are unpaid at their deadline.',
  'release-stock': 'Step 6: gives units back to Redis, once for each reservation.',
  'dead-letter': 'What RabbitMQ or a worker could not handle, with origin and reason. Nothing works on it.',
}

/** Bull Board over all queues, in the order given. */
export function boardPlugin(queues: readonly Queue[], environment: string): Middleware {
  const serverAdapter = new KoaAdapter().setBasePath(BOARD_PATH)
  createBullBoard({
    queues: queues.map(
      (queue) =>
        new BullMQAdapter(queue as never, {
          description: DESCRIPTIONS[queue.name] ?? '',
          // A forged or retried order job could change nothing, but nobody should have to know that.
          readOnlyMode: queue.name === createOrderJob.step,
          allowRetries: queue.name !== createOrderJob.step && queue.name !== deadLetterJob.step,
        }),
    ),
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'Flash sale',
        environment: { label: environment, color: environment === 'prod' ? '#b91c1c' : '#1d4ed8' },
        pollingInterval: { forceInterval: 10 },
        hideRedisDetails: true,
        sortQueues: false,
      },
    },
  })
  return serverAdapter.registerPlugin()
}

/** What is bridged to what: three kinds of message to three queues, and the dead letters of the broker to theirs. */
import type { Knex } from 'knex'
import type { CloseOrderPayload } from '../../src/contracts/jobs/close-order.ts'
import type { CreateOrderPayload } from '../../src/contracts/jobs/create-order.ts'
import type { DeadLetter } from '../../src/contracts/jobs/dead-letter.ts'
import type { ReleaseStockPayload } from '../../src/contracts/jobs/release-stock.ts'
import { orderCreated } from '../../src/contracts/messages/order-created.ts'
import {
  reservationAccepted,
  type ReservationAccepted,
} from '../../src/contracts/messages/reservation-accepted.ts'
import { stockReleased } from '../../src/contracts/messages/stock-released.ts'
import { receiveReservations } from '../../src/orders/inbox.ts'
import type { JobProducer } from '../../src/platform/bullmq/job.ts'
import { failpoint, withFailpoint } from '../../src/platform/failpoints.ts'
import type { BatchConsumer } from '../../src/platform/rabbitmq/batch-consumer.ts'
import { bridgeConsumer, type BridgeOptions, type Consumed } from './bridge.ts'
import { deadLetterConsumer } from './dead-letters.ts'

interface BridgeDependencies {
  knex: Knex
  createOrders: JobProducer<'create-order', CreateOrderPayload>
  closeOrders: JobProducer<'close-order', CloseOrderPayload>
  releases: JobProducer<'release-stock', ReleaseStockPayload>
  deadLetters: JobProducer<'dead-letter', DeadLetter>
  bridge: BridgeOptions
}

export function bridgeConsumers(deps: BridgeDependencies): BatchConsumer[] {
  const { closeOrders, releases, deadLetters, bridge } = deps
  return [
    bridgeConsumer({
      ...bridge,
      message: reservationAccepted,
      forward: (batch) => forwardReservations(deps, batch),
    }),
    bridgeConsumer({
      ...bridge,
      message: orderCreated,
      forward: (batch) =>
        closeOrders.addBulk(
          batch.flatMap(({ payload: { order_id: first, others = [], expires_at_ms }, traceparent }) =>
            [first, ...others].map((order_id) => ({
              payload: { order_id },
              traceparent,
              // The deadline is PostgreSQL's; a clock that is off here only makes the job come early or late.
              delayMs: expires_at_ms - Date.now(),
            })),
          ),
        ),
    }),
    bridgeConsumer({
      ...bridge,
      message: stockReleased,
      forward: (batch) =>
        releases.addBulk(
          batch.map(({ payload: { rid }, traceparent }) => ({ payload: { rid }, traceparent })),
        ),
    }),
    deadLetterConsumer({
      ...bridge,
      keep: (letters) => deadLetters.addBulk(letters.map((payload) => ({ payload }))),
    }),
  ]
}

/** Into the inbox first: BullMQ may be lost whole, and is filled again from there. */
async function forwardReservations(
  { knex, createOrders, bridge }: Pick<BridgeDependencies, 'knex' | 'createOrders' | 'bridge'>,
  batch: readonly Consumed<ReservationAccepted>[],
): Promise<void> {
  await failpoint('bridge.before-inbox')
  const received = batch.map(({ payload, traceparent }) => ({ ...payload, traceparent }))
  const added = await withFailpoint('bridge.before-add', () => receiveReservations(knex, received))
  bridge.watch.duplicates(batch.length - added)
  await createOrders.addBulk(received.map(({ rid, traceparent }) => ({ payload: { rid }, traceparent })))
}

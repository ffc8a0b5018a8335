/** The net, first half: what PostgreSQL has decided reaches the broker, however often it takes. */
import type { Knex } from 'knex'
import { encodeMessage } from '../../src/contracts/messages/message.ts'
import { drainOutbox, type OutboxRow } from '../../src/orders/outbox.ts'
import { withFailpoint } from '../../src/platform/failpoints.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'
import { inTrace } from '../../src/platform/telemetry/trace.ts'
import { readTraceparent } from '../../src/platform/telemetry/traceparent.ts'
import type { ConfirmPublisher, OutgoingMessage } from '../../src/platform/rabbitmq/publisher.ts'

const MAX_ROWS = 500
const PAUSE_MS = 50
/** What a row is that does not tell its version; it stays that, however new the process is that finds it. */
const FIRST = { version: 1 }

/** Publishes outbox rows in their order and marks those that the broker has confirmed. */
export function outboxRelay(deps: { knex: Knex; publisher: ConfirmPublisher; log: Logger }): Loop {
  const log = deps.log.child({ step: 'relay', source: 'outbox' })
  const publish = async (rows: readonly OutboxRow[]): Promise<number[]> => {
    const outcomes = await withFailpoint('outbox.after-publish', () =>
      Promise.all(
        rows.map((row) =>
          inTrace(readTraceparent(row.traceparent), () => deps.publisher.publish(messageOf(row))),
        ),
      ),
    )
    return rows.filter((_row, i) => outcomes[i] === 'confirmed').map((row) => row.id)
  }
  return new Loop(
    async () => {
      const { read, published } = await drainOutbox(deps.knex, MAX_ROWS, publish)
      if (published < read) throw new Error(`${read - published} of ${read} outbox rows were not confirmed`)
      return { more: read === MAX_ROWS }
    },
    PAUSE_MS,
    log,
  )
}

function messageOf(row: OutboxRow): OutgoingMessage {
  return { routingKey: row.topic, messageId: row.key, body: encodeMessage(FIRST, row.payload as object) }
}

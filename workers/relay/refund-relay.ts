/** The net, third part: refunds that are open are asked for until the provider says that they are done. */
import type { Knex } from 'knex'
import type { PaymentProvider } from '../../src/payments/provider.ts'
import { takeOpenRefunds } from '../../src/payments/refunds.ts'
import { Loop } from '../../src/platform/loop.ts'
import type { Logger } from '../../src/platform/logger.ts'

const MAX_ROWS = 100
const PAUSE_MS = 500

export function refundRelay(deps: { knex: Knex; provider: PaymentProvider; log: Logger }): Loop {
  const log = deps.log.child({ step: 'relay', source: 'refunds' })
  return new Loop(
    async () => {
      const refunds = await takeOpenRefunds(deps.knex, deps.provider.name, MAX_ROWS)
      for (const refund of refunds) deps.provider.refund(refund)
      if (refunds.length > 0) log.info({ asked: refunds.length }, 'refunds asked for')
      return { more: refunds.length === MAX_ROWS }
    },
    PAUSE_MS,
    log,
  )
}

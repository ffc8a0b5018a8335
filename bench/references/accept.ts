/**
 * Reference: bare Koa doing the same script and the same confirmed publish as a purchase, and nothing else. It believes
 * whoever says who he is, signs nothing, counts nothing and notes no confirm; libraries and their settings are those of
 * the product. With DUTIES=all it is the limit: bare Koa with what the contract asks of an answer besides. PREFIX is put
 * before its path.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Router } from '@koa/router'
import { connect } from 'amqplib'
import { Redis } from 'ioredis'
import Koa from 'koa'
import { allDuties, NO_DUTIES } from './duties.ts'

const {
  REDIS_URL = '',
  AMQP_URL = '',
  NAMESPACE = '',
  JWT_SECRET = '',
  DUTIES,
  PREFIX = '',
  PORT,
} = process.env

const redis = new Redis(REDIS_URL, { enableAutoPipelining: true })
redis.defineCommand('reserve', {
  lua: readFileSync(new URL('../../src/reserve/lua/reserve.lua', import.meta.url), 'utf8'),
  numberOfKeys: 6,
})
const { reserve } = redis as unknown as { reserve: (...args: (string | number)[]) => Promise<string[]> }

const duties = DUTIES === 'all' ? allDuties(redis, JWT_SECRET) : NO_DUTIES

const connection = await connect(AMQP_URL, { noDelay: true })
const channel = await connection.createConfirmChannel()

/** Resolves when the broker has it on a quorum of disks. */
function publish(messageId: string, message: object): Promise<void> {
  const routingKey = 'reservation.accepted'
  const body = Buffer.from(JSON.stringify(message))
  const headers = duties.headersOf({ routingKey, body })
  return new Promise((resolve, reject) => {
    channel.publish(
      NAMESPACE,
      routingKey,
      body,
      {
        persistent: true,
        mandatory: true,
        contentType: 'application/json',
        messageId,
        ...(headers && { headers }),
      },
      (error) => (error === null || error === undefined ? resolve() : reject(error as Error)),
    )
  })
}

const router = new Router()
router.get('/healthz', (ctx) => void (ctx.body = 'ok'))
router.post(`${PREFIX}/spike-events/:id/orders`, async (ctx) => {
  const eventId = ctx.params.id ?? ''
  const userId = duties.userOf(ctx)
  const rid = duties.ridOf(eventId, userId)
  const requestId = randomUUID()
  const tag = `{spike:${eventId}}`
  const keys = ['gate', 'stock', 'holders', 'states', 'lapses', 'log'].map((key) => `${tag}:${key}`)
  const [word, , epoch, reservedMs] = await reserve.call(redis, ...keys, rid, userId, 1, requestId, '')
  if (word !== 'ACCEPTED') {
    ctx.status = 409
    ctx.body = { error: word }
    return
  }
  await publish(rid, {
    v: 1,
    rid,
    event_id: eventId,
    user_id: userId,
    quantity: 1,
    epoch: Number(epoch),
    reserved_at_ms: Number(reservedMs),
    request_id: requestId,
  })
  duties.confirmed(eventId, rid)
  ctx.set(duties.headers)
  ctx.status = 202
  ctx.body = { code: 0, message: 'OK', data: { reservation_id: rid, status: 'queued' } }
})

const app = new Koa()
app.use(router.routes())
app.listen(Number(PORT), '127.0.0.1', () => process.send?.('ready'))
process.on('disconnect', () => process.exit(0))

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { issueToken, tokenKey } from '../../../src/users/tokens.ts'
import { endSale, pauseSale } from '../../../src/sale.ts'
import { SYSTEM } from '../../../src/audit/audit.ts'
import { spikeKeys } from '../../../src/reserve/keys.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { forge, goodClaims } from '../../support/forging.ts'
import { samplesOf } from '../../support/metrics.ts'
import { newRid } from '../../support/rids.ts'
import { pressUntilKnown } from '../../support/known-refusals.ts'
import { expectSame, sendPurchase, type Answer, type Purchase } from '../../support/two-ways.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

const ORIGIN = 'https://shop.example'
const UNUSUAL = '?x=1'

describe('a purchase on its own way', () => {
  let world: World
  /** Open, with more units than this file takes. */
  let open: string
  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off', CORS_ORIGINS: ORIGIN })
    await world.start('api')
    open = await createSale(world, { stock: 500, perUserLimit: 2 })
  })
  after(() => world.close())

  let issued = 0
  /** A token that was not seen before, so that each way has to check its own. */
  function newToken(userId: string = uuidv7()): string {
    const key = tokenKey(world.config.jwtSecret)
    return issueToken(key, { id: userId, role: 'user', token_version: 1 }, 'api', 900 + ++issued)
  }
  const bearer = (userId?: string) => ({ Authorization: `Bearer ${newToken(userId)}` })

  /** Takes a unit as a buyer would have, and brings it as far as `state`. */
  async function take(eventId: string, state: 'held' | 'paid', userId = uuidv7()): Promise<string> {
    const claim = { eventId, rid: newRid(eventId), userId, quantity: 1 }
    const reply = await world.scripts.reserve({ ...claim, requestId: 'test' })
    if (reply.kind !== 'accepted') throw new Error(`not reserved: ${reply.kind}`)
    if (state === 'paid') {
      const order = { ...claim, orderId: uuidv7(), expiresAtMs: 1_900_000_000_000 }
      await world.scripts.confirm([{ eventId, orders: [order] }])
      await world.scripts.markPaid(claim)
    }
    return claim.rid
  }

  /** Sends the same on both ways and compares the answers. @param make a purchase anew, for each way its own */
  async function same(eventId: string, make: () => Purchase): Promise<Answer> {
    const usual = await sendPurchase(world.apiUrl, eventId, make())
    const general = await sendPurchase(world.apiUrl, eventId, make(), UNUSUAL)
    expectSame(usual, general)
    return usual
  }
  const sameAs = async (word: string, eventId: string, make: () => Purchase) => {
    const answer = await same(eventId, make)
    expect(answer.body.error ?? 'OK', JSON.stringify(answer.body)).to.equal(word)
    return answer
  }

  describe('is answered as on the general way', () => {
    it('when it is accepted', async () => {
      const { status, body } = await sameAs('OK', open, () => ({ headers: bearer() }))
      expect(status).to.equal(202)
      expect(body.data).to.include({ status: 'queued' })
      for (const text of ['{}', '{"quantity":2}', ' { "quantity" : 1 } '])
        await sameAs('OK', open, () => ({ headers: bearer(), body: text }))
      await sameAs('OK', open, () => ({ headers: bearer(), body: '{"quantity":1}', chunked: true }))
      await sameAs('OK', open, () => ({ headers: { ...bearer(), 'Content-Length': '0' } }))
    })

    it('when the buyer holds a unit, and names its rid', async () => {
      const userId = uuidv7()
      const rid = await take(open, 'held', userId)
      const send = (query?: string) => sendPurchase(world.apiUrl, open, { headers: bearer(userId) }, query)
      const [usual, general] = [await send(), await send(UNUSUAL)]
      expectSame(usual, general)
      for (const { body } of [usual, general])
        expect(body).to.deep.include({ error: 'ALREADY_PURCHASED', data: { reservation_id: rid } })
    })

    it('when no unit is free, however often the buyer asks', async () => {
      for (const [state, word] of [
        ['held', 'ALL_HELD'],
        ['paid', 'SOLD_OUT'],
      ] as const) {
        const eventId = await createSale(world, { stock: 1 })
        await take(eventId, state)
        const userId = uuidv7()
        for (let i = 0; i < 3; i++) await sameAs(word, eventId, () => ({ headers: bearer(userId) }))
        await pressUntilKnown(world, eventId, () => bearer(userId), userId)
        await sameAs(word, eventId, () => ({ headers: bearer(userId) }))
      }
    })

    it('in front of all middleware too, when the refusal is known just now', async () => {
      for (const [state, word] of [
        ['held', 'ALL_HELD'],
        ['paid', 'SOLD_OUT'],
      ] as const) {
        const eventId = await createSale(world, { stock: 1 })
        await take(eventId, state)
        const userId = uuidv7()
        const known = bearer(userId)
        await pressUntilKnown(world, eventId, () => known, userId)
        for (const headers of [
          {},
          { 'Content-Length': '0' },
          { 'Accept-Language': 'zh-CN,zh;q=0.9' },
          { 'Accept-Language': 'de, en;q=0.5' },
          { Origin: ORIGIN },
          { Origin: 'https://elsewhere.example' },
          { 'X-Request-Id': 'request-4711' },
        ]) {
          const purchase = { headers: { ...known, ...headers } }
          // The door writes this header ahead of the request's id, the lane behind it.
          const atDoor = await until('an answer from the door', async () => {
            const answer = await sendPurchase(world.apiUrl, eventId, purchase)
            const names = answer.headers.map(([name]) => name)
            return names.indexOf('Vary') < names.indexOf('X-Request-Id') && answer
          })
          const general = await sendPurchase(world.apiUrl, eventId, purchase, UNUSUAL)
          expectSame(atDoor, general)
          expect(atDoor.body.error).to.equal(word)
          if ('X-Request-Id' in headers) expect(atDoor.body.request_id).to.equal(headers['X-Request-Id'])
        }
        for (const headers of [{ ...known, 'Idempotency-Key': 'k' }, { Authorization: 'Bearer x' }]) {
          const answer = await sendPurchase(world.apiUrl, eventId, { headers })
          const names = answer.headers.map(([name]) => name)
          expect(names.indexOf('Vary'), 'not from the door').to.be.above(names.indexOf('X-Request-Id'))
        }
      }
    })

    it('when the sale has not started, is paused or over, or there is none', async () => {
      const later = await createSale(world, { startAt: new Date(Date.now() + 60_000) })
      await sameAs('SALE_NOT_STARTED', later, () => ({ headers: bearer() }))
      const paused = await createSale(world)
      await pauseSale(world, paused, SYSTEM)
      await sameAs('SALE_PAUSED', paused, () => ({ headers: bearer() }))
      const over = await createSale(world)
      await endSale(world, over, SYSTEM)
      await sameAs('SALE_ENDED', over, () => ({ headers: bearer() }))
      await sameAs('NOT_FOUND', uuidv7(), () => ({ headers: bearer() }))
      const lost = await createSale(world)
      await world.redis.unlink(spikeKeys(lost).gate)
      await sameAs('NOT_READY', lost, () => ({ headers: bearer() }))
    })

    it('when the id is of the shape of ids and of no version', async () => {
      for (const eventId of [
        '00000000-0000-0000-0000-000000000000',
        'ffffffff-ffff-ffff-ffff-ffffffffffff',
        '12345678-1234-0234-1234-123456789012',
      ])
        await sameAs('NOT_FOUND', eventId, () => ({ headers: bearer() }))
    })

    it('whatever the token is', async () => {
      const now = Math.floor(Date.now() / 1_000)
      const { jwtSecret } = world.config
      const claims = () => ({ ...goodClaims(uuidv7()), jti: randomUUID() })
      const good = () => forge(jwtSecret, claims())
      const headersOf: Record<string, () => string> = {
        'another scheme': () => `Basic ${good()}`,
        'no scheme': good,
        'the scheme alone': () => 'Bearer',
        'an empty header': () => '',
        'two spaces': () => `Bearer  ${good()}`,
        'three parts': () => `Bearer ${good()} ${good()}`,
        'a tab': () => `Bearer\t${good()}`,
        'no token at all': () => 'Bearer a.b.c',
        'one that is over': () => `Bearer ${forge(jwtSecret, { ...claims(), exp: now - 1 })}`,
        'one that begins later': () => `Bearer ${forge(jwtSecret, { ...claims(), nbf: now + 600 })}`,
        'one without an end': () => `Bearer ${forge(jwtSecret, { ...claims(), exp: undefined })}`,
        'one of another key': () => `Bearer ${forge('x'.repeat(64), claims())}`,
        'one for something else': () => `Bearer ${forge(jwtSecret, { ...claims(), aud: 'dashboard' })}`,
        'one for two things': () => `Bearer ${forge(jwtSecret, { ...claims(), aud: ['api', 'web'] })}`,
        'odd claims': () => `Bearer ${forge(jwtSecret, { ...claims(), role: 'root' })}`,
      }
      for (const [what, header] of Object.entries(headersOf)) {
        const answer = await same(open, () => ({ headers: { Authorization: header() } }))
        const expected = what === 'one for two things' ? 202 : 401
        expect(answer.status, what).to.equal(expected)
      }
      await sameAs('UNAUTHENTICATED', open, () => ({}))
      for (const scheme of ['BEARER', 'bearer', 'bEaReR', '  Bearer'])
        await sameAs('OK', open, () => ({ headers: { Authorization: `${scheme} ${good()}  ` } }))
    })

    it('when the token was revoked, known or not', async () => {
      const { id, token } = await createAccount(world)
      await sendPurchase(world.apiUrl, open, { headers: { Authorization: `Bearer ${token}` } })
      await world.knex('users').where({ id }).update({ disabled: true })
      await until('the token to end', async () => {
        const { status } = await sendPurchase(world.apiUrl, open, {
          headers: { Authorization: `Bearer ${token}` },
        })
        return status === 401
      })
      await sameAs('UNAUTHENTICATED', open, () => ({ headers: { Authorization: `Bearer ${token}` } }))
      await sameAs('UNAUTHENTICATED', open, () => ({ headers: bearer(id) }))
    })

    it('when the body is not right', async () => {
      const bodies: Record<string, [word: string, body: string, headers?: Record<string, string>]> = {
        'no JSON': ['VALIDATION_FAILED', 'quantity=1'],
        'half of it': ['VALIDATION_FAILED', '{"quantity":'],
        'no object': ['VALIDATION_FAILED', '[1]'],
        'an unknown field': ['VALIDATION_FAILED', '{"quantity":1,"price":1}'],
        'a field twice': ['VALIDATION_FAILED', '{"quantity":1,"quantity":2}'],
        'no unit': ['VALIDATION_FAILED', '{"quantity":0}'],
        'more than the sale allows': ['VALIDATION_FAILED', '{"quantity":3}'],
        'more than any sale allows': ['VALIDATION_FAILED', '{"quantity":1000000}'],
        'a text for a number': ['VALIDATION_FAILED', '{"quantity":"1"}'],
        'too large': ['PAYLOAD_TOO_LARGE', `{"x":"${'x'.repeat(20_000)}"}`],
        'another type': ['UNSUPPORTED_MEDIA_TYPE', 'quantity=1', { 'Content-Type': 'text/plain' }],
        'another charset': [
          'UNSUPPORTED_MEDIA_TYPE',
          '{}',
          { 'Content-Type': 'application/json; charset=utf-16' },
        ],
        'packed in an unknown way': ['UNSUPPORTED_MEDIA_TYPE', '{}', { 'Content-Encoding': 'zip' }],
        'not packed as it says': ['VALIDATION_FAILED', '{}', { 'Content-Encoding': 'gzip' }],
      }
      for (const [what, [word, body, headers]] of Object.entries(bodies))
        for (const chunked of [false, true]) {
          const answer = await same(open, () => ({ headers: { ...bearer(), ...headers }, body, chunked }))
          expect(answer.body.error, what).to.equal(word)
        }
      await sameAs('VALIDATION_FAILED', open, () => ({ body: '{' })) // the body comes before the token
    })

    it('in the language that the client reads', async () => {
      const messages = new Set<unknown>()
      for (const language of ['zh-CN', 'zh', 'en', 'en, zh-CN;q=0.9', 'zh-TW, en;q=0.5', 'fr', '*', '']) {
        const headers = { 'Accept-Language': language }
        messages.add((await sameAs('UNAUTHENTICATED', open, () => ({ headers }))).body.message)
        await sameAs('OK', open, () => ({ headers: { ...headers, ...bearer() } }))
      }
      expect(messages.size).to.equal(2)
    })

    it('for pages of origins that are allowed, and of those that are not', async () => {
      for (const origin of [ORIGIN, 'https://elsewhere.example', 'null'])
        for (const make of [
          () => ({ headers: { Origin: origin } }),
          () => ({ headers: { Origin: origin, ...bearer() } }),
        ]) {
          const { headers } = await same(open, make)
          const names = headers.map(([name]) => name)
          expect(names.includes('Access-Control-Expose-Headers'), origin).to.equal(origin === ORIGIN)
        }
    })

    it('under the request id that the client gives, when it is harmless', async () => {
      for (const [given, kept] of [
        ['request-4711', true],
        ['x', false],
        ['a'.repeat(65), false],
        ['with a space', false],
      ] as const)
        for (const query of ['', UNUSUAL]) {
          const purchase = { headers: { 'X-Request-Id': given, ...bearer() } }
          const { headers, body } = await sendPurchase(world.apiUrl, open, purchase, query)
          const told = new Map(headers).get('X-Request-Id')
          expect(told, 'header and body').to.equal(body.request_id)
          expect(told === given, given).to.equal(kept)
        }
    })
  })

  it('is counted as on the general way', async () => {
    const labels = 'method="POST",route="/api/v1/spike-events/:id/orders"'
    const counts = async () => {
      const found = await samplesOf(world.apiUrl)
      return [
        ...[202, 400, 401, 404].map(
          (status) => found.get(`http_requests_total{${labels},status="${status}"}`) ?? 0,
        ),
        found.get(`http_request_duration_seconds_count{${labels}}`) ?? 0,
        found.get('spike_purchases_total{outcome="queued"}') ?? 0,
      ]
    }
    for (const query of ['', UNUSUAL]) {
      const before = await counts()
      await sendPurchase(world.apiUrl, open, { headers: bearer() }, query)
      await sendPurchase(world.apiUrl, open, { headers: bearer(), body: '{"quantity":0}' }, query)
      await sendPurchase(world.apiUrl, open, {}, query)
      await sendPurchase(world.apiUrl, uuidv7(), { headers: bearer() }, query)
      const after = await counts()
      expect(
        after.map((count, i) => count - (before[i] ?? 0)),
        query,
      ).to.deep.equal([1, 1, 1, 1, 4, 1])
    }
  })
})

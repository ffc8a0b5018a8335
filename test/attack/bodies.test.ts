import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { expectRefusal, type Ask, type Client } from '../support/http.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { createWorld, type World } from '../support/world.ts'

describe('attacks through bodies', () => {
  let world: World
  let api: Client
  let eventId: string
  let buyer: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createAttackClient(`${world.apiUrl}/api/v1`)
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    eventId = await createSale(world)
  })
  after(() => world.close())

  const nothing = <T>(run: () => Promise<T>) => unchanged(world, [eventId], run)
  const purchase = (ask: Ask) =>
    api('POST', `/spike-events/${eventId}/orders`, { token: buyer.access_token, ...ask })
  const bad = async (ask: Ask) => expectRefusal(await purchase(ask), 400, 'VALIDATION_FAILED')

  attack('JSON that is nested 4,000 or 10,000 levels deep, or never closed: 400 or 413', () =>
    nothing(async () => {
      const nested = (depth: number) => `{"quantity":${'['.repeat(depth)}${']'.repeat(depth)}}`
      for (const raw of [
        nested(33),
        nested(4_000),
        `{"quantity":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}}`,
      ])
        await bad({ raw })
      await bad({ raw: '['.repeat(10_000) })
      expectRefusal(await purchase({ raw: nested(10_000) }), 413, 'PAYLOAD_TOO_LARGE')
    }),
  )

  attack('a field named twice, in escapes too: 400', () =>
    nothing(async () => {
      for (const raw of [
        '{"quantity":1,"quantity":100}',
        '{"quantity":1,"\\u0071uantity":100}',
        '{"quantity":1, "quantity" :1}',
      ])
        await bad({ raw })
    }),
  )

  attack('text that is almost JSON: 400', () =>
    nothing(async () => {
      for (const raw of [
        "{'quantity':1}",
        '{"quantity":1,}',
        '{"quantity":01}',
        '{"quantity":NaN}',
        '{quantity:1}',
      ])
        await bad({ raw })
      for (const raw of [
        '{"quantity":1}//',
        '\ufeff{"quantity":1}x',
        '1',
        'null',
        '"x"',
        '[]',
        '{"quantity":1}{}',
      ])
        await bad({ raw })
    }),
  )

  attack('a body of 10 MB, with and without a length: 413', () =>
    nothing(async () => {
      const line = `POST /api/v1/spike-events/${eventId}/orders HTTP/1.1`
      const headers = [`Authorization: Bearer ${buyer.access_token}`, 'Content-Type: application/json']
      const body = `{"quantity":1,"x":"${'x'.repeat(10_000_000)}"}`
      const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
      for (const request of [
        rawRequest(line, [...headers, `Content-Length: ${body.length}`], body),
        rawRequest(line, [...headers, 'Transfer-Encoding: chunked'], chunk),
      ]) {
        const { statuses, text } = await sendRaw(world.apiUrl, request)
        expect(statuses).to.deep.equal([413])
        expect(text).to.include('"error":"PAYLOAD_TOO_LARGE"')
      }
    }),
  )

  attack('a gzip bomb: 413 within 40 MB of memory', () =>
    nothing(async () => {
      const bombs = [50_000_000, 5_000_000, 17_000].map((size) =>
        gzipSync(Buffer.alloc(size, 0x20), { level: 9 }),
      )
      const before = process.memoryUsage().rss
      for (const bomb of bombs) {
        const reply = await purchase({ raw: new Uint8Array(bomb), headers: { 'content-encoding': 'gzip' } })
        expectRefusal(reply, 413, 'PAYLOAD_TOO_LARGE')
      }
      expect(process.memoryUsage().rss - before).to.be.below(40_000_000)
    }),
  )

  attack('gzip that is none, unknown packings, packings in each other: 400 or 415', () =>
    nothing(async () => {
      const raw = '{"quantity":1}'
      await bad({ raw, headers: { 'content-encoding': 'gzip' } })
      for (const packing of ['zip', 'gzip, gzip', 'x-evil', 'compress']) {
        const reply = await purchase({ raw, headers: { 'content-encoding': packing } })
        expectRefusal(reply, 415, 'UNSUPPORTED_MEDIA_TYPE')
      }
    }),
  )

  attack('other content types, or charsets such as utf-7: 415', () =>
    nothing(async () => {
      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x',
        'application/xml',
        'application/json; charset=utf-7',
        'application/json; charset=utf-16le',
        'application/jsonx',
        'application/json-patch',
        'text/json',
      ]) {
        const reply = await purchase({ raw: '{"quantity":1}', headers: { 'content-type': type } })
        expectRefusal(reply, 415, 'UNSUPPORTED_MEDIA_TYPE')
      }
    }),
  )
})

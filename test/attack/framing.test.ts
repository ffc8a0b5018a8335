import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, unchanged } from '../support/attack.ts'
import { expectHungUp, rawRequest, sendRaw } from '../support/raw-http.ts'
import { createWorld, type World } from '../support/world.ts'

const JSON_TYPE = 'Content-Type: application/json'
const POST = 'POST /api/v1/auth/logout HTTP/1.1'

describe('attacks on where a request ends', () => {
  let world: World
  let eventId: string
  let buyer: LoadBuyer

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    eventId = await createSale(world)
  })
  after(() => world.close())

  const nothing = <T>(run: () => Promise<T>) => unchanged(world, [eventId], run)
  const hungUp = (requests: Record<string, string>, status: number) =>
    nothing(() => expectHungUp(world.apiUrl, requests, status))
  /** A purchase that would be done if it were ever taken for a request of its own. */
  const hidden = () =>
    rawRequest(`POST /api/v1/spike-events/${eventId}/orders HTTP/1.1`, [
      `Authorization: Bearer ${buyer.access_token}`,
      'Content-Length: 0',
    ])

  attack(
    'a request hidden behind two lengths, or a length and chunks: 400, hung up, nothing behind it is read',
    () => {
      const tail = `0\r\n\r\n${hidden()}`
      return hungUp(
        {
          'length, then chunks': rawRequest(
            POST,
            [JSON_TYPE, 'Content-Length: 4', 'Transfer-Encoding: chunked'],
            tail,
          ),
          'chunks, then length': rawRequest(
            POST,
            [JSON_TYPE, 'Transfer-Encoding: chunked', 'Content-Length: 4'],
            tail,
          ),
          'two lengths': rawRequest(
            POST,
            [JSON_TYPE, 'Content-Length: 2', 'Content-Length: 50'],
            `{}${hidden()}`,
          ),
          'the same twice': rawRequest(
            POST,
            [JSON_TYPE, 'Content-Length: 2', 'Content-Length: 2'],
            `{}${hidden()}`,
          ),
          'a list': rawRequest(POST, [JSON_TYPE, 'Content-Length: 2, 2'], `{}${hidden()}`),
        },
        400,
      )
    },
  )

  attack('a length with a sign, in hexadecimal, or beyond all numbers: 400, hung up', () =>
    hungUp(
      Object.fromEntries(
        ['+2', '-1', '0x2', '2.0', '1e1', '99999999999999999999', '2 2'].map((length) => [
          length,
          rawRequest(POST, [JSON_TYPE, `Content-Length: ${length}`], `{}${hidden()}`),
        ]),
      ),
      400,
    ),
  )

  attack('chunks announced in ways that proxies read differently: 400, hung up', () =>
    hungUp(
      Object.fromEntries(
        [
          'Transfer-Encoding: identity',
          'Transfer-Encoding: xchunked',
          'Transfer-Encoding: chunked, identity',
          'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
          'Transfer-Encoding : chunked',
          'Transfer-Encoding: \u000bchunked',
          'X: a\r\n\tTransfer-Encoding: chunked',
          'X: a\rTransfer-Encoding: chunked',
        ].map((header) => [header, rawRequest(POST, [JSON_TYPE, header], `0\r\n\r\n${hidden()}`)]),
      ),
      400,
    ),
  )

  attack('chunks whose sizes lie: 400, hung up', () =>
    hungUp(
      Object.fromEntries(
        [
          'FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n',
          '-2\r\n{}\r\n0\r\n\r\n',
          '2\r\n{}x\r\n0\r\n\r\n',
          '2\n{}\n0\n\n',
          '0x2\r\n{}\r\n0\r\n\r\n',
          '2\r\n{}\r\n0\r\nContent-Length: 100\r\n\r\n',
        ].map((chunks) => [
          JSON.stringify(chunks),
          rawRequest(POST, [JSON_TYPE, 'Transfer-Encoding: chunked'], chunks + hidden()),
        ]),
      ),
      400,
    ),
  )

  attack('chunk extensions without end: 413, hung up', () =>
    hungUp(
      {
        extensions: rawRequest(
          POST,
          [JSON_TYPE, 'Transfer-Encoding: chunked'],
          `2;${'x'.repeat(40_000)}\r\n{}`,
        ),
      },
      413,
    ),
  )

  attack('a request hidden in the body of one that is refused early: one answer', () =>
    nothing(async () => {
      const inBody = (line: string, more: string[] = []) =>
        rawRequest(line, [...more, `Content-Length: ${hidden().length}`], hidden())
      const large = `${'x'.repeat(20_000)}${hidden()}`
      for (const [text, status] of [
        [inBody('GET /api/v1/users/me HTTP/1.1'), 415],
        [inBody('POST /nothing HTTP/1.1', [JSON_TYPE]), 400],
        [inBody(POST, ['Content-Type: text/plain']), 415],
        [rawRequest(POST, [JSON_TYPE, `Content-Length: ${large.length}`], large), 413],
      ] as const) {
        const { statuses } = await sendRaw(world.apiUrl, text)
        expect(statuses, text.slice(0, 60)).to.deep.equal([status])
      }
    }),
  )

  attack('bare line feeds, NUL and control characters in the head: 400, hung up', () =>
    hungUp(
      {
        'line feeds': `${POST}\nHost: x\nContent-Length: 0\n\n`,
        'NUL in the path': rawRequest('GET /healthz\u0000 HTTP/1.1'),
        'a space in the path': rawRequest('GET /health z HTTP/1.1'),
        'NUL in a header': rawRequest('GET /healthz HTTP/1.1', ['X: a\u0000b']),
        'a control character in a key': rawRequest(POST, ['Idempotency-Key: a\u0001b']),
        'a header without a name': rawRequest('GET /healthz HTTP/1.1', [': x']),
      },
      400,
    ),
  )

  attack('other protocols on the port: 400, hung up', () =>
    hungUp(
      {
        TLS: '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
        SSH: 'SSH-2.0-OpenSSH_9.0\r\n',
        'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'HTTP/3.0': 'GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n',
        Redis: '*1\r\n$4\r\nPING\r\n',
        'a small method': rawRequest('get /healthz HTTP/1.1'),
      },
      400,
    ),
  )
})

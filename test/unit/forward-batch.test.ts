import type { ConsumeMessage } from 'amqplib'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { isStoreTrouble } from '../../src/platform/store-trouble.ts'
import { forwardBatch, type Readable } from '../../workers/bridge/forward.ts'

const batchOf = (...payloads: string[]): Readable<string>[] =>
  payloads.map((payload) => ({ delivery: { fields: { routingKey: payload } } as ConsumeMessage, payload }))
const namesOf = (refused: readonly { delivery: ConsumeMessage }[]) =>
  refused.map(({ delivery }) => delivery.fields.routingKey)
const withCode = (code: string): Error => Object.assign(new Error(`code ${code}`), { code })
const named = (name: string, message: string): Error => Object.assign(new Error(message), { name })

describe('forwarding a batch', () => {
  it('is one call, when all goes well', async () => {
    const calls: (readonly string[])[] = []
    expect(await forwardBatch(async (batch) => void calls.push(batch), batchOf('a', 'b'))).to.deep.equal([])
    expect(calls).to.deep.equal([['a', 'b']])
  })

  it('of nothing asks for nothing', async () => {
    expect(await forwardBatch(() => Promise.reject(new Error('asked')), [])).to.deep.equal([])
  })

  it('tells apart the message that sets off a bug, after several tries, with its error', async () => {
    const done = new Set<string>()
    let tries = 0
    const forward = async (batch: readonly string[]) => {
      if (batch.includes('poison')) {
        tries++
        throw new TypeError('a bug')
      }
      for (const one of batch) done.add(one)
    }
    const refused = await forwardBatch(forward, batchOf('a', 'poison', 'b'))
    expect(namesOf(refused)).to.deep.equal(['poison'])
    expect(refused[0]).to.include({ reason: 'a bug', attempts: tries })
    expect(tries).to.equal(8)
    expect([...done]).to.deep.equal(['a', 'b'])
  })

  it('blames nobody for a failure that passes', async () => {
    let tries = 0
    const forward = async () => {
      if (++tries < 6) throw new Error('it passes')
    }
    expect(await forwardBatch(forward, batchOf('a', 'b'))).to.deep.equal([])
  })

  it('refuses a value that the database will never take at once, and only that one', async () => {
    let tries = 0
    const forward = async (batch: readonly string[]) => {
      tries++
      if (batch.includes('bad')) throw withCode('22003')
    }
    expect(namesOf(await forwardBatch(forward, batchOf('a', 'bad', 'b')))).to.deep.equal(['bad'])
    expect(tries).to.equal(4)
  })

  it('refuses nothing while a store is in trouble, whatever it says', async () => {
    for (const error of TROUBLES) {
      const failure = await forwardBatch(() => Promise.reject(error), batchOf('a')).catch((e: unknown) => e)
      expect(failure).to.equal(error)
    }
  })

  it('refuses nothing when the store goes down while the messages are tried alone', async () => {
    const down = withCode('ECONNREFUSED')
    let tries = 0
    const forward = () => Promise.reject(++tries < 5 ? new TypeError('a bug') : down)
    expect(await forwardBatch(forward, batchOf('a', 'b')).catch((e: unknown) => e)).to.equal(down)
  })
})

const TROUBLES = [
  withCode('ECONNREFUSED'),
  withCode('ECONNRESET'),
  withCode('EHOSTUNREACH'),
  withCode('08006'),
  withCode('25006'),
  withCode('40P01'),
  withCode('42P01'),
  withCode('53100'),
  withCode('57P03'),
  withCode('XX000'),
  named('KnexTimeoutError', 'Knex: Timeout acquiring a connection'),
  named('MaxRetriesPerRequestError', 'Reached the max retries per request limit (which is 1).'),
  named('AbortError', 'Command aborted due to connection close'),
  new Error('Command timed out'),
  new Error('Connection is closed.'),
  named('ReplyError', "OOM command not allowed when used memory > 'maxmemory'."),
  named('ReplyError', 'LOADING Redis is loading the dataset in memory'),
  named('ReplyError', "READONLY You can't write against a read only replica."),
  named('ReplyError', 'ERR user_script:7: MISCONF Redis is configured to save RDB snapshots'),
]

describe('trouble of a store', () => {
  for (const error of TROUBLES)
    it(`is ${error.name}: ${error.message}`, () => expect(isStoreTrouble(error)).to.equal(true))

  for (const error of [
    new TypeError("Cannot read properties of undefined (reading 'x')"),
    withCode('22003'),
    withCode('23505'),
    withCode('ERR_INVALID_ARG_TYPE'),
    named('ReplyError', 'WRONGTYPE Operation against a key holding the wrong kind of value'),
    named('ZodError', 'OOM is not a number'),
  ])
    it(`is not ${error.name}: ${error.message}`, () => expect(isStoreTrouble(error)).to.equal(false))
})

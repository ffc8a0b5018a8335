import { expect } from 'chai'
import { describe, it } from 'mocha'
import { firstContact, hostOf, reasonOf, ServiceError } from '../../src/platform/service-error.ts'

const PASSWORD = 's3cret-password'
const URLS = [
  [
    'PostgreSQL',
    'DATABASE_URL',
    `postgres://spike:${PASSWORD}@db.test:5432/sale?sslmode=${PASSWORD}`,
    'db.test:5432/sale',
  ],
  ['Redis', 'REDIS_URL', `redis://:${PASSWORD}@stock.test:6379`, 'stock.test:6379'],
  ['RabbitMQ', 'AMQP_URL', `amqp://spike:${PASSWORD}@broker.test/vhost`, 'broker.test/vhost'],
  ['RabbitMQ', 'AMQP_URL', `amqp://spike:${PASSWORD}@b1.test:1,b2.test:2/vhost`, 'b1.test:1,b2.test:2/vhost'],
] as const

describe('ServiceError', () => {
  for (const [name, setting, url, host] of URLS)
    it(`says in one line where ${name} was looked for (${host}) and which setting says so, without its password`, () => {
      const { message } = new ServiceError(name, setting, url, new Error('connection refused'))
      expect(message).to.equal(
        `${name} at ${host} (${setting}) is not usable: connection refused. ` +
          `Start it or correct ${setting}; \`npm run doctor\` checks everything.`,
      )
      expect(hostOf(url)).not.to.include(PASSWORD)
    })

  it('keeps its cause for the log', () => {
    const cause = new Error('why')
    expect(new ServiceError('Redis', 'REDIS_URL', 'redis://a', cause).cause).to.equal(cause)
  })
})

describe('reasonOf', () => {
  it('finds the text of an error, also where Node hides it', () => {
    expect(reasonOf(new Error('plain'))).to.equal('plain')
    expect(reasonOf(new AggregateError([new Error('first of many'), new Error('second')]))).to.equal(
      'first of many',
    )
    expect(reasonOf(new AggregateError([], 'none'))).to.equal('none')
    expect(reasonOf(new RangeError())).to.equal('RangeError')
    expect(reasonOf('text')).to.equal('text')
  })
})

describe('firstContact', () => {
  const redis = { name: 'Redis', setting: 'REDIS_URL', url: `redis://:${PASSWORD}@stock.test:6379` }
  const failure = (contact: () => Promise<unknown>) =>
    firstContact(redis, contact, 10).then(
      () => undefined,
      (error: unknown) => error as Error,
    )

  it('hands the answer on', async () => {
    expect(await firstContact(redis, async () => 'PONG')).to.equal('PONG')
  })

  it('turns a refusal into one line', async () => {
    const error = await failure(() => Promise.reject(new Error('ECONNREFUSED')))
    expect(error).to.be.an.instanceOf(ServiceError).with.property('message').that.includes('ECONNREFUSED')
    expect(error?.message).not.to.include(PASSWORD)
  })

  it('does not wait for ever', async () => {
    const error = await failure(() => new Promise(() => undefined))
    expect(error)
      .to.be.an.instanceOf(ServiceError)
      .with.property('message')
      .that.includes('no answer in 10 ms')
  })
})

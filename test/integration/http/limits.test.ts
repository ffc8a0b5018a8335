import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

const newEmail = (): string => `l-${randomBytes(6).toString('hex')}@spike.test`

describe('limits on tries, which are on by default', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld()
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  // Every test comes from the same address: forget what it has used up.
  beforeEach(async () => {
    const keys = await world.redis.keys(`${world.config.namespace}:limit:*`)
    if (keys.length > 0) await world.redis.unlink(...keys)
  })

  const login = (email: string, password: string, headers: Record<string, string> = {}) =>
    api('POST', '/auth/login', { json: { email, password }, headers })

  function expectLimited(reply: Reply<unknown> | undefined): void {
    if (reply === undefined) throw new Error('no reply was limited')
    expectRefusal(reply, 429, 'RATE_LIMITED')
    expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
  }

  it('stop guessing at one account after 10 tries, also with the right password', async () => {
    const account = await createAccount(world)
    const tries = []
    for (let i = 0; i < 10; i++) tries.push(await login(account.email, `wrong password ${i}`))
    expect(tries.map((reply) => reply.status)).to.deep.equal(Array.from({ length: 10 }, () => 401))
    expectLimited(await login(account.email, account.password))
    expectLimited(await login(account.email.toUpperCase(), account.password))
    const other = await createAccount(world)
    expect((await login(other.email, other.password)).status).to.equal(200)
  })

  it('stop one address after 30 tries, whatever account and whatever address it claims to have', async () => {
    const replies = []
    for (let i = 0; i < 31; i++)
      replies.push(await login(newEmail(), 'wrong password', { 'x-forwarded-for': `203.0.113.${i}` }))
    expect(replies.slice(0, 30).map((reply) => reply.status)).to.deep.equal(
      Array.from({ length: 30 }, () => 401),
    )
    expectLimited(replies[30])
  })

  it('count registrations like logins, and keep nothing of one that is refused', async () => {
    const register = (email: unknown) =>
      api('POST', '/auth/register', { json: { email, password: 'long enough password' } })
    const email = newEmail()
    for (let i = 0; i < 10; i++) await register(i % 2 ? email : email.toUpperCase())
    expectLimited(await register(email))
    for (let i = 0; i < 20; i++) await register({ not: 'an e-mail' })
    const late = newEmail()
    expectLimited(await register(late))
    expect(await world.knex('users').where({ email: late })).to.deep.equal([])
  })

  it('hold one buyer to 20 purchases in 10 s, and nobody else', async () => {
    const eventId = await createSale(world)
    const [buyer, other] = await createBuyers(world, 2)
    if (buyer === undefined || other === undefined) throw new Error('no buyers')
    const replies = []
    for (let i = 0; i < 22; i++) replies.push(await buy(api, eventId, buyer))
    expect(replies.map((reply) => reply.status)).to.deep.equal([
      202,
      ...Array.from({ length: 19 }, () => 409),
      429,
      429,
    ])
    expectLimited(replies[20])
    expect((await buy(api, eventId, other)).status).to.equal(202)
    expect(await world.redis.hlen(`{spike:${eventId}}:holders`)).to.equal(2)
  })
})

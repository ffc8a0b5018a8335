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

  it('stop one address after 30 tries, whatever account and whatever address it claims to have', async () => {
    const replies = []
    for (let i = 0; i < 31; i++)
      replies.push(await login(newEmail(), 'wrong password', { 'x-forwarded-for': `203.0.113.${i}` }))
    expect(replies.slice(0, 30).map((reply) => reply.status)).to.deep.equal(
      Array.from({ length: 30 }, () => 401),
    )
    expectLimited(replies[30])
    const account = await createAccount(world)
    expectLimited(await login(account.email, account.password))
    const late = newEmail()
    const json = { email: late, password: 'long enough password' }
    expectLimited(await api('POST', '/auth/register', { json }))
    expect(await world.knex('users').where({ email: late })).to.deep.equal([])
    const change = { current_password: account.password, new_password: 'another password' }
    expectLimited(await api('POST', '/users/me/password', { token: account.token, json: change }))
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

import { expect } from 'chai'
import { after, afterEach, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { Revocations } from '../../../src/users/revocations.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { openAccount } from '../../support/sessions.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the revocations of tokens', () => {
  let world: World
  let api: Client
  const started: Revocations[] = []

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  afterEach(async () => {
    for (const revocations of started.splice(0)) await revocations.stop()
  })
  after(() => world.close())

  /** What another process of the API knows. */
  async function otherProcess(): Promise<Revocations> {
    const revocations = new Revocations(world.knex, world.log)
    started.push(revocations)
    await revocations.start()
    return revocations
  }
  const newUsers = async (count: number) => (await createBuyers(world, count)).map((buyer) => buyer.user_id)
  const first = (sub: string) => ({ sub, ver: 1 })

  it('reach every process, whatever changed the account', async () => {
    const revocations = await otherProcess()
    const [role, disabled, password, deleted, untouched] = (await newUsers(5)) as [
      string,
      string,
      string,
      string,
      string,
    ]
    const users = world.knex('users')
    await users.clone().where({ id: role }).update({ role: 'operator' })
    await users.clone().where({ id: disabled }).update({ disabled: true })
    await users.clone().where({ id: password }).update({ password_hash: 'x' })
    await users.clone().where({ id: deleted }).delete()
    await users.clone().where({ id: untouched }).update({ updated_at: new Date() })
    for (const id of [role, disabled, password, deleted])
      await until(`the end of a token of ${id}`, () => revocations.revokes(first(id)))
    expect(revocations.revokes(first(untouched))).to.equal(false)
    for (const id of [role, disabled, password])
      expect(revocations.revokes({ sub: id, ver: 2 }), 'a token of later').to.equal(false)
    expect(revocations.revokes({ sub: deleted, ver: 1_000 }), 'any token of one who is gone').to.equal(true)
  })

  it('are known from the start', async () => {
    const [id = ''] = await newUsers(1)
    await world.knex('users').where({ id }).update({ disabled: true })
    expect((await otherProcess()).revokes(first(id))).to.equal(true)
  })

  it('are not missed when their transaction commits long after others', async () => {
    const [slow = '', ...quick] = await newUsers(3)
    const trx = await world.knex.transaction()
    await trx('users').where({ id: slow }).update({ disabled: true })
    await trx('user_revocations')
      .where({ user_id: slow })
      .update({ revoked_at: world.knex.raw(`now() - interval '10 minutes'`) })
    const revocations = await otherProcess()
    try {
      for (const id of quick) {
        await world.knex('users').where({ id }).update({ disabled: true })
        await until('the quick one', () => revocations.revokes(first(id)))
      }
      expect(revocations.revokes(first(slow))).to.equal(false)
    } finally {
      await trx.commit()
    }
    await until('the slow one', () => revocations.revokes(first(slow)))
  })

  it('stay when an account is enabled again, and leave its new tokens alone', async () => {
    const revocations = await otherProcess()
    const [id = ''] = await newUsers(1)
    await world.knex('users').where({ id }).update({ disabled: true })
    await world.knex('users').where({ id }).update({ disabled: false })
    const { token_version: now } = await world.knex('users').where({ id }).first()
    await until('the last change', () => revocations.revokes({ sub: id, ver: now - 1 }))
    expect(revocations.revokes(first(id))).to.equal(true)
    expect(revocations.revokes({ sub: id, ver: now })).to.equal(false)
  })

  it('are forgotten when no token can be as old', async () => {
    const [old = '', young = ''] = await newUsers(2)
    await world.knex('users').whereIn('id', [old, young]).update({ disabled: true })
    const age = (id: string, hours: number) =>
      world
        .knex('user_revocations')
        .where({ user_id: id })
        .update({ revoked_at: world.knex.raw(`now() - make_interval(hours => ?)`, [hours]) })
    await age(old, 14)
    await age(young, 12)
    const revocations = await otherProcess()
    expect(revocations.revokes(first(old))).to.equal(false)
    expect(revocations.revokes(first(young))).to.equal(true)
    expect(await world.knex('user_revocations').where({ user_id: old })).to.deep.equal([])
  })

  it('end the tokens of accounts that are deleted or disabled behind the back of the API', async () => {
    const gone = await openAccount(api)
    const disabled = await openAccount(api)
    await world.knex('users').where({ id: gone.user.id }).delete()
    await world.knex('users').where({ id: disabled.user.id }).update({ disabled: true })
    for (const { access_token: token } of [gone, disabled]) {
      expectRefusal(await api('GET', '/users/me', { token }), 401, 'UNAUTHENTICATED')
      await until('the token to end', async () => (await api('GET', '/orders', { token })).status === 401)
      const json = { quantity: 1 }
      const purchase = await api('POST', `/spike-events/${uuidv7()}/orders`, { token, json })
      expectRefusal(purchase, 401, 'UNAUTHENTICATED')
    }
  })
})

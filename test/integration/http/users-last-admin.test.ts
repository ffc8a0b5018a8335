import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the last admin', () => {
  let world: World
  let api: Client
  let admin: Account

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
  })
  after(() => world.close())

  // Every test begins with one admin.
  beforeEach(async () => {
    await world.knex('users').where({ role: 'admin' }).update({ role: 'user' })
    admin = await createAccount(world, 'admin')
  })

  const patch = (id: string, json: unknown, token = admin.token) =>
    api('PATCH', `/users/${id}`, { token, json })
  const admins = (): Promise<{ id: string }[]> =>
    world.knex('users').where({ role: 'admin', disabled: false }).select('id')

  it('can neither be demoted nor disabled', async () => {
    const disabled = await createAccount(world, 'admin')
    await patch(disabled.id, { disabled: true })
    const before = await stateOf(world)
    for (const json of [
      { role: 'user' },
      { role: 'operator' },
      { disabled: true },
      { role: 'user', disabled: true },
    ])
      expectRefusal(await patch(admin.id, json), 409, 'LAST_ADMIN')
    expect(await stateOf(world)).to.deep.equal(before)
    expect((await patch(disabled.id, { role: 'user' })).status).to.equal(200)
    expect((await patch(disabled.id, { role: 'admin', disabled: false })).status).to.equal(200)
    expect((await patch(admin.id, { role: 'user' })).status).to.equal(200)
    expect(await admins()).to.deep.equal([{ id: disabled.id }])
  })

  it('remains when two admins demote each other at once', async () => {
    for (let round = 0; round < 10; round++) {
      const [one, two] = [admin, await createAccount(world, 'admin')]
      const replies = await Promise.all([
        patch(two.id, { role: 'user' }, one.token),
        patch(one.id, { disabled: true }, two.token),
      ])
      const statuses = replies.map((reply) => reply.status)
      expect(statuses.filter((status) => status === 200)).to.have.length(1)
      // The second is refused by the rule, or at the door when the first was done before it came in.
      expect([401, 403, 409]).to.include(statuses.find((status) => status !== 200))
      const left = await admins()
      expect(left).to.have.length(1)
      admin = left[0]?.id === one.id ? one : two
    }
  })

  it('remains when many admins demote one another in a ring', async () => {
    const ring = [admin]
    for (let i = 0; i < 5; i++) ring.push(await createAccount(world, 'admin'))
    await Promise.all(
      ring.map(({ token }, i) => patch(ring[(i + 1) % ring.length]?.id ?? '', { role: 'user' }, token)),
    )
    expect(await admins()).to.have.length.of.at.least(1)
  })
})

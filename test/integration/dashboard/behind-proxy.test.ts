import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { sendLogin } from '../../support/dashboard.ts'
import { createClient, type Client } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the dashboard behind a proxy that ends TLS', () => {
  let world: World
  let dashboard: Client
  let operator: Account
  before(async () => {
    world = await createWorld({ APP_ENV: 'staging', TRUST_PROXY: 'on' })
    await world.start('dashboard')
    dashboard = createClient(world.dashboardUrl)
    operator = await createAccount(world, 'operator')
  })
  after(() => world.close())

  it('sets a cookie that browsers send over HTTPS only', async () => {
    const reply = await sendLogin(dashboard, operator)
    expect(reply.status).to.equal(302)
    expect(reply.headers.getSetCookie()[0])
      .to.match(/; secure/i)
      .and.to.match(/; httponly/i)
  })

  it('limits logins by the address that the proxy has seen, not by one that the client wrote', async () => {
    const statuses = []
    for (let i = 0; i < 31; i++) {
      const headers = { 'x-forwarded-for': `198.51.100.${i}, 203.0.113.7` }
      statuses.push(
        (await sendLogin(dashboard, { email: `p${i}@x.test`, password: 'wrong' }, headers)).status,
      )
    }
    expect(statuses.slice(0, 30)).to.deep.equal(Array(30).fill(401))
    expect(statuses[30]).to.equal(429)
  })
})

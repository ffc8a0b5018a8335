import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { compose } from '../../../src/compose.ts'
import { loadConfig } from '../../../src/platform/config.ts'
import type { Running } from '../../../src/platform/lifecycle.ts'
import { freePort } from '../../../tools/lib/set-up.ts'
import type { LoadBuyer } from '../../../tools/lib/buyers.ts'
import { createBuyers } from '../../factories/accounts.ts'
import { buy } from '../../support/buying.ts'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { expectLimited, windowOf } from '../../support/windows.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the windows while Redis is away', () => {
  let world: World
  let proxy: Proxy
  let running: Running
  let api: Client
  let root: Client
  let buyer: LoadBuyer

  before(async () => {
    world = await createWorld()
    proxy = await Proxy.before(world.config.redisUrl)
    const port = String(await freePort())
    const env = { ...world.env, PORT: port, REDIS_URL: proxy.urlOf(world.config.redisUrl) }
    running = await compose(loadConfig(env), world.log)
    await running.start()
    root = createClient(`http://127.0.0.1:${port}`)
    api = createClient(`http://127.0.0.1:${port}/api/v1`)
    ;[buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
  })
  after(async () => {
    await proxy.restore()
    await running.stop()
    await proxy.cut()
    await world.close()
  })

  it('are counted by each process, and refuse logins', async () => {
    await proxy.cut()
    const eventId = '01890000-0000-7000-8000-000000000000'
    const tries = await Promise.all(Array.from({ length: 25 }, () => buy(api, eventId, buyer)))
    const limited = tries.filter((reply) => reply.status === 429)
    expect(limited).to.have.length(5)
    limited.forEach(expectLimited)
    for (const reply of tries) if (reply.status !== 429) expectRefusal(reply, 503, 'NOT_READY')
    const me = await api('GET', '/users/me', { token: buyer.access_token })
    expect([me.status, windowOf(me)?.points]).to.deep.equal([200, 300])
    const login = await api('POST', '/auth/login', {
      json: { email: buyer.email, password: 'wrong password' },
    })
    expectRefusal(login, 503, 'NOT_READY')
    expect(Number(login.headers.get('retry-after'))).to.be.within(1, 60)
    await proxy.restore()
    await until('all to be well', async () => (await root('GET', '/readyz')).status === 200)
  })

  it('make requests wait once for a silent Redis, not each of them', async () => {
    proxy.fallSilent()
    try {
      expect((await api('GET', '/users/me', { token: buyer.access_token })).status).to.equal(200)
      const began = performance.now()
      for (let i = 0; i < 20; i++)
        expect((await api('GET', '/users/me', { token: buyer.access_token })).status).to.equal(200)
      expect(performance.now() - began).to.be.below(900)
    } finally {
      await proxy.cut()
      await proxy.restore()
    }
  })
})

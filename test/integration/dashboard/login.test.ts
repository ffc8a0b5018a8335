import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { queuePrefix } from '../../../src/platform/bullmq/job.ts'
import { hashPassword } from '../../../src/users/passwords.ts'
import { issueToken, tokenKey } from '../../../src/users/tokens.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { cookieOf, logIn, sendLogin } from '../../support/dashboard.ts'
import { createClient, type Client } from '../../support/http.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, serverUrls, type World } from '../../support/world.ts'

const HTML = { accept: 'text/html,application/xhtml+xml' }

describe('the way into the dashboard', () => {
  let world: World
  let dashboard: Client
  let operator: Account

  before(async () => {
    world = await createWorld()
    await world.start('dashboard')
    dashboard = createClient(world.dashboardUrl)
    operator = await createAccount(world, 'operator')
  })
  after(() => world.close())

  // Every test comes from the same address: forget what it has used up.
  beforeEach(async () => {
    const keys = await world.redis.keys(`${world.config.namespace}:limit:*`)
    if (keys.length > 0) await world.redis.unlink(...keys)
  })

  /** Sees that neither page nor API nor a change is to be had with these headers. */
  async function shut(headers: Record<string, string>): Promise<void> {
    for (const path of ['/queues', '/queues/', '/queues/queue/dead-letter']) {
      const page = await dashboard('GET', path, { headers: { ...HTML, ...headers } })
      expect(`${page.status} ${page.headers.get('location')}`, path).to.equal('302 /login')
    }
    for (const [method, path] of [
      ['GET', '/queues/api/queues'],
      ['GET', '/queues/api/queues/create-order/workers'],
      ['GET', '/queues/api/redis/stats'],
      ['PUT', '/queues/api/queues/pause'],
      ['PUT', '/queues/api/queues/dead-letter/empty'],
      ['POST', '/queues/api/queues/close-order/add'],
      ['DELETE', '/queues'],
    ] as const) {
      const reply = await dashboard(method, path, { headers: { ...HTML, ...headers } })
      expect(reply.status, `${method} ${path}`).to.equal(401)
      expect(reply.text).to.not.include('create-order')
    }
  }

  async function opens(headers: Record<string, string>): Promise<void> {
    const page = await dashboard('GET', '/queues', { headers: { ...HTML, ...headers } })
    expect(page.status).to.equal(200)
    const list = await dashboard('GET', '/queues/api/queues', { headers })
    expect(list.status, list.text).to.equal(200)
    expect(list.text).to.include('create-order')
  }

  it('is shut without a session', () => shut({}))

  it('leads from the root to the login form, which is a plain page', async () => {
    const root = await dashboard('GET', '/', { headers: HTML })
    expect(`${root.status} ${root.headers.get('location')}`).to.equal('302 /login')
    const form = await dashboard('GET', '/login', { headers: HTML })
    expect(form.status).to.equal(200)
    expect(form.headers.get('content-type')).to.match(/^text\/html/)
    expect(form.text).to.include('method="post"').and.to.not.include('<script')
    expect(form.headers.get('content-security-policy')).to.include("default-src 'self'")
    expect((await dashboard('GET', '/healthz')).status).to.equal(200)
  })

  for (const role of ['viewer', 'operator', 'admin'] as const)
    it(`opens to the role ${role}`, async () =>
      opens(await logIn(dashboard, await createAccount(world, role))))

  it('does not open to a user, and does not say that the password was right', async () => {
    const user = await createAccount(world)
    const right = await sendLogin(dashboard, user)
    const wrong = await sendLogin(dashboard, { ...user, password: 'wrong password' })
    expect(right.status).to.equal(401)
    expect(right.headers.getSetCookie()).to.deep.equal([])
    expect(right.text).to.equal(wrong.text)
  })

  it('does not open with a wrong password, an unknown e-mail or a disabled account', async () => {
    const disabled = await createAccount(world, 'admin')
    await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
    for (const input of [
      { ...operator, password: `${operator.password} ` },
      { ...operator, email: 'nobody@spike.test' },
      disabled,
      { email: '', password: '' },
      { email: '<script>alert(1)</script>', password: 'x' },
    ]) {
      const reply = await sendLogin(dashboard, input)
      expect(reply.status).to.equal(401)
      expect(reply.headers.getSetCookie()).to.deep.equal([])
      expect(reply.text).to.include('role="alert"').and.to.not.include('<script')
    }
    const json = await dashboard('POST', '/login', { json: { email: { $ne: '' }, password: ['x'] } })
    expect(json.status).to.equal(401)
    expect((await dashboard('POST', '/login', { raw: '{"email":' })).status).to.equal(400)
    expect((await dashboard('POST', '/login', { json: { email: 'x'.repeat(5_000) } })).status).to.equal(413)
  })

  it('sets a cookie that scripts and other sites do not get', async () => {
    const reply = await sendLogin(dashboard, operator)
    const cookies = reply.headers.getSetCookie().map((cookie) => cookie.toLowerCase().split('; '))
    expect(cookies.map(([pair]) => pair?.split('=')[0])).to.deep.equal([
      'spike_dashboard',
      'spike_device',
      'xsrf-token', // the page's script reads this one; it opens nothing by itself
    ])
    for (const [i, path] of ['path=/', 'path=/login'].entries()) {
      expect(cookies[i]).to.include.members([path, 'httponly', 'samesite=strict'])
      expect(cookies[i]?.some((flag) => flag.startsWith('domain='))).to.equal(false)
    }
  })

  it('does not open to a token of the API, or to a session that was tampered with', async () => {
    const admin = await createAccount(world, 'admin')
    const key = tokenKey(world.config.jwtSecret)
    const { cookie } = await logIn(dashboard, admin)
    const [head, payload, signature] = cookie.split('=')[1]?.split('.') ?? []
    const edited = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()), role: 'user' }),
    ).toString('base64url')
    for (const token of [
      admin.token,
      issueToken(key, { id: admin.id, role: 'admin', token_version: 2 }, 'dashboard', -1),
      issueToken(tokenKey('x'.repeat(32)), { id: admin.id, role: 'admin', token_version: 2 }, 'dashboard'),
      `${head}.${edited}.${signature}`,
      `${head}.${payload}.`,
      'x',
    ])
      await shut({ cookie: `spike_dashboard=${token}` })
    await shut({ authorization: `Bearer ${admin.token}` })
    await opens({ cookie })
  })

  it('is shut behind an operator who is demoted or disabled, at once', async () => {
    const demoted = await createAccount(world, 'operator')
    const disabled = await createAccount(world, 'admin')
    const sessions = [await logIn(dashboard, demoted), await logIn(dashboard, disabled)]
    for (const session of sessions) await opens(session)
    await world.knex('users').where({ id: demoted.id }).update({ role: 'user' })
    await world.knex('users').where({ id: disabled.id }).update({ disabled: true })
    for (const session of sessions) await shut(session)
  })

  it('is shut behind an operator whose password has changed, at once', async () => {
    const account = await createAccount(world, 'operator')
    const session = await logIn(dashboard, account)
    await opens(session)
    await world
      .knex('users')
      .where({ id: account.id })
      .update({ password_hash: await hashPassword('another password') })
    await shut(session)
    await opens(await logIn(dashboard, { ...account, password: 'another password' }))
  })

  it('is shut to a copy of the cookie after the logout', async () => {
    const session = await logIn(dashboard, operator)
    const other = await logIn(dashboard, operator)
    await opens(session)
    expect((await dashboard('POST', '/logout', { headers: session })).status).to.equal(302)
    await shut(session)
    await opens(other)
  })

  it('takes no write without the word of its own session', async () => {
    const { cookie, ...own } = await logIn(dashboard, operator)
    const { cookie: _other, ...foreign } = await logIn(dashboard, operator)
    const pause = (headers: Record<string, string>) =>
      dashboard('PUT', '/queues/api/queues/close-order/pause', { headers: { cookie, ...headers } })
    for (const headers of [
      {},
      foreign,
      { 'x-xsrf-token': '' },
      { 'x-xsrf-token': own['x-xsrf-token'].slice(1) },
    ])
      expect((await pause(headers)).status).to.equal(403)
    const meta = `${queuePrefix(world.config.namespace, 'close-order')}:close-order:meta`
    expect(await world.queueRedis.hget(meta, 'paused')).to.equal(null)
    expect((await dashboard('POST', '/logout', { headers: { cookie } })).status).to.equal(403)
    await opens({ cookie })
    expect((await pause(own)).status).to.equal(200)
    const resumed = await dashboard('PUT', '/queues/api/queues/close-order/resume', {
      headers: { cookie, ...own },
    })
    expect(resumed.status).to.equal(200)
  })

  it('takes the cookie away at logout', async () => {
    const session = await logIn(dashboard, operator)
    const reply = await dashboard('POST', '/logout', { headers: session })
    expect(`${reply.status} ${reply.headers.get('location')}`).to.equal('302 /login')
    expect(cookieOf(reply)).to.equal('spike_dashboard=')
    expect(reply.headers.getSetCookie()[0]).to.include('expires=Thu, 01 Jan 1970')
    expect((await dashboard('GET', '/logout', { headers: HTML })).status).to.not.equal(200)
  })

  it('refuses what the page of another site makes a browser send', async () => {
    const session = await logIn(dashboard, operator)
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `${world.dashboardUrl}.evil.example` },
      { origin: world.dashboardUrl.replace(/:\d+$/, ':1') },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: world.dashboardUrl, 'sec-fetch-site': 'cross-site' },
    ]
    for (const headers of foreign) {
      expect((await sendLogin(dashboard, operator, headers)).status, JSON.stringify(headers)).to.equal(403)
      for (const [method, path] of [
        ['POST', '/logout'],
        ['PUT', '/queues/api/queues/close-order/pause'],
      ] as const)
        expect((await dashboard(method, path, { headers: { ...session, ...headers } })).status).to.equal(403)
    }
    expect(
      await world.queueRedis.hget(
        `${queuePrefix(world.config.namespace, 'close-order')}:close-order:meta`,
        'paused',
      ),
    ).to.equal(null)
    const own = { origin: world.dashboardUrl, 'sec-fetch-site': 'same-origin' }
    expect((await sendLogin(dashboard, operator, own)).status).to.equal(302)
    // What a browser sends when a policy keeps its referrer back.
    const reserved = { origin: 'null', 'sec-fetch-site': 'same-origin' }
    expect((await sendLogin(dashboard, operator, reserved)).status).to.equal(302)
  })

  it('is limited to 10 tries an account and 30 an address, the right password included', async () => {
    const account = await createAccount(world, 'operator')
    for (let i = 0; i < 10; i++)
      expect((await sendLogin(dashboard, { ...account, password: 'wrong' })).status).to.equal(401)
    const limited = await sendLogin(dashboard, account)
    expect(limited.status).to.equal(429)
    expect(Number(limited.headers.get('retry-after'))).to.be.within(1, 60)
    expect(limited.headers.getSetCookie()).to.deep.equal([])
    const headers = { 'x-forwarded-for': '203.0.113.9' }
    for (let i = 0; i < 19; i++)
      await sendLogin(dashboard, { email: `x${i}@x.test`, password: 'wrong' }, headers)
    expect((await sendLogin(dashboard, operator, headers)).status).to.equal(429)
  })

  it('can not be held up by others in a browser that was used before', async () => {
    const account = await createAccount(world, 'operator')
    const [, device = ''] = (await sendLogin(dashboard, account)).headers.getSetCookie()
    const cookie = device.split(';')[0] ?? ''
    for (let i = 0; i < 40; i++) await sendLogin(dashboard, { ...account, password: 'wrong' })
    expect((await sendLogin(dashboard, account)).status).to.equal(429)
    expect((await sendLogin(dashboard, account, { cookie })).status).to.equal(302)
    expect((await sendLogin(dashboard, operator, { cookie })).status, 'for another account').to.equal(429)
    for (let i = 0; i < 9; i++)
      expect((await sendLogin(dashboard, { ...account, password: 'wrong' }, { cookie })).status).to.equal(401)
    expect((await sendLogin(dashboard, account, { cookie })).status, 'at the end of its own').to.equal(429)
  })
})

describe('the way into the dashboard while Redis is down', () => {
  it('is shut to those who are outside, and open to those who are in', async () => {
    const { REDIS_URL } = serverUrls()
    const proxy = await Proxy.before(REDIS_URL)
    const world = await createWorld({ REDIS_URL: proxy.urlOf(REDIS_URL) })
    try {
      await world.start('dashboard')
      const dashboard = createClient(world.dashboardUrl)
      const operator = await createAccount(world, 'operator')
      const session = await logIn(dashboard, operator)
      await proxy.cut()
      const reply = await sendLogin(dashboard, operator)
      expect(reply.status).to.equal(503)
      expect(Number(reply.headers.get('retry-after'))).to.be.within(1, 60)
      expect(reply.headers.getSetCookie()).to.deep.equal([])
      expect(reply.text).to.include('role="alert"')
      expect((await dashboard('GET', '/queues/api/queues', { headers: session })).status).to.equal(200)
      await proxy.restore()
      await until('logins again', async () => (await sendLogin(dashboard, operator)).status === 302)
    } finally {
      await proxy.restore()
      await world.close()
      await proxy.cut()
    }
  })
})

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { followEvent } from '../../../src/sale.ts'
import type { Role } from '../../../src/users/model.ts'
import { createAccount, createBuyers, type Account } from '../../factories/accounts.ts'
import { createDraft, createProduct, createSale } from '../../factories/sales.ts'
import { buy } from '../../support/buying.ts'
import { draftOf, type EventData } from '../../support/events.ts'
import { createClient, expectRefusal, type Client, type Reply } from '../../support/http.ts'
import { Proxy } from '../../support/proxy.ts'
import { until } from '../../support/wait.ts'
import { createWorld, serverUrls, type World } from '../../support/world.ts'

type Page = { items: EventData[]; total: number }

describe('reading spike events', () => {
  let redis: Proxy
  let world: World
  let api: Client
  const accounts = {} as Record<Role, Account>

  before(async () => {
    const { REDIS_URL } = serverUrls()
    redis = await Proxy.before(REDIS_URL)
    world = await createWorld({ RATE_LIMIT: 'off', REDIS_URL: redis.urlOf(REDIS_URL) })
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    for (const role of ['user', 'viewer', 'operator', 'admin'] as const)
      accounts[role] = await createAccount(world, role)
  })
  after(async () => {
    await world.close()
    await redis.cut()
  })

  const list = (query: string, token?: string) => api<Page>('GET', `/spike-events?${query}`, { token })
  const read = (id: string, headers: Record<string, string> = {}) =>
    api<EventData>('GET', `/spike-events/${id}`, { headers })
  const idsOf = (reply: Reply<Page>): string[] => {
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data.items.map((event) => event.id)
  }
  const act = (id: string, action: string) =>
    api<EventData>('POST', `/spike-events/${id}/${action}`, { token: accounts.admin.token })

  describe('the list', () => {
    const HOUR_MS = 3_600_000
    let productId: string
    const events = {} as Record<'draft' | 'published' | 'live' | 'paused' | 'ended' | 'over', string>

    before(async () => {
      productId = await createProduct(world)
      const next = (n: number) => ({ productId, endAt: new Date(Date.now() + n * HOUR_MS) })
      events.draft = await createDraft(world, next(1))
      events.published = await createSale(world, { ...next(6), startAt: new Date(Date.now() + HOUR_MS) })
      events.live = await createSale(world, next(5))
      events.paused = await createSale(world, next(4))
      await act(events.paused, 'pause')
      events.ended = await createSale(world, next(3))
      await act(events.ended, 'end')
      events.over = await createSale(world, next(2))
      // The window is over by the database's clock, and no worker has ended the sale yet.
      await world
        .knex('spike_events')
        .where({ id: events.over })
        .update({ end_at: world.knex.raw(`now() - interval '1 second'`) })
    })

    it('shows all but drafts, the last to end first', async () => {
      const { published, live, paused, ended, over } = events
      const reply = await list(`product_id=${productId}`)
      expect(idsOf(reply)).to.deep.equal([published, live, paused, ended, over])
      expect(reply.body.data.total).to.equal(5)
    })

    it('shows drafts with no filter to nobody, so that it is the same list for all', async () => {
      for (const { token } of Object.values(accounts))
        expect(idsOf(await list(`product_id=${productId}`, token))).to.not.include(events.draft)
    })

    for (const state of ['published', 'live', 'paused'] as const)
      it(`finds events that are ${state}`, async () => {
        const reply = await list(`product_id=${productId}&state=${state}`)
        expect(idsOf(reply)).to.deep.equal([events[state]])
        expect(reply.body.data.items[0]?.state).to.equal(state)
        expect(reply.body.data.total).to.equal(1)
      })

    it('finds ended ones, those among them whose window is over by the database’s clock', async () => {
      const reply = await list(`product_id=${productId}&state=ended`)
      expect(idsOf(reply)).to.deep.equal([events.ended, events.over])
      expect(reply.body.data.items.map((event) => event.state)).to.deep.equal(['ended', 'ended'])
    })

    it('finds drafts for viewers, operators and admins', async () => {
      for (const role of ['viewer', 'operator', 'admin'] as const)
        expect(idsOf(await list(`product_id=${productId}&state=draft`, accounts[role].token))).to.deep.equal([
          events.draft,
        ])
    })

    it('finds drafts for nobody else', async () => {
      expectRefusal(await list('state=draft'), 403, 'FORBIDDEN')
      expectRefusal(await list('state=draft', accounts.user.token), 403, 'FORBIDDEN')
      const demoted = await createAccount(world, 'operator')
      await world.knex('users').where({ id: demoted.id }).update({ role: 'user' })
      // 401 once this process has heard that the token is revoked.
      expect((await list('state=draft', demoted.token)).status).to.be.oneOf([401, 403])
    })

    it('finds events by their currency, which is that of the product when it was drafted', async () => {
      const product = await createProduct(world)
      await world.knex('products').where({ id: product }).update({ currency: 'USD' })
      const { token } = accounts.admin
      const { id } = (await api<EventData>('POST', '/spike-events', { token, json: draftOf(product) })).body
        .data
      await world.knex('products').where({ id: product }).update({ currency: 'EUR' })
      await act(id, 'publish')
      expect(idsOf(await list('currency=USD'))).to.deep.equal([id])
      expect(idsOf(await list('currency=EUR'))).to.deep.equal([])
      expect(idsOf(await list(`currency=CNY&product_id=${product}`))).to.deep.equal([])
    })

    it('sorts as asked, and pages', async () => {
      const { published, live, paused, ended, over } = events
      const sorted = await list(`product_id=${productId}&sort=end_at,asc`)
      expect(idsOf(sorted)).to.deep.equal([over, ended, paused, live, published])
      expect(idsOf(await list(`product_id=${productId}&sort=start_at,desc`))[0]).to.equal(published)
      const second = await list(`product_id=${productId}&page=2&page_size=2`)
      expect(idsOf(second)).to.deep.equal([paused, ended])
      expect(second.body.data).to.include({ page: 2, page_size: 2, total: 5 })
      expect(idsOf(await list(`product_id=${productId}&page=9`))).to.deep.equal([])
    })

    for (const [query, named] of [
      ['state=open', 'state'],
      ['product_id=1', 'product_id'],
      ['currency=cny', 'currency'],
      ['sort=stock,asc', 'start_at, end_at, spike_price'],
      ['sort=end_at', 'sort'],
      ['page_size=101', 'page_size'],
      ['status=draft', 'status'],
      ['state=live&state=draft', 'state'],
    ] as const)
      it(`refuses ${query}`, async () => {
        const reply = await list(query)
        expectRefusal(reply, 400, 'VALIDATION_FAILED')
        expect(JSON.stringify(reply.body.data)).to.include(named)
      })

    it('refuses a token that is none, because one was sent', async () => {
      expectRefusal(await list('', 'no-token'), 401, 'UNAUTHENTICATED')
    })
  })

  describe('one event', () => {
    it('is not there for buyers before it is published, word for word like one that never was', async () => {
      const draft = await createDraft(world)
      for (const token of [undefined, accounts.user.token]) {
        const [hidden, unknown] = await Promise.all(
          [draft, randomUUID()].map((id) => api('GET', `/spike-events/${id}`, { token })),
        )
        for (const reply of [hidden, unknown]) expectRefusal(reply as Reply<unknown>, 404, 'NOT_FOUND')
        expect({ ...hidden?.body, request_id: '' }).to.deep.equal({ ...unknown?.body, request_id: '' })
      }
    })

    it('is there for viewers, operators and admins before', async () => {
      const draft = await createDraft(world)
      for (const role of ['viewer', 'operator', 'admin'] as const) {
        const reply = await api<EventData>('GET', `/spike-events/${draft}`, { token: accounts[role].token })
        expect(reply.status, reply.text).to.equal(200)
        expect(reply.body.data).to.include({ id: draft, state: 'draft', stock: 10, remaining: null })
      }
    })

    it('has a tag of version, state and remaining units, and is not sent again while that stands', async () => {
      const id = await createSale(world, { stock: 5 })
      const first = await read(id)
      const tag = first.headers.get('etag') ?? ''
      expect(tag).to.equal(`"${first.body.data.version}.live.5"`)
      for (const seen of [tag, `W/${tag}`, `"1.live.7", ${tag}`, '*']) {
        const again = await read(id, { 'if-none-match': seen })
        expect(again.status, seen).to.equal(304)
        expect(again.text).to.equal('')
        expect(again.headers.get('etag')).to.equal(tag)
      }
      expect((await read(id, { 'if-none-match': '"1.live.7"' })).status).to.equal(200)
    })

    it('is sent again when a unit is taken, an admin changes it, or the clock does', async () => {
      const id = await createSale(world, { startAt: new Date(Date.now() - 5_000) })
      const [buyer] = await createBuyers(world, 1)
      const changes: (() => Promise<unknown>)[] = [
        () => buy(api, id, buyer as NonNullable<typeof buyer>),
        () => act(id, 'pause'),
        () => act(id, 'resume'),
        () =>
          world
            .knex('spike_events')
            .where({ id })
            .update({ end_at: world.knex.raw('now()') }),
      ]
      let tag = (await read(id)).headers.get('etag') ?? ''
      for (const change of changes) {
        await change()
        const again = await read(id, { 'if-none-match': tag })
        expect(again.status, again.text).to.equal(200)
        tag = again.headers.get('etag') ?? ''
      }
    })
  })

  describe('while Redis is away', () => {
    const isBack = async (): Promise<boolean> => (await world.redis.ping().catch(() => '')) === 'PONG'

    it('shows all but the remaining units', async () => {
      const id = await createSale(world, { stock: 5 })
      await redis.cut()
      try {
        const one = await read(id)
        expect(one.status, one.text).to.equal(200)
        expect(one.body.data).to.include({ id, state: 'live', remaining: null })
        const all = await list('page_size=100')
        expect(idsOf(all)).to.include(id)
        for (const event of all.body.data.items) expect(event.remaining).to.equal(null)
      } finally {
        await redis.restore()
      }
      await until('the units to be seen again', async () => (await read(id)).body.data.remaining === 5)
    })

    it('answers with what PostgreSQL has done, and the gate follows later, once', async () => {
      const productId = await createProduct(world, 100)
      const id = await createDraft(world, { productId })
      await redis.cut()
      try {
        const published = await act(id, 'publish')
        expect(published.status, published.text).to.equal(200)
        expect(published.body.data).to.include({ state: 'live', stock: 10, remaining: null })
        const json = { delta: 5, reason: 'more came in' }
        const added = await api('POST', `/spike-events/${id}/stock`, { token: accounts.admin.token, json })
        expect(added.status, added.text).to.equal(201)
        expect(added.body.data).to.include({ granted: 15, available: 15 })
        expect((await act(id, 'pause')).body.data.state).to.equal('paused')
      } finally {
        await redis.restore()
      }
      await until('Redis to be back', isBack)
      await Promise.all([followEvent(world, id), followEvent(world, id)])
      const shown = await until('the units to be seen again', async () => {
        const { data } = (await read(id)).body
        return data.remaining !== null && data
      })
      expect(shown).to.include({ state: 'paused', stock: 15, remaining: 15 })
      expect(await world.scripts.countUnits({ eventId: id })).to.include({ granted: 15, stock: 15 })
      expect(await world.redis.hget(`{spike:${id}}:gate`, 'status')).to.equal('paused')
    })
  })
})

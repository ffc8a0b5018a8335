import { randomUUID } from 'node:crypto'
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { KoaAdapter } from '@bull-board/koa'
import type { Router } from '@koa/router'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe } from 'mocha'
import type { Dashboard } from '../../dashboard/compose.ts'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import { createAccount } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { attack, createAttackClient, unchanged } from '../support/attack.ts'
import { logIn } from '../support/dashboard.ts'
import type { Client } from '../support/http.ts'
import { createWorld, type World } from '../support/world.ts'

interface Write {
  method: string
  path: string
}

/** Bull Board tells its routes to whoever serves them. */
class ListingAdapter extends KoaAdapter {
  readonly writes: Write[] = []
  override setApiRoutes(routes: Parameters<KoaAdapter['setApiRoutes']>[0]): KoaAdapter {
    for (const { method, route } of routes)
      for (const verb of [method].flat())
        if (verb !== 'get')
          for (const path of [route].flat()) this.writes.push({ method: verb.toUpperCase(), path })
    return super.setApiRoutes(routes)
  }
}

describe('attacks of a viewer on the dashboard', () => {
  let world: World
  let dashboard: Client
  let eventId: string
  let writes: Write[]
  const queues: Queue[] = []

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    const { app } = (await world.start('dashboard')) as Dashboard
    dashboard = createAttackClient(world.dashboardUrl)
    eventId = await createSale(world)
    for (const { step } of JOBS) queues.push(openQueue(step, world.config.namespace, world.queueRedis))
    writes = [...writesOfRouters(app.middleware as { router?: Router }[]), ...writesOfBoard(queues)]
  })
  after(async () => {
    for (const queue of queues) await queue.close()
    await world.close()
  })

  /** Of the dashboard's own pages. */
  function writesOfRouters(middleware: readonly { router?: Router }[]): Write[] {
    return middleware.flatMap(({ router }) =>
      (router?.stack ?? []).flatMap(({ methods, path }) =>
        methods
          .filter((method) => !['GET', 'HEAD', 'OPTIONS'].includes(method))
          .map((method) => ({ method, path: String(path) })),
      ),
    )
  }

  function writesOfBoard(all: readonly Queue[]): Write[] {
    const serverAdapter = new ListingAdapter().setBasePath('/queues') as ListingAdapter
    createBullBoard({ queues: all.map((queue) => new BullMQAdapter(queue as never)), serverAdapter })
    return serverAdapter.writes.map(({ method, path }) => ({ method, path: `/queues${path}` }))
  }

  /** With ids that exist where there are some. */
  const filled = (path: string): string =>
    path
      .replace(':queueName', 'close-order')
      .replace(':queueStatus', 'failed')
      .replace(/^\/sales\/:\w+/, `/sales/${eventId}`)
      .replaceAll(/:\w+/g, randomUUID())

  async function everywhere(headers: Record<string, string>, status: number): Promise<void> {
    for (const { method, path } of writes)
      for (const variant of [filled(path), `${filled(path)}/`, `${filled(path)}?_method=GET`]) {
        const form = { 'content-type': 'application/x-www-form-urlencoded' }
        const ask = { headers: { ...headers, ...form }, raw: `csrf_token=${headers['x-xsrf-token'] ?? ''}` }
        const reply = await dashboard(method, variant, ask)
        expect(reply.status, `${method} ${variant}: ${reply.text}`).to.equal(status)
      }
  }

  const auditRows = async () => Number((await world.knex('audit_log').count({ n: '*' }))[0]?.n)

  attack('every writing route of the pages and of Bull Board, by a viewer: 403, nothing done', async () => {
    const paths = writes.map(({ method, path }) => `${method} ${path}`)
    expect(paths).to.include.members([
      'POST /sales/:id/pause',
      'POST /sales/:id/repair',
      'POST /dead-letters/groups/:group/replay',
      'PUT /queues/api/queues/:queueName/retry/:queueStatus',
      'POST /queues/api/queues/:queueName/add',
    ])
    const headers = await logIn(dashboard, await createAccount(world, 'viewer'))
    const rows = await auditRows()
    await unchanged(world, [eventId], () => everywhere(headers, 403))
    expect(await auditRows()).to.equal(rows)
    for (const path of ['/sales', `/sales/${eventId}`, '/dead-letters', '/look-up', '/queues/api/queues'])
      expect((await dashboard('GET', path, { headers })).status, path).to.equal(200)
  })

  attack('every writing route, by nobody or by a user: 401, nothing done', async () => {
    const user = await createAccount(world)
    await unchanged(world, [eventId], async () => {
      await everywhere({}, 401)
      await everywhere(
        { authorization: `Bearer ${user.token}`, cookie: `spike_dashboard=${user.token}` },
        401,
      )
    })
  })

  attack('every writing route, by an operator whose page was forged: 403, nothing done', async () => {
    const { cookie } = await logIn(dashboard, await createAccount(world, 'operator'))
    await unchanged(world, [eventId], () => everywhere({ cookie }, 403))
  })

  attack('a right that the account has lost, on a page that is still open: 403, nothing done', async () => {
    const account = await createAccount(world, 'operator')
    const headers = await logIn(dashboard, account)
    await world.knex('users').where({ id: account.id }).update({ role: 'viewer' })
    await unchanged(world, [eventId], () => everywhere(headers, 401))
    const again = await logIn(dashboard, account)
    await unchanged(world, [eventId], () => everywhere(again, 403))
  })
})

import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { deadLetterJob } from '../../../src/contracts/jobs/dead-letter.ts'
import { JobProducer } from '../../../src/platform/bullmq/job.ts'
import { createAccount, type Account } from '../../factories/accounts.ts'
import { logIn } from '../../support/dashboard.ts'
import { createClient, type Client } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('what is done on the board of queues', () => {
  let world: World
  let dashboard: Client
  let operator: Account
  let headers: Record<string, string>

  before(async () => {
    world = await createWorld()
    await world.start('dashboard')
    dashboard = createClient(world.dashboardUrl)
    operator = await createAccount(world, 'operator')
    headers = await logIn(dashboard, operator)
  })
  after(() => world.close())

  it('leaves a row in the audit log: who, what, the queue before and after', async () => {
    await dashboard('GET', '/queues/api/queues', { headers })
    expect(await world.knex('audit_log').select('id')).to.deep.equal([])
    expect((await dashboard('PUT', '/queues/api/queues/close-order/pause', { headers })).status).to.equal(200)
    expect((await dashboard('PUT', '/queues/api/queues/close-order/resume', { headers })).status).to.equal(
      200,
    )
    expect((await dashboard('PUT', '/queues/api/queues/close-order/x/retry', { headers })).status).to.equal(
      404,
    )
    const rows = await world.knex('audit_log').orderBy('id')
    expect(rows.map(({ actor_id, action, target }) => ({ actor_id, action, target }))).to.deep.equal([
      { actor_id: operator.id, action: 'queue.pause', target: 'close-order' },
      { actor_id: operator.id, action: 'queue.resume', target: 'close-order' },
    ])
    const pausedOf = (counts: Record<string, { paused: boolean }>) => counts['close-order']?.paused
    expect(rows.map(({ before, after }) => [pausedOf(before), pausedOf(after)])).to.deep.equal([
      [false, true],
      [true, false],
    ])
    expect(rows.every(({ request_id }) => /^[0-9a-f-]{36}$/.test(request_id))).to.equal(true)
  })

  it('shows no buyer: ids of users are cut, e-mails masked, in jobs and in messages kept as text', async () => {
    const userId = randomUUID()
    const letters = new JobProducer(deadLetterJob, world.config.namespace, world.queueRedis)
    await letters.addBulk([
      {
        payload: {
          id: 'message-x',
          source: 'message',
          origin: 'reservation.accepted',
          reason: 'not readable',
          attempts: 1,
          payload: JSON.stringify({ user_id: userId, email: 'somebody.else@shop.example', quantity: 1 }),
          replays: 0,
          dead_at: new Date().toISOString(),
        },
      },
    ])
    const list = await dashboard('GET', '/queues/api/queues?activeQueue=dead-letter', { headers })
    const job = await dashboard('GET', '/queues/api/queues/dead-letter/dead-letter-message-x', { headers })
    for (const { status, text } of [list, job]) {
      expect(status).to.equal(200)
      expect(text)
        .to.include('message-x')
        .and.to.include(userId.slice(0, 8))
        .and.to.include('s…@shop.example')
      expect(text).to.not.include(userId).and.to.not.include('somebody')
    }
    await letters.close()
  })

  it('is shown by a page that asks no other host for anything', async () => {
    const page = await dashboard('GET', '/queues', { headers: { ...headers, accept: 'text/html' } })
    expect(page.status).to.equal(200)
    expect(page.text)
      .to.include('<div id="root">')
      .and.to.not.match(/(?:href|src)="(?:https?:)?\/\//)
  })
})

import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createAccount, createBuyers } from '../../factories/accounts.ts'
import { createSale } from '../../factories/sales.ts'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { order } from '../../support/buying.ts'
import { logIn } from '../../support/dashboard.ts'
import { createClient, type Client } from '../../support/http.ts'
import { atRest, stateOf } from '../../support/state.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

interface BoardQueue {
  name: string
  description: string
  readOnlyMode: boolean
  allowRetries: boolean
  counts: Record<string, number>
  jobs: { id: string; name: string; data: unknown }[]
}

describe('the board of queues', () => {
  let world: World
  let dashboard: Client
  let headers: Record<string, string>
  let queue: Queue
  let eventId: string
  let rid: string

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('workers')
    await world.start('api')
    await world.start('dashboard')
    dashboard = createClient(world.dashboardUrl)
    headers = await logIn(dashboard, await createAccount(world, 'admin'))
    queue = openQueue('create-order', world.config.namespace, world.queueRedis)
    const [buyer] = await createBuyers(world, 1)
    if (buyer === undefined) throw new Error('no buyer')
    eventId = await createSale(world)
    ;({ rid } = await order(createClient(`${world.apiUrl}/api/v1`), eventId, buyer))
    await atRest(world, eventId)
  })
  after(async () => {
    await queue.close()
    await world.close()
  })

  async function board(activeQueue: string): Promise<BoardQueue[]> {
    const reply = await dashboard('GET', `/queues/api/queues?activeQueue=${activeQueue}`, { headers })
    expect(reply.status, reply.text).to.equal(200)
    return (reply.body as unknown as { queues: BoardQueue[] }).queues
  }

  it('has every queue in the order of the flow, the dead letters last, each with a description', async () => {
    const queues = await board('create-order')
    expect(queues.map(({ name }) => name)).to.deep.equal([
      'create-order',
      'close-order',
      'release-stock',
      'dead-letter',
    ])
    for (const { name, description } of queues) expect(description, name).to.have.length.above(20)
  })

  it('shows the job of an order, and the delayed one that will close it', async () => {
    const created = (await board('create-order'))[0]
    expect(created?.counts).to.include({ completed: 1, failed: 0 })
    expect(created?.jobs.map(({ id, data }) => ({ id, data }))).to.deep.equal([
      { id: `create-order-${rid}`, data: { rid } },
    ])
    const closing = await until('the job that will close it', async () => {
      const queue = (await board('close-order'))[1]
      return queue?.counts.delayed === 1 && queue
    })
    expect(closing.counts).to.include({ failed: 0 })
    expect(closing.jobs.map(({ name }) => name)).to.deep.equal(['close-order'])
  })

  it('says which queues are for reading only and which may retry', async () => {
    const queues = await board('create-order')
    expect(queues.map(({ name, readOnlyMode }) => `${name} ${readOnlyMode}`)).to.deep.equal([
      'create-order true',
      'close-order false',
      'release-stock false',
      'dead-letter true',
    ])
    expect(queues.filter(({ allowRetries }) => allowRetries).map(({ name }) => name)).to.deep.equal([
      'close-order',
      'release-stock',
    ])
  })

  it('changes nothing in the create-order queue, whatever an operator sends to its API', async () => {
    const job = `create-order-${rid}`
    const jobs = (): Promise<unknown> => queue.getJobCounts().then((counts) => JSON.stringify(counts))
    const before = { state: await stateOf(world, eventId), jobs: await jobs() }
    for (const [method, path, json] of [
      ['PUT', 'retry/completed', undefined],
      ['PUT', 'retry/failed', undefined],
      ['PUT', 'promote', undefined],
      ['PUT', 'clean/completed', undefined],
      ['PUT', 'clean/failed', undefined],
      ['PUT', 'pause', undefined],
      ['PUT', 'resume', undefined],
      ['PUT', 'empty', undefined],
      ['PUT', 'obliterate', { force: true }],
      ['PUT', 'concurrency', { concurrency: 1 }],
      ['PUT', 'rate-limit', { max: 1, duration: 1_000 }],
      ['PUT', 'rate-limit/release', undefined],
      ['PUT', `${job}/retry`, undefined],
      ['PUT', `${job}/clean`, undefined],
      ['PUT', `${job}/promote`, undefined],
      ['PATCH', `${job}/update-data`, { jobData: { rid } }],
      ['PATCH', `${job}/priority`, { priority: 1 }],
      ['PATCH', `${job}/delay`, { runAt: Date.now() }],
      ['POST', 'add', { name: 'create-order', data: { rid }, options: {} }],
    ] as const) {
      const reply = await dashboard(method, `/queues/api/queues/create-order/${path}`, { headers, json })
      expect([403, 405], `${method} ${path}: ${reply.status} ${reply.text}`).to.include(reply.status)
    }
    expect({ state: await stateOf(world, eventId), jobs: await jobs() }).to.deep.equal(before)
    expect(await queue.isPaused()).to.equal(false)
    expect(await queue.getJob(job)).to.not.equal(undefined)
  })

  it('with "pause all" does not stop the making of orders', async () => {
    const paused = await dashboard('PUT', '/queues/api/queues/pause', { headers })
    expect(paused.status).to.equal(200)
    try {
      expect(await queue.isPaused()).to.equal(false)
    } finally {
      await dashboard('PUT', '/queues/api/queues/resume', { headers })
    }
  })

  it('tells of a failure without a stack', async () => {
    for (const path of [
      '/queues/api/queues/nothing/retry/failed',
      '/queues/api/queues/close-order/nothing/retry',
    ]) {
      const reply = await dashboard('PUT', path, { headers })
      expect(reply.status).to.equal(404)
      expect(reply.text).to.not.match(/node_modules|\.js:/)
    }
    const bad = await dashboard('POST', '/queues/api/queues/close-order/add', { headers, raw: '{"name":' })
    expect(bad.status).to.be.within(400, 499)
    expect(bad.text).to.not.match(/node_modules|\.js:/)
  })
})

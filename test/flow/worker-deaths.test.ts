import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { createOrderJob } from '../../src/contracts/jobs/create-order.ts'
import { JobProducer } from '../../src/platform/bullmq/job.ts'
import { launchProcess, type LaunchedProcess } from '../../tools/lib/processes.ts'
import { createSale } from '../factories/sales.ts'
import { receiveClaims, reserveUnits } from '../support/claims.ts'
import { expectConserved } from '../support/reservations.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const DEATHS = 5

describe('a worker process that dies or stands still with a job in hand', function () {
  this.timeout(90_000)
  let world: World
  let logs: string
  let producer: JobProducer<'create-order', { rid: string }>
  const launched: LaunchedProcess[] = []
  before(async () => {
    world = await createWorld({ LOG_LEVEL: 'info' })
    logs = mkdtempSync(join(tmpdir(), 'spike-test-logs-'))
    producer = new JobProducer(createOrderJob, world.config.namespace, world.queueRedis)
  })
  after(async () => {
    for (const { pid } of launched) killIfAlive(pid, 'SIGKILL')
    await Promise.all(launched.map(({ exited }) => exited))
    await producer.close()
    rmSync(logs, { recursive: true, force: true })
    await world.close()
  })

  /** Starts a process that may fail before it is ready. */
  const launch = (name: string, env: NodeJS.ProcessEnv = {}): LaunchedProcess => {
    const process = launchProcess('workers', { ...world.env, ...env }, { logDir: logs, name })
    launched.push(process)
    return process
  }
  const start = async (name: string): Promise<LaunchedProcess> => {
    const process = launch(name)
    await process.ready
    return process
  }
  const logOf = (name: string) => readFileSync(join(logs, `${name}.log`), 'utf8')

  /** A reservation whose job waits. */
  const submit = async (eventId: string) => {
    const claims = await reserveUnits(world, eventId, 1)
    await receiveClaims(world, claims)
    const rid = claims[0]?.rid ?? ''
    await producer.addBulk([{ payload: { rid } }])
    return { rid, jobId: `create-order-${rid}` }
  }

  /** Makes the time of a job's lock, and of the look before it is taken for stalled, be over. */
  const letStall = async (jobId: string) => {
    const key = (name: string) => producer.queue.toKey(name)
    await world.queueRedis.del(key(`${jobId}:lock`), key('stalled-check'))
    await world.queueRedis.sadd(key('stalled'), jobId)
  }

  const completed = (jobId: string) =>
    until('the job to be completed', async () => (await producer.queue.getJobState(jobId)) === 'completed')

  async function expectOneOrder(eventId: string, rid: string): Promise<void> {
    const orders = await world.knex('orders').where('event_id', eventId).pluck('reservation_id')
    expect(orders).to.deep.equal([rid])
    expect(await expectConserved(world.knex, eventId)).to.equal(2)
  }

  it(`loses no job that ${DEATHS} of them in a row had in hand`, async () => {
    const eventId = await createSale(world, { stock: 3 })
    const { rid, jobId } = await submit(eventId)
    for (let death = 1; death <= DEATHS; death++) {
      const victim = launch('killed', { FAILPOINTS: 'create-order.in-transaction=kill' })
      expect(await victim.exited, 'ended by the signal').to.equal(128)
      if (death < DEATHS) await letStall(jobId)
    }
    expect(await producer.queue.getJobState(jobId), 'in nobody’s hand').to.equal('active')
    const healthy = await start('healthy')
    await completed(jobId)
    await expectOneOrder(eventId, rid)
    expect((await producer.queue.getJob(jobId))?.stalledCounter).to.equal(DEATHS)
    expect(logOf('killed'), 'nobody gave it up').not.to.contain('job failed')
    expect(await healthy.stop()).to.equal(0)
  })

  it('orders once when another one takes the job of one that stands still, and that one goes on later', async () => {
    const eventId = await createSale(world, { stock: 3 })
    const { rid, jobId } = await submit(eventId)
    const zombie = launch('zombie', { FAILPOINTS: 'create-order.in-transaction=stop' })
    await until('it to stand still', () => stateOf(zombie.pid).startsWith('T'))
    await letStall(jobId)
    const other = await start('other')
    await completed(jobId)
    await expectOneOrder(eventId, rid)

    // It comes by the same place on each of its attempts, and is woken each time.
    const waking = setInterval(() => killIfAlive(zombie.pid, 'SIGCONT'), 50)
    try {
      await until('it to find out', () => /lock/i.test(logOf('zombie')))
      expect(await other.stop()).to.equal(0)
      const next = await createSale(world, { stock: 3 })
      const second = await submit(next)
      await completed(second.jobId)
      await expectOneOrder(next, second.rid)
      await expectOneOrder(eventId, rid)
      expect(await zombie.stop()).to.equal(0)
    } finally {
      clearInterval(waking)
    }
    for (const line of ['unhandledRejection', 'uncaughtException', '"level":60'])
      expect(logOf('zombie')).not.to.contain(line)
    expect(logOf('zombie')).to.contain('"msg":"stopped"')
  })
})

/** As `ps` tells it; T is stopped. */
function stateOf(pid: number): string {
  return execFileSync('ps', ['-o', 'stat=', '-p', String(pid)])
    .toString()
    .trim()
}

function killIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

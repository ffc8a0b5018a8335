/** The product on three nodes of RabbitMQ, one of which is killed in mid-sale. */
import { expect } from 'chai'
import { after, afterEach, before, beforeEach, describe, it } from 'mocha'
import { reservationAccepted } from '../../src/contracts/messages/reservation-accepted.ts'
import { MESSAGES } from '../../src/contracts/messages/topology.ts'
import { oversold } from '../../src/figures/invariants.ts'
import { findReservations } from '../../src/orders/inbox.ts'
import { createApiClient } from '../../tools/lib/api-client.ts'
import { provideServices, type Services } from '../../tools/services/index.ts'
import { startTrickle, type Purchase, type Trickle } from '../chaos/trickle.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createProduct, createSale } from '../factories/sales.ts'
import { BrokerNodes } from '../support/broker-nodes.ts'
import { createStage, judgeAtRest, sendCrowd, type Stage } from '../support/stage.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const ALL = ['rabbitmq-1', 'rabbitmq-2', 'rabbitmq-3']
/** The node that AMQP_URL names first, which everybody is connected to. */
const [FIRST, OTHER] = ['rabbitmq-1', 'rabbitmq-2']
/** More than are asked for: a refusal would be a fault. */
const UNITS = 3_000
const CROWD = 150
/** Until everything is at rest after a kill: payments, lapses, and what the relay has to publish again. */
const REST_MS = 60_000
const ACCEPTED = new Set(['queued', 'reserving'])

describe('a sale on a RabbitMQ cluster', function () {
  this.timeout(240_000)
  let services: Services
  let nodes: BrokerNodes
  let world: World
  let stage: Stage
  let queue: string
  before(async () => {
    services = await provideServices({
      env: process.env,
      clusters: ['rabbitmq-cluster'],
      log: () => undefined,
    })
    nodes = new BrokerNodes(services.nodes)
  })
  after(() => services.stop())
  beforeEach(async () => {
    await nodes.bringBack()
    world = await createWorld({ RATE_LIMIT: 'off', LOG_LEVEL: 'info' }, services.urls)
    queue = world.topology.queueOf(reservationAccepted)
    stage = createStage(world)
  })
  afterEach(async () => {
    await stage.close()
    await world.close()
  })

  it('loses nothing with the node that all are connected to, which stays away', async () => {
    await Promise.all([stage.start('api'), stage.start('workers')])
    expect(new Set(await nodes.connected())).to.deep.equal(new Set([FIRST]))
    await sellThrough(FIRST, async () => undefined)
    expect(await nodes.connected()).not.to.include(FIRST)
  })

  it('loses nothing with the node that leads the reservation queue, which comes back', async () => {
    await Promise.all([stage.start('api'), stage.start('workers')])
    await nodes.moveLeader(queue, OTHER)
    await sellThrough(OTHER, async (trickle) => {
      await nodes.bringBack()
      await untilQueued(trickle, Date.now(), 20)
    })
    await until('all copies', async () => (await nodes.copiesOf(queue)).online.length === ALL.length)
  })

  it('starts with one node away, and what is declared meanwhile has its copy on that node later', async () => {
    await nodes.kill(FIRST)
    const began = Date.now()
    await Promise.all([stage.start('api'), stage.start('workers'), stage.start('dashboard')])
    say(`started: API, workers and dashboard in ${Date.now() - began} ms, the first node of AMQP_URL away`)
    const eventId = await createSale(world, { stock: 20, paymentWindowS: 300 })
    const crowd = await sendCrowd(world, { eventId, buyers: 40, payShare: 1, patienceMs: 0 })
    const { invariants } = await judgeAtRest(world, eventId, crowd.told, REST_MS)
    expect(crowd).to.include({ accepted: 20, paid: 20 })
    expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])

    await nodes.bringBack()
    const queues = [...MESSAGES.map((message) => world.topology.queueOf(message)), world.topology.deadQueue]
    for (const name of queues) {
      const copies = await until(`copies of ${name}`, async () => {
        const found = await nodes.copiesOf(name)
        return found.online.length === ALL.length && found
      })
      expect(copies.members).to.deep.equal(ALL)
    }
  })

  /** A crowd that pays or lets lapse, and a trickle that shows what each moment answers. */
  async function sellThrough(victim: string, afterwards: (trickle: Trickle) => Promise<void>): Promise<void> {
    const leader = await nodes.leaderOf(queue)
    expect((await nodes.copiesOf(queue)).online).to.deep.equal(ALL)
    const productId = await createProduct(world, UNITS)
    const eventId = await createSale(world, { productId, stock: UNITS, paymentWindowS: 6 })
    const buyers = await createBuyers(world, UNITS - CROWD)
    const client = createApiClient(world.apiUrl, 32)
    const trickle = startTrickle({ shop: client.shop, eventId, buyers: buyers.values(), everyMs: 25 })
    const crowd = sendCrowd(world, { eventId, buyers: CROWD, payShare: 0.6, patienceMs: 2_000 })
    await untilQueued(trickle, 0, 40)

    // While the workers stand still, what is confirmed lies in the copies of the queue and nowhere else.
    const workers = stage.processes.get('workers')?.pid ?? 0
    process.kill(workers, 'SIGSTOP')
    await untilQueued(trickle, Date.now(), 20)
    const killedAtMs = Date.now()
    await nodes.kill(victim)
    process.kill(workers, 'SIGCONT')
    await untilQueued(trickle, Date.now(), 20)
    await afterwards(trickle)
    await trickle.stop()
    client.close()

    const { told, surprises } = await crowd
    const accepted = trickle.purchases.filter(({ answer }) => ACCEPTED.has(answer ?? ''))
    const rids = [...told, ...accepted.map(({ rid = '' }) => rid)]
    const { facts, invariants } = await judgeAtRest(world, eventId, rids, REST_MS)
    const rows = await findReservations(world.knex, rids)
    const ordered = rows.filter(({ status }) => status === 'ordered').length
    const isConfirmed = ({ answer }: Purchase) => answer === 'queued'
    const before = accepted.filter((purchase) => isConfirmed(purchase) && purchase.answeredAtMs < killedAtMs)
    const later = accepted.filter(({ sentAtMs }) => sentAtMs >= killedAtMs)
    const again = Math.min(...later.filter(isConfirmed).map(({ answeredAtMs }) => answeredAtMs)) - killedAtMs
    const roles = [
      ...(leader === victim ? [`leader of ${reservationAccepted.key}`] : []),
      ...(victim === FIRST ? ['all clients on it'] : []),
    ]
    say(
      `killed: rabbitmq node ${victim.at(-1)} (${roles.join(', ')}, SIGKILL) · accepted ${rids.length}, ` +
        `ordered ${ordered}, confirmed before the kill ${before.length}, ` +
        `lost ${rids.length - rows.length}, oversold ${oversold(facts.ledger)}`,
    )
    const reserving = later.filter((purchase) => !isConfirmed(purchase))
    const last = Math.max(...reserving.map(({ answeredAtMs }) => answeredAtMs)) - killedAtMs
    say(
      `answered after it: first queued ${again} ms after the kill; ${reserving.length} of ${later.length} reserving` +
        (reserving.length === 0 ? '' : `, the last one ${last} ms after it`),
    )
    expect(surprises).to.deep.equal([])
    expect(invariants.filter(({ ok }) => !ok)).to.deep.equal([])
    expect(
      trickle.purchases.filter((purchase) => !accepted.includes(purchase)),
      'not accepted',
    ).to.deep.equal([])
    expect(ordered, 'of all that were accepted').to.equal(rids.length)
  }
})

/** Waits for purchases that were sent after a moment and confirmed by the broker. */
async function untilQueued(trickle: Trickle, sinceMs: number, count: number): Promise<void> {
  const confirmed = () =>
    trickle.purchases.filter(({ answer, sentAtMs }) => answer === 'queued' && sentAtMs >= sinceMs).length
  await until(`${count} confirmed purchases`, () => confirmed() >= count, 60_000)
}

function say(line: string): void {
  process.stdout.write(`      ${line}\n`)
}

import { randomUUID } from 'node:crypto'
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { openQueue } from '../../../src/platform/bullmq/job.ts'
import { deadLetters, forgetDead, openSender, type Sender } from '../../support/raw-messages.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the end of the line for messages and jobs', () => {
  let world: World
  let broker: Sender
  let dead: Queue
  const queues: Record<string, Queue> = {}

  before(async () => {
    world = await createWorld()
    await world.start('workers')
    broker = await openSender(world)
    dead = openQueue('dead-letter', world.config.namespace, world.queueRedis)
    for (const step of ['create-order', 'close-order', 'release-stock'])
      queues[step] = openQueue(step, world.config.namespace, world.queueRedis)
  })
  after(async () => {
    await broker.close()
    for (const queue of [dead, ...Object.values(queues)]) await queue.close()
    await world.close()
  })
  beforeEach(() => forgetDead(dead, ...Object.values(queues)))

  const add = (step: string, data: unknown, jobId: string) => queues[step]?.add(step, data, { jobId })

  it('keeps a forged create-order job, which is of the right shape and orders nothing', async () => {
    const before = await stateOf(world)
    const rid = randomUUID()
    await add('create-order', { rid }, `create-order-${rid}`)
    const [letter, ...more] = await deadLetters(dead, 1)
    expect(more).to.deep.equal([])
    expect(letter).to.deep.include({ origin: 'create-order', payload: { rid }, attempts: 1 })
    expect(letter?.reason).to.include('no such reservation')
    expect(await stateOf(world)).to.deep.equal(before)
  })

  for (const [step, data] of [
    ['create-order', { rid: 'x' }],
    ['create-order', null],
    ['create-order', { rid: randomUUID(), user_id: randomUUID(), quantity: 5 }],
    ['close-order', {}],
    ['close-order', { order_id: randomUUID() }],
    ['release-stock', { rid: randomUUID(), quantity: 1_000 }],
    ['release-stock', 'text'],
  ] as const)
    it(`keeps a forged ${step} job with ${JSON.stringify(data).slice(0, 24)} at the first try`, async () => {
      const before = await stateOf(world)
      await add(step, data, `${step}-${randomUUID()}`)
      const [letter, ...more] = await deadLetters(dead, 1)
      expect(more).to.deep.equal([])
      expect(letter).to.deep.include({ origin: step, payload: data, attempts: 1 })
      expect(letter?.reason).to.be.a('string').that.is.not.empty
      expect(await stateOf(world)).to.deep.equal(before)
    })

  it('keeps jobs of different steps apart, also when they bear the same id', async () => {
    const steps = ['create-order', 'close-order', 'release-stock']
    const id = `job-${randomUUID()}` // BullMQ numbers the jobs of each queue from 1: theirs meet as well
    for (const step of steps) await add(step, { by: step }, id)
    const letters = await deadLetters(dead, 3)
    expect(letters.map((letter) => letter.origin)).to.have.members(steps)
  })

  it('keeps each of many in order, and one that comes twice once', async () => {
    const messageId = randomUUID()
    for (let i = 0; i < 3; i++) await broker.send(world.topology.deadQueue, 'the same', { messageId })
    for (let i = 0; i < 200; i++) await broker.send(world.topology.deadQueue, `number ${i}`)
    const letters = await deadLetters(dead, 201)
    expect(letters.map((letter) => letter.payload)).to.deep.equal([
      'the same',
      ...Array.from({ length: 200 }, (_, i) => `number ${i}`),
    ])
  })
})

describe('a dead letter of RabbitMQ whose headers are not ours', () => {
  let world: World
  let broker: Sender
  let dead: Queue

  before(async () => {
    world = await createWorld()
    await world.start('workers')
    broker = await openSender(world)
    dead = openQueue('dead-letter', world.config.namespace, world.queueRedis)
  })
  after(async () => {
    await broker.close()
    await dead.close()
    await world.close()
  })

  it('is kept all the same, and does not hold up those behind it', async () => {
    const odd: Record<string, unknown>[] = [
      {},
      { 'x-reason': 7, 'x-origin': ['a'], 'x-attempts': 3 },
      { 'x-death': 'text' },
      { 'x-death': [{ queue: 'some-queue', reason: 'delivery_limit', count: 51 }] },
      { 'x-attempts': 'many' },
      { 'x-attempts': -1 },
      { 'x-attempts': 1.5 },
    ]
    for (const [i, headers] of odd.entries())
      await broker.send(world.topology.deadQueue, `odd ${i}`, { headers })
    const letters = await deadLetters(dead, odd.length)
    expect(letters.map((letter) => letter.payload)).to.have.members(odd.map((_, i) => `odd ${i}`))
    expect(letters.find((letter) => letter.payload === 'odd 3')).to.include({
      origin: 'some-queue',
      reason: 'delivery_limit',
      attempts: 51,
    })
    for (const letter of letters) expect(letter.attempts).to.be.at.least(0)
  })
})

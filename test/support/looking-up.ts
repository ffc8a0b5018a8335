/** The look-up as tests ask it, without a page around it. */
import type { Queue } from 'bullmq'
import { expect } from 'chai'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import type { Purchase } from '../../src/figures/purchase.ts'
import type { LookUp, LookUpDependencies } from '../../src/look-up.ts'
import { openQueue } from '../../src/platform/bullmq/job.ts'
import type { World } from './world.ts'

/** What the use case needs of a world, with queues that are closed by `close`. */
export function lookUpDependencies(world: World): { deps: LookUpDependencies; close: () => Promise<void> } {
  const { knex, redis, log } = world
  const queues = Object.fromEntries(
    JOBS.map(({ step }) => [step, openQueue(step, world.config.namespace, world.queueRedis)]),
  ) as Record<(typeof JOBS)[number]['step'], Queue>
  const close = async () => void (await Promise.all(Object.values(queues).map((queue) => queue.close())))
  return { deps: { knex, redis, queues, log }, close }
}

export function one(found: LookUp): Purchase {
  if (found.kind !== 'one') throw new Error(`found ${found.kind}`)
  return found.purchase
}

export const words = ({ timeline }: Purchase) => timeline.map(({ step, what }) => `${step} ${what}`)

/** Every word, in this order; others may stand between. */
export function expectInOrder(purchase: Purchase, expected: readonly string[]): void {
  const found = words(purchase)
  expect(found.filter((word) => expected.includes(word))).to.deep.equal(expected)
  const times = purchase.timeline.map(({ at }) => at.getTime())
  expect(times).to.deep.equal(times.toSorted((a, b) => a - b))
  // An order of no sale is closed after a quarter of an hour.
  const past = purchase.timeline.filter(({ what }) => what !== 'job_due')
  for (const { at } of past) expect(Math.abs(Date.now() - at.getTime())).to.be.below(10 * 60_000)
}

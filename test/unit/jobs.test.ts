import { readdirSync } from 'node:fs'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { STEPS } from '../../src/contracts/flow.ts'
import { JOBS } from '../../src/contracts/jobs/registry.ts'
import type { JobDefinition } from '../../src/platform/bullmq/job.ts'

const id = uuidv7()
/** A good payload of each job. */
const PAYLOADS: Record<(typeof JOBS)[number]['step'], object> = {
  'create-order': { rid: id },
  'close-order': { order_id: id },
  'release-stock': { rid: id },
  'dead-letter': {
    id: `message-${id}`,
    source: 'message',
    replays: 0,
    origin: 'spike.reservation.accepted',
    reason: 'not JSON',
    attempts: 1,
    payload: 'x',
    dead_at: '2026-11-11T00:00:00.000Z',
  },
}
const definitions = JOBS as readonly JobDefinition<string, unknown>[]
const payloadOf = (step: string) => PAYLOADS[step as keyof typeof PAYLOADS]

describe('the contracts of the jobs', () => {
  it('are registered in the order of the flow, with the dead letters last', () => {
    const inFlow = STEPS.filter((step) => JOBS.some((job) => job.step === step))
    expect(JOBS.map(({ step }) => step)).to.deep.equal([...inFlow, 'dead-letter'])
  })

  it('have a file of the step’s name each, and every file is registered', () => {
    const files = readdirSync(new URL('../../src/contracts/jobs/', import.meta.url))
    const steps = files.map((file) => file.replace(/\.ts$/, '')).filter((name) => name !== 'registry')
    expect(steps.sort()).to.deep.equal(JOBS.map(({ step }) => step as string).sort())
  })

  for (const job of definitions) {
    it(`${job.step} names its jobs <step>-<id>, as BullMQ takes them`, () => {
      const payload = job.schema.parse(payloadOf(job.step))
      const jobId = job.jobId(payload)
      expect(jobId).to.match(new RegExp(`^${job.step}-`))
      expect(jobId, 'a colon has a meaning of its own').not.to.include(':')
      expect(jobId, 'BullMQ refuses ids of digits only').not.to.match(/^\d+$/)
      expect(job.jobId(job.schema.parse(payloadOf(job.step))), 'the same for the same payload').to.equal(
        jobId,
      )
    })

    it(`${job.step} says how often, how soon and how long, and what follows when that is used up`, () => {
      expect(job.attempts).to.be.at.least(1)
      expect(job.backoffMs).to.be.within(1, 60_000)
      expect(job.keepCompletedS).to.be.at.least(60)
      expect(job.whenExhausted).to.match(/^[A-Z].+\.$/)
    })

    it(`${job.step} refuses a payload without what it needs`, () => {
      expect(job.schema.safeParse({}).success).to.equal(false)
    })
  }

  it('let no dead letter name a job that BullMQ would not take', () => {
    const letter = JOBS[3]
    for (const name of ['a:b', '', 'a b', 'x'.repeat(201)])
      expect(letter.schema.safeParse({ ...PAYLOADS['dead-letter'], id: name }).success, name).to.equal(false)
  })
})

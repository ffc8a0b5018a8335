import { expect } from 'chai'
import { after, before, beforeEach, describe, it } from 'mocha'
import { createLogger } from '../../../src/platform/logger.ts'
import { QueuedMarks } from '../../../src/reserve/queued-marks.ts'
import { decodeRecord } from '../../../src/reserve/record.ts'
import { openSpikeRedis, type Claim, type Spike, type SpikeRedis } from '../../support/spike-redis.ts'
import { until } from '../../support/wait.ts'

describe('queued marks', () => {
  let ground: SpikeRedis
  /** How many events each call was for. */
  let calls: number[]
  let warnings: { eventIds: string[]; err: { message: string } }[]
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())
  beforeEach(() => {
    calls = []
    warnings = []
  })

  function openMarks(): QueuedMarks {
    const log = createLogger('test', 'info', { write: (line) => void warnings.push(JSON.parse(line)) })
    const markQueued: SpikeRedis['scripts']['markQueued'] = (marks) => {
      calls.push(marks.length)
      return ground.scripts.markQueued(marks)
    }
    return new QueuedMarks({ markQueued }, log)
  }

  /** Two claims on each of three events, event by event. */
  async function claimsOfThree(): Promise<{ spike: Spike; claim: Claim }[]> {
    const spikes = await Promise.all([ground.open(), ground.open(), ground.open()])
    return Promise.all([...spikes, ...spikes].map(async (spike) => ({ spike, claim: await spike.held() })))
  }
  const isQueued = async ({ spike, claim }: { spike: Spike; claim: Claim }) =>
    decodeRecord((await spike.record(claim)) ?? '').state === 'queued'
  const allQueued = async (claims: { spike: Spike; claim: Claim }[]) =>
    (await Promise.all(claims.map(isQueued))).every(Boolean)

  it('are written by themselves, those of all events in one call', async () => {
    const marks = openMarks()
    const claims = await claimsOfThree()
    for (const { claim } of claims) marks.add(claim.eventId, claim.rid)
    await until('the marks', () => allQueued(claims))
    expect(calls).to.deep.equal([3])
    await marks.stop()
    expect(calls, 'nothing was left').to.deep.equal([3, 0])
  })

  it('of an event with broken keys are lost, with a warning; the others are written', async () => {
    const marks = openMarks()
    const claims = await claimsOfThree()
    const { spike: broken } = claims[1] ?? expect.fail()
    await broken.breakKey(broken.keys.states)
    for (const { claim } of claims) marks.add(claim.eventId, claim.rid)
    await marks.stop()
    expect(await allQueued(claims.filter(({ spike }) => spike !== broken))).to.equal(true)
    expect(warnings).to.have.length(1)
    expect(warnings[0]?.err.message).to.contain(broken.keys.states)
    expect(warnings[0]?.eventIds).to.include(broken.id)
  })
})

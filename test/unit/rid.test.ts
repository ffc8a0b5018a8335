import { expect } from 'chai'
import { describe, it } from 'mocha'
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { eventTag, newRid } from '../../src/reserve/rid.ts'

const MANY = 100_000

describe('newRid', () => {
  it('makes a valid UUIDv7 that ends like its event', () => {
    const uuid = z.uuid({ version: 'v7' })
    for (const eventId of [uuidv7(), uuidv4(), '00000000-0000-0000-0000-000000000000']) {
      const rid = newRid(eventId)
      expect(uuid.safeParse(rid).success, rid).to.equal(true)
      expect(rid.slice(-8)).to.equal(eventId.slice(-8))
      expect(eventTag(rid)).to.equal(eventTag(eventId))
    }
  })

  it(`makes ${MANY} rids of one event, all different and in the order of time`, () => {
    const eventId = uuidv7()
    const rids = Array.from({ length: MANY }, () => newRid(eventId))
    expect(new Set(rids).size).to.equal(MANY)
    expect(rids.every((rid, i) => i === 0 || rid > (rids[i - 1] ?? ''))).to.equal(true)
  })
})

describe('spikeKeys', () => {
  it('puts all keys of an event under its one hash tag, each under a name of its own', () => {
    const keys = Object.values(spikeKeys('the-event'))
    expect(new Set(keys).size).to.equal(keys.length)
    for (const key of keys) expect(key).to.match(/^\{spike:the-event\}:[a-z]+$/)
  })
})

import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { eventTag, isGenuineRid, madeAtMs, newRid, ridKey } from '../../src/reserve/rid.ts'

const MANY = 100_000
const SECRET = 'a secret of a test'
const key = ridKey(SECRET)

describe('newRid', () => {
  it('makes a valid UUIDv7 that ends like its event', () => {
    const uuid = z.uuid({ version: 'v7' })
    for (const eventId of [uuidv7(), uuidv4(), '00000000-0000-0000-0000-000000000000']) {
      const rid = newRid(eventId, uuidv7(), key)
      expect(uuid.safeParse(rid).success, rid).to.equal(true)
      expect(rid.slice(-8)).to.equal(eventId.slice(-8))
      expect(eventTag(rid)).to.equal(eventTag(eventId))
    }
  })

  it(`makes ${MANY} rids of one event and buyer, all different and in the order of time`, () => {
    const [eventId, userId] = [uuidv7(), uuidv7()]
    const rids = Array.from({ length: MANY }, () => newRid(eventId, userId, key))
    expect(new Set(rids).size).to.equal(MANY)
    expect(rids.every((rid, i) => i === 0 || rid > (rids[i - 1] ?? ''))).to.equal(true)
  })

  it('writes the time into the rid', () => {
    const before = Date.now()
    const madeAt = madeAtMs(newRid(uuidv7(), uuidv7(), key))
    // The clock is put forward when one millisecond takes more rids than it has numbers for.
    expect(madeAt).to.be.within(before, Date.now() + MANY / 4_096)
  })
})

describe('isGenuineRid', () => {
  const [eventId, userId] = [uuidv7(), uuidv7()]
  const rid = newRid(eventId, userId, key)

  it('knows what it has made, in every process that has the secret', () => {
    for (let i = 0; i < 1_000; i++)
      expect(isGenuineRid(newRid(eventId, userId, key), userId, ridKey(SECRET))).to.equal(true)
  })

  it('refuses the rid of another buyer, and of another secret', () => {
    expect(isGenuineRid(rid, uuidv7(), key)).to.equal(false)
    expect(isGenuineRid(rid, userId, ridKey(randomBytes(32).toString('hex')))).to.equal(false)
  })

  it('refuses a rid with any digit changed', () => {
    for (let at = 0; at < rid.length; at++) {
      if (rid[at] === '-') continue
      const digit = ((Number.parseInt(rid.charAt(at), 16) + 1) % 16).toString(16)
      const changed = rid.slice(0, at) + digit + rid.slice(at + 1)
      expect(isGenuineRid(changed, userId, key), changed).to.equal(false)
    }
  })

  it('refuses what other makers of ids have made', () => {
    for (let i = 0; i < 1_000; i++) {
      expect(isGenuineRid(uuidv4(), userId, key)).to.equal(false)
      expect(isGenuineRid(uuidv7().slice(0, -8) + eventTag(eventId), userId, key)).to.equal(false)
    }
  })
})

describe('spikeKeys', () => {
  it('puts all keys of an event under its one hash tag, each under a name of its own', () => {
    const keys = Object.values(spikeKeys('the-event'))
    expect(new Set(keys).size).to.equal(keys.length)
    for (const key of keys) expect(key).to.match(/^\{spike:the-event\}(:[a-z]+)+$/)
  })
})

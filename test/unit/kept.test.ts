import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { keptByEvent } from '../../dashboard/kept.ts'

/** Tells how often it was asked, and by how many at once. */
function source() {
  const seen = { reads: 0, running: 0, atOnce: 0 }
  const read = async (eventId: string) => {
    const n = ++seen.reads
    seen.atOnce = Math.max(seen.atOnce, ++seen.running)
    await sleep(1)
    seen.running--
    return `${eventId} ${n}`
  }
  return { seen, read }
}

describe('what is kept by event', () => {
  it('is read once for all who ask, one event at a time', async () => {
    const { seen, read } = source()
    const kept = keptByEvent(60_000, read)
    const answers = await Promise.all(['a', 'b', 'a', 'b', 'a'].map((id) => kept.read(id)))
    expect([...answers, await kept.read('a')]).to.deep.equal(['a 1', 'b 2', 'a 1', 'b 2', 'a 1', 'a 1'])
    expect(seen.atOnce).to.equal(1)
  })

  it('is read anew when it is too old, and once it is forgotten, even while it is being read', async () => {
    const { read } = source()
    const short = keptByEvent(-1, read)
    expect([await short.read('a'), await short.read('a')]).to.deep.equal(['a 1', 'a 2'])
    const kept = keptByEvent(60_000, source().read)
    const old = kept.read('a')
    kept.forget('a')
    expect([await kept.read('a'), await old]).to.deep.equal(['a 2', 'a 1'])
  })

  it('is not kept for more than the last hundred events', async () => {
    const { seen, read } = source()
    const kept = keptByEvent(60_000, read)
    await kept.read('first')
    await kept.read('second')
    for (let i = 0; i < 99; i++) await kept.read(String(i))
    expect(await kept.read('second')).to.equal('second 2')
    expect(seen.reads).to.equal(101)
    expect(await kept.read('first')).to.equal('first 102')
  })
})

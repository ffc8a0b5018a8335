import { expect } from 'chai'
import { afterEach, describe, it } from 'mocha'
import { createLogger } from '../../src/platform/logger.ts'
import { Loop, type Pass } from '../../src/platform/loop.ts'
import { until } from '../support/wait.ts'

const FOR_EVER_MS = 86_400_000

describe('a loop', () => {
  let loop: Loop | undefined
  afterEach(() => loop?.stop())

  /** Starts a loop that pauses for ever unless a pass says otherwise. @returns how many passes there were */
  function start(pass: (n: number) => Promise<Pass>): () => number {
    let passes = 0
    loop = new Loop(() => pass(++passes), FOR_EVER_MS, createLogger('test', 'silent'))
    loop.start()
    return () => passes
  }
  const passed = (passes: () => number, n: number) => until(`pass ${n}`, () => passes() === n)

  it('goes on at once while there is more, and after the pause that a pass asks for', async () => {
    const passes = start(async (n) =>
      n < 3 ? { more: true } : { more: false, pauseMs: n === 3 ? 1 : FOR_EVER_MS },
    )
    await passed(passes, 4)
  })

  it('goes on when it is woken', async () => {
    const passes = start(async () => ({ more: false }))
    await passed(passes, 1)
    loop?.wake()
    await passed(passes, 2)
  })

  it('makes another pass when it is woken in the middle of one', async () => {
    const passes = start(async (n) => {
      if (n === 1) loop?.wake()
      return { more: false }
    })
    await passed(passes, 2)
  })

  it('goes on after a pass that failed, at once when it is woken', async () => {
    const passes = start(async (n) => {
      if (n === 1) throw new Error('no store')
      return { more: false }
    })
    await passed(passes, 1)
    loop?.wake()
    await passed(passes, 2)
  })

  it('stops in mid-pause', async () => {
    const passes = start(async () => ({ more: false }))
    await passed(passes, 1)
    await loop?.stop()
    loop?.wake()
    expect(passes()).to.equal(1)
  })
})

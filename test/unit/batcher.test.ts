import { expect } from 'chai'
import { beforeEach, describe, it } from 'mocha'
import { createBatcher } from '../../src/platform/batcher.ts'
import { until } from '../support/wait.ts'

class Outage extends Error {}

describe('createBatcher', () => {
  const calls: number[][] = []
  beforeEach(() => void (calls.length = 0))

  const make = (serve: (keys: readonly number[]) => Promise<readonly string[]>, maxBatch = 10) =>
    createBatcher<number, string>({
      serve: (keys) => {
        calls.push([...keys])
        return serve(keys)
      },
      blamesAll: (error) => error instanceof Outage,
      maxBatch,
      maxWaitMs: 2,
    })
  const named = async (keys: readonly number[]) => keys.map((key) => `result ${key}`)
  const settled = async (promises: Promise<string>[]) =>
    (await Promise.allSettled(promises)).map((result) =>
      result.status === 'fulfilled' ? result.value : (result.reason as Error).message,
    )

  it('serves requests that come together with one call, and gives each its own result', async () => {
    const ask = make(named)
    expect(await Promise.all([3, 1, 2].map(ask))).to.deep.equal(['result 3', 'result 1', 'result 2'])
    expect(calls).to.deep.equal([[3, 1, 2]])
  })

  it('makes no batch larger than its limit', async () => {
    const ask = make(named, 4)
    await Promise.all(Array.from({ length: 10 }, (_, i) => ask(i)))
    expect(calls.map(({ length }) => length)).to.deep.equal([4, 4, 2])
  })

  it('begins two calls at a time, and collects company meanwhile', async () => {
    const answers: (() => void)[] = []
    const ask = make(async (keys) => {
      await new Promise<void>((resolve) => answers.push(resolve))
      return named(keys)
    })
    const asked: Promise<string>[] = []
    for (let i = 0; i < 5; i++) {
      asked.push(ask(i))
      await new Promise((resolve) => setTimeout(resolve, 10)) // longer than a batch waits for company
    }
    expect(calls).to.deep.equal([[0], [1]])
    answers.shift()?.()
    await until('the third call', () => calls.length === 3)
    expect(calls[2]).to.deep.equal([2, 3, 4])
    for (const answer of answers) answer()
    expect(await Promise.all(asked)).to.deep.equal([0, 1, 2, 3, 4].map((i) => `result ${i}`))
  })

  it('lets the next batch begin after one that failed', async () => {
    const ask = make(() => Promise.reject(new Outage('down')), 1)
    expect(await settled([1, 2, 3, 4, 5].map(ask))).to.deep.equal(Array(5).fill('down'))
  })

  it('remembers nothing: the same request later is served again', async () => {
    const ask = make(named)
    await ask(1)
    await ask(1)
    expect(calls).to.deep.equal([[1], [1]])
  })

  it('serves the same request of two callers for both', async () => {
    const ask = make(named)
    expect(await Promise.all([ask(1), ask(1)])).to.deep.equal(['result 1', 'result 1'])
    expect(calls).to.deep.equal([[1, 1]])
  })

  it('lets a bad member fail alone', async () => {
    const ask = make((keys) => (keys.includes(2) ? Promise.reject(new Error('2 is bad')) : named(keys)))
    expect(await settled([1, 2, 3].map(ask))).to.deep.equal(['result 1', '2 is bad', 'result 3'])
    expect(calls).to.deep.equal([[1, 2, 3], [1], [2], [3]])
  })

  it('tries nobody alone when the error blames no member', async () => {
    const ask = make(() => Promise.reject(new Outage('the database is down')))
    expect(await settled([1, 2, 3].map(ask))).to.deep.equal(Array(3).fill('the database is down'))
    expect(calls).to.deep.equal([[1, 2, 3]])
  })

  it('stops trying members alone when an outage begins meanwhile', async () => {
    const ask = make((keys) => Promise.reject(keys.includes(1) ? new Error('1 is bad') : new Outage('down')))
    expect(await settled([1, 2, 3, 4].map(ask))).to.deep.equal(['1 is bad', 'down', 'down', 'down'])
    expect(calls).to.deep.equal([[1, 2, 3, 4], [1], [2]])
  })

  it('does not try a single request twice', async () => {
    const ask = make(() => Promise.reject(new Error('bad')))
    expect(await settled([ask(1)])).to.deep.equal(['bad'])
    expect(calls).to.deep.equal([[1]])
  })

  it('goes on after a failure', async () => {
    let down = true
    const ask = make((keys) => (down ? Promise.reject(new Outage('down')) : named(keys)))
    await settled([ask(1)])
    down = false
    expect(await ask(1)).to.equal('result 1')
  })
})

import { expect } from 'chai'
import { describe, it } from 'mocha'
import { createLogger } from '../../src/platform/logger.ts'
import { StopList } from '../../src/platform/lifecycle.ts'

describe('StopList', () => {
  const make = () => {
    const stopped: string[] = []
    const list = new StopList(createLogger('test', 'silent'))
    const add = (name: string, stop: () => Promise<unknown> = async () => undefined) =>
      list.add(name, async () => {
        await stop()
        stopped.push(name)
      })
    return { list, add, stopped }
  }

  it('stops what was started last first, one after the other', async () => {
    const { list, add, stopped } = make()
    let running = 0
    for (const name of ['stores', 'publishers', 'consumers'])
      add(name, async () => {
        expect(++running, 'parts that stop at the same time').to.equal(1)
        await new Promise(setImmediate)
        running--
      })
    await list.stop()
    expect(stopped).to.deep.equal(['consumers', 'publishers', 'stores'])
  })

  for (const [how, stop] of [
    ['rejects', () => Promise.reject(new Error('no'))],
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
  ] as const)
    it(`goes on when a part ${how}`, async () => {
      const { list, add, stopped } = make()
      add('first')
      list.add('broken', stop)
      add('last')
      await list.stop()
      expect(stopped).to.deep.equal(['last', 'first'])
    })

  it('stops every part once, however often it is asked, and each asker waits for the end', async () => {
    const { list, add, stopped } = make()
    add('only', () => new Promise(setImmediate))
    await Promise.all([list.stop(), list.stop()])
    expect(stopped).to.deep.equal(['only'])
    await list.stop()
    expect(stopped).to.deep.equal(['only'])
  })
})

import type { IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { fairTurns } from '../../src/platform/fair-turns.ts'
import { InFlight } from '../../src/platform/in-flight.ts'
import { until } from '../support/wait.ts'

const response = {} as ServerResponse
const requests = (count: number) =>
  Array.from({ length: count }, (_, id) => ({ id }) as unknown as IncomingMessage)

describe('turns of requests', () => {
  it('are taken in order, a few in each turn of the event loop', async () => {
    const begun: IncomingMessage[] = []
    const listener = fairTurns(async (request) => void begun.push(request), { inFlight: new InFlight(100) })
    const all = requests(20)
    for (const request of all) listener(request, response)
    expect(begun).to.deep.equal([])
    await turn()
    expect(begun.length).to.equal(8)
    await until('the others to begin', () => begun.length === all.length)
    expect(begun).to.deep.equal(all)
  })

  it('have fewer requests when requests are long', async () => {
    const begun: IncomingMessage[] = []
    const listener = fairTurns(
      async (request) => {
        begun.push(request)
        const end = performance.now() + 1
        while (performance.now() < end); // work that lets nobody else have a turn
      },
      { inFlight: new InFlight(100) },
    )
    for (const request of requests(20)) listener(request, response)
    const seen = []
    while (begun.length < 20) {
      await turn()
      seen.push(begun.length)
    }
    expect(seen).to.deep.equal([8, 12, 16, 20])
  })

  it('have more requests when requests are short, up to a bound', async () => {
    const begun: IncomingMessage[] = []
    const listener = fairTurns(async (request) => void begun.push(request), {
      inFlight: new InFlight(1_000_000),
    })
    const turns: number[] = []
    const crowd = async () => {
      const all = requests(1_000)
      for (const request of all) listener(request, response)
      while (begun.at(-1) !== all.at(-1)) {
        const before = begun.length
        await turn()
        turns.push(begun.length - before)
      }
    }
    await until('a turn of many', async () => {
      await crowd()
      return Math.max(...turns) >= 64
    })
    expect(Math.max(...turns)).to.equal(64)
  })

  it('are counted while they wait and while they are worked on, and those above the limit begin at once', async () => {
    const inFlight = new InFlight(3)
    const open: (() => void)[] = []
    const begun: IncomingMessage[] = []
    const listener = fairTurns(
      (request) => {
        begun.push(request)
        return new Promise((resolve) => void open.push(resolve))
      },
      { inFlight },
    )
    const [a, b, c, d, e] = requests(5) as [
      IncomingMessage,
      IncomingMessage,
      IncomingMessage,
      IncomingMessage,
      IncomingMessage,
    ]
    for (const request of [a, b, c, d]) listener(request, response)
    expect(begun).to.deep.equal([d])
    expect([a, b, c, d].map((request) => inFlight.isExcess(request))).to.deep.equal([
      false,
      false,
      false,
      true,
    ])
    expect(inFlight.count).to.equal(3)
    await until('the others to begin', () => begun.length === 4)
    expect(inFlight.count).to.equal(3)
    open[1]?.()
    await until('one to leave', () => inFlight.count === 2)
    listener(e, response)
    expect(inFlight.isExcess(e)).to.equal(false)
  })

  it('are begun in greater numbers where many are refused', async () => {
    let begun = 0
    const door = { answerKnown: () => false, isOfCrowd: () => false, refuse: () => true }
    const listener = fairTurns(async () => void begun++, { inFlight: new InFlight(100), door })
    for (const request of requests(140)) listener(request, response)
    await turn()
    expect(begun).to.equal(8 + 40 / 4)
  })

  it('of a crowd get half of the places, and are refused at the door, if it does not let them past', async () => {
    const inFlight = new InFlight(10)
    const refused: IncomingMessage[] = []
    const handled: IncomingMessage[] = []
    const [past] = requests(1) as [IncomingMessage]
    const listener = fairTurns(
      (request) => {
        handled.push(request)
        return new Promise(() => undefined)
      },
      {
        inFlight,
        door: {
          answerKnown: () => false,
          isOfCrowd: (request) => (request as unknown as { crowd?: true }).crowd === true,
          refuse: (request) => request !== past && refused.push(request) > 0,
        },
      },
    )
    const crowd = requests(8).map((request) => Object.assign(request, { crowd: true }))
    const others = requests(6)
    for (const request of [...crowd, ...others, past]) listener(request, response)
    expect(refused).to.deep.equal([...crowd.slice(5), ...others.slice(5)])
    expect(handled).to.deep.equal([past])
    await until('the others to begin', () => handled.length === 11)
    expect(handled.slice(1)).to.deep.equal([...crowd.slice(0, 5), ...others.slice(0, 5)])
    for (const request of [...crowd, ...others]) inFlight.leave(request)
    expect(inFlight.count).to.equal(0)
    expect(inFlight.enter({}, true)).to.equal('counted')
  })

  it('of a crowd stay of it when their client was waited for', async () => {
    const inFlight = new InFlight(2)
    const [slow, quick] = [{}, {}]
    inFlight.enter(slow, true)
    await inFlight.aside(slow, async () => void inFlight.enter(quick, true))
    expect([inFlight.isExcess(slow), inFlight.isExcess(quick)]).to.deep.equal([true, false])
  })

  it('are not counted while they wait for their clients, and may be too many afterwards', async () => {
    const inFlight = new InFlight(1)
    const [slow, quick] = [{}, {}]
    inFlight.enter(slow)
    await inFlight.aside(slow, async () => {
      expect(inFlight.count).to.equal(0)
      expect(inFlight.enter(quick)).to.equal('counted')
    })
    expect(inFlight.count).to.equal(1)
    expect([slow, quick].map((request) => inFlight.isExcess(request))).to.deep.equal([true, false])
    for (const request of [slow, quick, quick]) inFlight.leave(request)
    expect(inFlight.count).to.equal(0)
  })

  it('give nothing back that they do not have: excess ones, and those whose client has gone', async () => {
    const inFlight = new InFlight(1)
    const [first, excess] = [{}, {}]
    inFlight.enter(first)
    inFlight.enter(excess)
    await inFlight.aside(excess, async () => expect(inFlight.count).to.equal(1))
    inFlight.leave(excess)
    expect(inFlight.count).to.equal(1)
    const gone = inFlight.aside(first, () => Promise.reject(new Error('gone')))
    expect(inFlight.count).to.equal(0)
    await gone.catch(() => undefined)
    inFlight.leave(first)
    expect(inFlight.count).to.equal(0)
  })
})

import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { createLogger } from '../../src/platform/logger.ts'
import {
  activeIds,
  activeTraceparent,
  inTrace,
  isTracing,
  requestSpan,
  span,
  spanInEach,
} from '../../src/platform/telemetry/trace.ts'
import { traceIdOf } from '../../src/platform/telemetry/traceparent.ts'
import { startTracing } from '../../src/platform/telemetry/tracing.ts'
import { byTrace, linksOf, openCollector, type Collector } from '../support/collector.ts'
import { until } from '../support/wait.ts'

const REQUEST = { name: 'GET', attributes: {} }

describe('tracing', () => {
  let collector: Collector
  let lines: Record<string, unknown>[]
  const log = createLogger('test', 'info', { write: (line) => void lines.push(JSON.parse(line)) })
  const start = (tracesUrl = `${collector.url}/v1/traces`, sampleRatio = 1) =>
    startTracing({ tracing: { tracesUrl, sampleRatio } }, 'test', log)

  beforeEach(async () => {
    lines = []
    collector = await openCollector()
  })
  afterEach(() => collector.close())

  it('costs nothing but the work while it is off', async () => {
    expect(isTracing()).to.equal(false)
    expect(await span('a', {}, () => Promise.resolve(activeTraceparent()))).to.equal(undefined)
    expect(await spanInEach('a', {}, ['x'], (given) => Promise.resolve(given))).to.deep.equal([])
    await requestSpan(undefined, REQUEST, async (made) => void expect(made).to.equal(undefined))
  })

  it('makes spans in a trace only, each under the one that is open', async () => {
    const tracing = await start()
    await span('of nobody', {}, () => Promise.resolve())
    await requestSpan(undefined, REQUEST, () => span('a', {}, () => span('b', {}, () => Promise.resolve())))
    await tracing.stop()
    expect(linksOf(collector.spans())).to.deep.equal(['GET <- nothing', 'a <- GET', 'b <- a'])
    expect(isTracing()).to.equal(false)
  })

  it('keeps those who are served together apart', async () => {
    const tracing = await start()
    const askers: string[] = []
    const ask = () =>
      requestSpan(undefined, REQUEST, () => Promise.resolve(void askers.push(activeTraceparent() ?? '')))
    await Promise.all([ask(), ask()])
    const together = () =>
      spanInEach(
        'batch',
        { outcome: (words: string[], i) => words[i] ?? '' },
        [...askers, undefined],
        async (own) => {
          await span('of nobody', {}, () => Promise.resolve())
          await inTrace(own[1], () => span('second', {}, () => Promise.resolve()))
          return ['one', 'two', 'three']
        },
      )
    await requestSpan(undefined, REQUEST, async () => void (await together()))
    await tracing.stop()
    const traces = byTrace(collector.spans())
    const [first = [], second = []] = askers.map((asker) => traces.get(traceIdOf(asker) ?? ''))
    expect(linksOf(first)).to.deep.equal(['GET <- nothing', 'batch <- GET'])
    expect(linksOf(second)).to.deep.equal(['GET <- nothing', 'batch <- GET', 'second <- batch'])
    expect(first.find(({ name }) => name === 'batch')?.attributes).to.deep.equal({
      'spike.batch_size': 3,
      'spike.outcome': 'one',
    })
    expect(collector.spans().map(({ name }) => name)).to.not.include('of nobody')
  })

  it('has no share in what goes on behind the end of a request', async () => {
    const tracing = await start()
    let late: Promise<unknown> = Promise.resolve()
    await requestSpan(undefined, REQUEST, async () => {
      late = sleep(20).then(() => span('late', {}, () => Promise.resolve(activeIds())))
    })
    expect(await late).to.deep.equal({})
    await tracing.stop()
    expect(linksOf(collector.spans())).to.deep.equal(['GET <- nothing'])
  })

  it('tells the kind of an error, not what it says', async () => {
    const tracing = await start()
    const failing = () => Promise.reject(new TypeError('no such buyer: mallory@spike.test'))
    await requestSpan(undefined, REQUEST, () => span('a', {}, failing)).catch(() => undefined)
    await tracing.stop()
    expect(collector.spans().map(({ attributes }) => attributes['error.type'])).to.deep.equal([
      'TypeError',
      'TypeError',
    ])
    expect(collector.raw()).to.not.include('mallory')
  })

  it('samples the part that it was told to', async () => {
    const tracing = await start(undefined, 0.5)
    for (let i = 0; i < 400; i++) await requestSpan(undefined, REQUEST, () => Promise.resolve())
    await tracing.stop()
    expect(collector.spans().length).to.be.within(120, 280) // eight standard deviations
  })

  it('complains once of a collector that refuses, and goes on', async () => {
    const tracing = await start(`${collector.url}/somewhere-else`)
    const complaints = () => lines.filter(({ dropped }) => dropped !== undefined)
    const manyRequests = async () => {
      for (let i = 0; i < 600; i++) await requestSpan(undefined, REQUEST, () => Promise.resolve())
    }
    await manyRequests()
    const [complaint] = await until('a complaint', () => complaints().length > 0 && complaints())
    expect(complaint).to.include({ dropped: 512, level: 40 })
    await manyRequests()
    await tracing.stop()
    expect(complaints().length).to.equal(1)
  })

  it('does not keep a process that stops waiting for a collector that is gone', async () => {
    const { url } = collector
    await collector.close()
    const tracing = await start(`${url}/v1/traces`)
    await requestSpan(undefined, REQUEST, () => Promise.resolve())
    const began = performance.now()
    await tracing.stop()
    expect(performance.now() - began).to.be.below(2_500)
    expect(lines.map(({ msg }) => msg)).to.include('the last spans were not sent')
  })

  it('lasts until the last role of the process has stopped', async () => {
    const [first, second] = await Promise.all([start(), start()])
    await first.stop()
    await first.stop()
    expect(isTracing()).to.equal(true)
    await second.stop()
    expect(isTracing()).to.equal(false)
  })

  it('is named by the log lines of an open span', async () => {
    const tracing = await start()
    await requestSpan(undefined, REQUEST, async () => log.info('inside'))
    log.info('outside')
    await tracing.stop()
    const [made] = collector.spans()
    const line = (msg: string) => lines.find((one) => one.msg === msg)
    expect(line('inside')).to.include({ trace_id: made?.traceId, span_id: made?.spanId })
    expect(line('outside')).to.not.have.any.keys('trace_id', 'span_id')
  })
})

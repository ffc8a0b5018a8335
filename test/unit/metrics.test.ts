import { expect } from 'chai'
import { describe, it } from 'mocha'
import { Registry } from 'prom-client'
import { countPublishes, showGauge } from '../../src/platform/metrics.ts'

describe('showGauge', () => {
  const samples = async (registry: Registry) =>
    (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))

  it('shows what is read at the moment of the scrape, and forgets what is not there any more', async () => {
    const registry = new Registry()
    let values: [Record<string, string>, number | null][] = [
      [{ step: 'a' }, 1],
      [{ step: 'b' }, 0],
    ]
    showGauge(registry, 'jobs', 'Jobs.', { labels: ['step'], read: async () => values })
    expect(await samples(registry)).to.deep.equal(['jobs{step="a"} 1', 'jobs{step="b"} 0'])
    values = [[{ step: 'b' }, 5]]
    expect(await samples(registry)).to.deep.equal(['jobs{step="b"} 5'])
    values = [[{ step: 'b' }, null]]
    expect(await samples(registry)).to.deep.equal([])
  })

  it('shows no zero for what is not known', async () => {
    const registry = new Registry()
    let value: number | null = null
    showGauge(registry, 'age', 'Age.', { read: () => [[{}, value]] })
    expect(await samples(registry)).to.deep.equal([])
    value = 0
    expect(await samples(registry)).to.deep.equal(['age 0'])
    value = null
    expect(await samples(registry)).to.deep.equal([])
  })
})

describe('countPublishes', () => {
  it('names a message without a routing key after where it goes', async () => {
    const registry = new Registry()
    const count = countPublishes(registry)
    count({ routingKey: '', messageId: 'x', body: Buffer.of() }, 'confirmed')
    count({ routingKey: 'order.created', messageId: 'x', body: Buffer.of() }, 'unknown')
    const text = await registry.metrics()
    expect(text).to.include('{message="dead-letter",outcome="confirmed"} 1')
    expect(text).to.include('{message="order.created",outcome="unknown"} 1')
  })
})

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { afterEach, describe, it } from 'mocha'
import {
  armFailpoints,
  failpoint,
  FailpointError,
  FAILPOINTS,
  parseFailpoints,
  withFailpoint,
} from '../../src/platform/failpoints.ts'
import { until } from '../support/wait.ts'

const arm = (text: string, seed = 1) => armFailpoints(parseFailpoints(text), seed)
const errorOf = (promise: Promise<unknown> | undefined) => promise?.catch((error: unknown) => error)

describe('parseFailpoints', () => {
  it('reads the place, the failure, how often and how long', () => {
    expect(
      parseFailpoints('reserve.after=kill/40, outbox.after-publish=hang:20/3,rebuild.staged=stop'),
    ).to.deep.equal([
      { name: 'reserve.after', failure: 'kill', oneIn: 40, ms: 1_000 },
      { name: 'outbox.after-publish', failure: 'hang', oneIn: 3, ms: 20 },
      { name: 'rebuild.staged', failure: 'stop', oneIn: 1, ms: 1_000 },
    ])
  })

  for (const text of [
    '',
    'reserve.after',
    'reserve.after=explode',
    'nowhere=kill',
    'reserve.after=kill/0',
    'reserve.after=kill/-1',
    'reserve.after=kill:5',
    'reserve.after=hang:',
    'reserve.after=kill,',
  ])
    it(`refuses "${text}"`, () => {
      expect(() => parseFailpoints(text)).to.throw('is not a fail point such as reserve.after=kill/40')
    })

  it('refuses one place twice, of which only one could be armed', () => {
    expect(() => parseFailpoints('reserve.after=kill,reserve.after=throw')).to.throw('twice')
  })
})

describe('a fail point', () => {
  afterEach(() => armFailpoints([], 0))

  /** Does something with the place behind it. @returns how often it was done, and what came of it */
  const doWith = async (result = 'done') => {
    let times = 0
    const outcome = await errorOf(withFailpoint('reserve.after', async () => `${result} ${++times}`))
    return { times, outcome }
  }

  it('does nothing when it is off, not even pause', async () => {
    for (const name of FAILPOINTS) expect(failpoint(name)).to.equal(undefined)
    const effect = Promise.resolve()
    expect(withFailpoint('reserve.after', () => effect)).to.equal(effect)
  })

  it('leaves the other places alone', async () => {
    arm('reserve.before=throw')
    expect(await failpoint('reserve.after')).to.equal(undefined)
    expect(await doWith()).to.deep.equal({ times: 1, outcome: 'done 1' })
  })

  it('throws', async () => {
    arm('reserve.after=throw')
    expect(await errorOf(failpoint('reserve.after'))).to.be.an.instanceOf(FailpointError)
    const { times, outcome } = await doWith()
    expect([times, (outcome as Error).message]).to.deep.equal([1, 'fail point reserve.after'])
  })

  it('pauses, then goes on', async () => {
    arm('reserve.after=hang:30')
    const began = performance.now()
    expect(await doWith()).to.deep.equal({ times: 1, outcome: 'done 1' })
    expect(performance.now() - began).to.be.at.least(29)
  })

  it('does the effect twice, and goes on with what the second time came to', async () => {
    arm('reserve.after=duplicate')
    expect(await doWith()).to.deep.equal({ times: 2, outcome: 'done 2' })
    expect(await failpoint('reserve.after'), 'where there is no effect to repeat').to.equal(undefined)
  })

  it('does not hide the effect’s own failure', async () => {
    arm('reserve.after=duplicate')
    const own = new Error('its own')
    expect(await errorOf(withFailpoint('reserve.after', () => Promise.reject(own)))).to.equal(own)
  })

  describe('that strikes now and then', () => {
    const PASSES = 400
    const strikes = async (name: 'reserve.after' | 'reserve.before') =>
      (await errorOf(failpoint(name))) instanceof FailpointError
    const choices = async (seed: number) => {
      arm('reserve.after=throw/4', seed)
      return Promise.all(Array.from({ length: PASSES }, () => strikes('reserve.after')))
    }

    it('strikes about as often as it was told', async () => {
      const count = (await choices(1)).filter(Boolean).length
      expect(count).to.be.within(PASSES / 4 - 35, PASSES / 4 + 35)
    })

    it('repeats its choices with the same seed, and makes others with another', async () => {
      const first = await choices(1)
      expect(await choices(1)).to.deep.equal(first)
      expect(await choices(2)).not.to.deep.equal(first)
    })

    it('chooses the same whatever happens at other places, and not the same as they', async () => {
      const alone = await choices(1)
      arm('reserve.before=throw/4,reserve.after=throw/4', 1)
      const both: boolean[] = []
      const others: boolean[] = []
      for (let i = 0; i < PASSES; i++) {
        others.push(await strikes('reserve.before'))
        both.push(await strikes('reserve.after'))
      }
      expect(both).to.deep.equal(alone)
      expect(others).not.to.deep.equal(alone)
    })
  })

  describe('in a process of its own', () => {
    /** A process that passes an armed place and then says so. */
    const pass = (failure: 'kill' | 'stop') =>
      spawn(
        process.execPath,
        [
          '--import',
          'tsx',
          '--input-type=module',
          '-e',
          `import { armFailpoints, failpoint, parseFailpoints } from './src/platform/failpoints.ts'
           armFailpoints(parseFailpoints('reserve.after=${failure}'), 1)
           await failpoint('reserve.after')
           process.stdout.write('passed')`,
        ],
        { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
      )

    const stateOf = ({ pid }: ChildProcess) =>
      execFileSync('ps', ['-o', 'stat=', '-p', String(pid)])
        .toString()
        .trim()

    it('kills it on the spot, after telling who started it', async () => {
      const child = pass('kill')
      let said = ''
      child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const told = once(child, 'message')
      const [, signal] = await once(child, 'close')
      expect([said, signal]).to.deep.equal(['', 'SIGKILL'])
      expect(await told).to.deep.include({ failpoint: 'reserve.after' })
    })

    it('stops it until it is continued', async () => {
      const child = pass('stop')
      const passed = once(child.stdout as NodeJS.ReadableStream, 'data')
      await until('it to be stopped', () => stateOf(child).startsWith('T'))
      child.kill('SIGCONT')
      expect(String(await passed)).to.equal('passed')
      await once(child, 'close')
    })
  })
})

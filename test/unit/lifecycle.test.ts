import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { describe, it } from 'mocha'

const SECRET = 'x'.repeat(32)
const ENV = {
  PATH: process.env.PATH,
  DATABASE_URL: 'postgres://spike:pw@db:5432/sale',
  REDIS_URL: 'redis://stock:6379',
  AMQP_URL: 'amqp://spike:pw@broker:5672',
  JWT_SECRET: SECRET,
  PAYMENT_SECRET: SECRET,
}

/** Runs a process whose start ends with these statements. @returns its exit code and the lines of its log */
async function run(statements: string): Promise<{ code: number; lines: { level: number; msg: string }[] }> {
  const script = `
    import { EventEmitter } from 'node:events'
    import { runProcess } from './src/platform/lifecycle.ts'
    const start = async () => { setInterval(() => undefined, 1_000); ${statements} }
    await runProcess('test', async () => ({ start, stop: async () => undefined }))`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    env: ENV,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const [code] = await once(child, 'close')
  const lines = text.split('\n').filter((line) => line !== '')
  return { code, lines: lines.map((line) => JSON.parse(line)) }
}

describe('a process that something surprises', () => {
  for (const [what, event, statements] of [
    [
      'a rejection that nobody handles',
      'unhandledRejection',
      `for (const n of [1, 2]) void Promise.reject(new Error('surprise ' + n))`,
    ],
    ['an exception in a timer', 'uncaughtException', `setTimeout(() => { throw new Error('surprise 1') })`],
    [
      'an error of an emitter that nobody listens to',
      'uncaughtException',
      `setTimeout(() => new EventEmitter().emit('error', new Error('surprise 1')))`,
    ],
  ] as const)
    it(`ends with 1 and one line of log after ${what}`, async () => {
      const { code, lines } = await run(statements)
      expect(code).to.equal(1)
      expect(lines).to.have.length(1)
      expect(lines[0]).to.deep.include({ level: 60, msg: event })
      expect(lines[0]).to.have.nested.property('err.message', 'surprise 1')
    })

  it('ends when it is asked to although its start never does', async () => {
    const { code, lines } = await run(
      `process.kill(process.pid, 'SIGTERM'); await new Promise(() => undefined)`,
    )
    expect(code).to.equal(0)
    expect(lines.map(({ msg }) => msg)).to.deep.equal(['stopped before it was started'])
  })

  it('stops in order when it is asked to, and exits with 0', async () => {
    const { code, lines } = await run(`process.kill(process.pid, 'SIGTERM')`)
    expect(code).to.equal(0)
    expect(lines.map(({ msg }) => msg)).to.deep.equal(['stopping', 'stopped'])
  })
})

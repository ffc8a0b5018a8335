/**
 * `npm run overload`: the product under several times as many buyers as it can take, and what comes after.
 *
 *   --seconds N      of the overload (default 60)     --factor N   offered : accepted at most (5)
 *   --connections N  of the crowd (2000)              --json FILE  writes all figures
 *   --proxy          the crowd comes through HAProxy, as proxy/haproxy.cfg sets it up
 *   --bare           the limit: bare Koa with a purchase's duties in the place of the API, and nobody asks for reservations
 *
 * A goal that is missed is said and changes nothing else: this is no test. Exits 1 when nothing could be measured.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { loadEnvFile } from '../../src/platform/config.ts'
import { dropTemplate } from '../../test/support/database.ts'
import { runCommand } from '../../tools/lib/command.ts'
import { build, provideEnvironment } from '../../tools/lib/set-up.ts'
import { describeMachine, machineLine } from '../lib/machine.ts'
import { whole } from '../lib/options.ts'
import { runCourse } from './course.ts'
import { backlogGoneAfterS, goalsOf, goalsTable, phasesTable, secondsTable, seenOf } from './report.ts'

const say = (line: string) => process.stderr.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  const { json, ...options } = readOptions()
  loadEnvFile()
  const [{ env, services }] = await Promise.all([provideEnvironment(say, signal), build()])
  cleanup.add(() => services.stop())
  cleanup.add(() => dropTemplate(env.DATABASE_URL ?? ''))
  const machine = await describeMachine(env)
  say(machineLine(machine))
  const world = {
    env,
    seconds: options.seconds,
    big: false,
    say,
    cleanup: (task: () => unknown) => cleanup.add(task),
  }
  const course = await runCourse(world, options)
  const seen = seenOf(course)
  const goals = goalsOf(course, seen)
  const gone = backlogGoneAfterS(course, seen)
  const lines = [
    machineLine(machine),
    secondsTable(course),
    phasesTable(seen),
    `backlog as at rest ${gone === undefined ? 'never' : `${gone.toFixed(1)} s`} after the overload; ` +
      `${course.flood.told.length} told, ${course.orders} ordered; ${course.flood.broken} connections broke`,
    course.invariants.map(({ name, ok, numbers }) => `${ok ? 'ok ' : 'NOT'} ${name}: ${numbers}`).join('\n'),
    goalsTable(goals),
  ]
  process.stdout.write(`\n${lines.join('\n\n')}\n`)
  if (json !== undefined) {
    const { capacity, phases, looks, orders, invariants } = course
    const figures = { machine, options, capacity, phases, seen, goals, looks, orders, invariants }
    writeFileSync(json, `${JSON.stringify(figures, null, 2)}\n`)
  }
  return course.invariants.every(({ ok }) => ok) ? 0 : 1
})

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      factor: { type: 'string', default: '5' },
      connections: { type: 'string', default: '2000' },
      proxy: { type: 'boolean', default: false },
      bare: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  })
  return {
    seconds: whole('seconds', values.seconds),
    factor: whole('factor', values.factor),
    connections: whole('connections', values.connections),
    proxy: values.proxy,
    bare: values.bare,
    json: values.json,
  }
}

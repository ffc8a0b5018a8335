/**
 * `npm run bench`: speed as ratios, each measured against its reference in the same run, turn by turn.
 *
 *   --only P1,P3   these ratios only         --rounds N    of each ratio (default 5)
 *   --seconds N    of each measurement (5)   --big         the sizes of the goals, which take long
 *   --json FILE    writes all rounds         --svg FILE    writes the chart
 *
 * A goal that is missed is said and changes nothing else: this is no test. Exits 1 when a ratio could not be measured.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { loadEnvFile } from '../src/platform/config.ts'
import { dropTemplate } from '../test/support/database.ts'
import { Cleanup, runCommand } from '../tools/lib/command.ts'
import { build, provideEnvironment } from '../tools/lib/set-up.ts'
import { drawChart } from './lib/chart.ts'
import { describeMachine, machineLine } from './lib/machine.ts'
import { whole } from './lib/options.ts'
import { figure, summarise, type Measured, type Round } from './lib/summary.ts'
import { tableOf } from './lib/table.ts'
import type { BenchWorld, Ratio } from './ratio.ts'
import { RATIOS } from './ratios/index.ts'

/** Rounds, and seconds of each. */
const MOST = 1_000

const say = (line: string) => process.stderr.write(`${line}\n`)

interface Options {
  ratios: readonly Ratio[]
  rounds: number
  seconds: number
  big: boolean
  json: string | undefined
  svg: string | undefined
}

await runCommand(async (cleanup, signal) => {
  const options = readOptions()
  loadEnvFile()
  const [{ env, services }] = await Promise.all([provideEnvironment(say, signal), build()])
  cleanup.add(() => services.stop())
  cleanup.add(() => dropTemplate(env.DATABASE_URL ?? ''))
  const machine = await describeMachine(env)
  say(machineLine(machine))
  const measured: Measured[] = []
  const failed: string[] = []
  for (const ratio of options.ratios) {
    const own = new Cleanup()
    cleanup.add(() => own.run()) // for an end in the middle
    try {
      measured.push(await measure(ratio, worldOf(env, own, options), options.rounds))
    } catch (error) {
      failed.push(`${ratio.id} was not measured: ${(error as Error).stack ?? String(error)}`)
    }
    await own.run()
  }
  process.stdout.write(`\n${machineLine(machine)}\n\n${tableOf(measured)}\n`)
  for (const line of failed) say(line)
  const { rounds, seconds, big } = options
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ machine, rounds, seconds, big, measured }, null, 2)}\n`)
  if (options.svg !== undefined) writeFileSync(options.svg, drawChart(measured, machineLine(machine)))
  return failed.length === 0 ? 0 : 1
})

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      big: { type: 'boolean', default: false },
      json: { type: 'string' },
      svg: { type: 'string' },
    },
  })
  const only = values.only?.split(',')
  const unknown = only?.filter((id) => !RATIOS.some((ratio) => ratio.id === id)) ?? []
  if (unknown.length > 0) throw new Error(`--only does not know ${unknown.join(', ')}`)
  return {
    ratios: RATIOS.filter(({ id }) => only?.includes(id) ?? true),
    rounds: whole('rounds', values.rounds, MOST),
    seconds: whole('seconds', values.seconds, MOST),
    big: values.big,
    json: values.json,
    svg: values.svg,
  }
}

function worldOf(env: NodeJS.ProcessEnv, own: Cleanup, { seconds, big }: Options): BenchWorld {
  return { env, seconds, big, say, cleanup: (task) => own.add(task) }
}

/** Subject and reference turn by turn, so that a machine that slows down slows both. */
async function measure(ratio: Ratio, world: BenchWorld, count: number): Promise<Measured> {
  say(`\n${ratio.id}: ${ratio.what}`)
  const open = await ratio.open(world)
  const rounds: Round[] = []
  while (rounds.length < count) {
    const round = { subject: await open.subject(), reference: await open.reference() }
    rounds.push(round)
    say(`${ratio.id}: round ${rounds.length}: ${lineOf(round)}`)
  }
  await open.close()
  return summarise(ratio, rounds)
}

function lineOf({ subject, reference }: Round): string {
  const extras = [subject, reference].map(({ extra = {} }) =>
    Object.entries(extra).map(([name, value]) => `${name} ${figure(value)}`),
  )
  const [of = '', against = ''] = extras.map((parts) => (parts.length === 0 ? '' : ` (${parts.join(', ')})`))
  const ratio = figure(subject.value / reference.value)
  return `${figure(subject.value)}${of} : ${figure(reference.value)}${against} = ${ratio}`
}

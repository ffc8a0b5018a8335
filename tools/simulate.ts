/**
 * `npm run simulate -- --seeds N`: plays random schedules of faults on the model of the product and checks its
 * invariants. `--seed S` begins elsewhere, `--seed S --path P` replays one failure, `--teeth` plants every bug in turn.
 */
import { parseArgs } from 'node:util'
import { MUTANT_NAMES } from '../test/simulation/model/mutants.ts'
import { simulate, type Failure } from '../test/simulation/simulation.ts'

const DEFAULT_SEEDS = 100_000
const PROGRESS_EVERY = 5_000
const say = (line: string) => process.stdout.write(`${line}\n`)

process.exitCode = main()

function main(): number {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: String(DEFAULT_SEEDS) },
      seed: { type: 'string', default: '1' },
      path: { type: 'string' },
      teeth: { type: 'boolean', default: false },
    },
  })
  const [seeds, seed] = [wholeNumber('seeds', values.seeds), wholeNumber('seed', values.seed)]
  if (seeds === undefined || seed === undefined) return 1
  return values.teeth ? showTeeth(seeds, seed) : play(seeds, seed, values.path)
}

function wholeNumber(name: string, text: string): number | undefined {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  process.stderr.write(`--${name} must be a whole number\n`)
  return undefined
}

function play(seeds: number, seed: number, path: string | undefined): number {
  const startedAt = performance.now()
  let played = 0
  const failure = simulate({
    seeds,
    seed,
    ...(path === undefined ? {} : { path }),
    onPlayed: () => {
      if (++played % PROGRESS_EVERY === 0)
        say(`${played} of ${seeds} seeds, ${rateOf(played, startedAt)} a second`)
    },
  })
  if (failure === undefined) {
    say(`simulated: ${seeds} seeds, 0 violations, seed ${seed}`)
    return 0
  }
  tell(failure)
  return 1
}

function rateOf(played: number, startedAt: number): number {
  return Math.round((played * 1_000) / (performance.now() - startedAt))
}

function tell({ story, rule, seed, path }: Failure): void {
  say(`\n${story.join('\n')}\n`)
  say(`violated: ${rule}`)
  say(`replay: npm run simulate -- --seed ${seed} --path ${path}`)
}

/** A table of the planted bugs, as Markdown. */
function showTeeth(seeds: number, seed: number): number {
  say('| planted bug | seeds until it was caught | broken invariant |\n|---|---|---|')
  let missed = 0
  for (const planted of MUTANT_NAMES) {
    const failure = simulate({ seeds, seed, planted, shrink: false })
    if (failure === undefined) missed++
    say(`| ${planted} | ${failure?.played ?? 'not caught'} | ${failure?.rule ?? ''} |`)
  }
  say(`planted: ${MUTANT_NAMES.length}, caught: ${MUTANT_NAMES.length - missed}, seed ${seed}`)
  return missed === 0 ? 0 : 1
}

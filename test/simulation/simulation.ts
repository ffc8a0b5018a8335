/** Plays random schedules on the model and judges every one; a failure names its seed and its path. */
import { check, property } from 'fast-check'
import { Checker, checkRest } from './checker.ts'
import type { Mutant } from './model/mutants.ts'
import { Violation } from './model/violation.ts'
import { PAYMENT_WINDOW, World } from './model/world.ts'
import { planOf, Player, type Plan } from './schedule.ts'

const LENGTHS = [1, 60] as const

export interface SimulationOptions {
  seeds: number
  seed: number
  /** Replays one failure. */
  path?: string
  planted?: Mutant
  /** A failure is made small, which takes a while. */
  shrink?: boolean
  onPlayed?: () => void
}

export interface Failure {
  rule: string
  seed: number
  path: string
  /** Schedules that were played until then, this one included. */
  played: number
  /** What happened, one line an effect. */
  story: string[]
}

/** @returns undefined when every schedule kept every invariant */
export function simulate(options: SimulationOptions): Failure | undefined {
  const { seeds, seed, path, planted, shrink = true, onPlayed } = options
  const everyPlan = property(planOf(LENGTHS), (plan) => {
    onPlayed?.()
    playPlan(plan, new World(plan.sale, planted))
  })
  const result = check(everyPlan, {
    numRuns: seeds,
    seed,
    endOnFailure: !shrink,
    ...(path === undefined ? {} : { path }),
  })
  if (!result.failed) return undefined
  const [plan] = result.counterexample ?? []
  if (plan === undefined || result.counterexamplePath === null)
    throw new Error('the simulation was interrupted')
  return {
    ...storyOf(plan, planted),
    seed: result.seed,
    path: result.counterexamplePath,
    played: result.numRuns,
  }
}

/** Faults first; then rest, without the parts of the net that repair, where no store has lost anything. */
function playPlan({ goOn, actions }: Plan, world: World): void {
  const checker = new Checker(world)
  world.afterEffect = () => checker.afterEffect()
  const player = new Player(world)
  for (const action of actions) player.play(action)
  if (!world.lost.redis && !world.lost.queues && !world.lost.locks) {
    comeToRest(player, goOn, false, 31)
    checkRest(world, false)
  }
  comeToRest(player, goOn, true, 61)
  checkRest(world, true)
  world.now += PAYMENT_WINDOW
  comeToRest(player, goOn, true, 61)
  checkRest(world, true)
}

function comeToRest(player: Player, goOn: boolean, repairs: boolean, seconds: number): void {
  if (!player.rest(goOn, repairs, seconds)) throw new Violation('the net comes to rest', 'it goes on and on')
}

/** Plays a schedule once more and writes down what happens. */
function storyOf(plan: Plan, planted: Mutant | undefined): Pick<Failure, 'rule' | 'story'> {
  const world = new World(plan.sale, planted)
  world.trace = [JSON.stringify(plan.sale)]
  try {
    playPlan(plan, world)
  } catch (error) {
    const rule = error instanceof Violation ? error.rule : 'the model works'
    return {
      rule,
      story: [...world.trace, error instanceof Violation ? error.message : String((error as Error).stack)],
    }
  }
  throw new Error('a failure did not come again: the model is not deterministic')
}

/**
 * `npm run growth`: what changes when sales, buyers, reservations and orders grow. Sizes of everything stand side by side
 * and are measured turn by turn, so that a machine that slows down slows all.
 *
 *   --big   1,000,000 orders of 1,000 sales instead of 100,000 of 100, beside 1,000 of 1, and 1,000 of as many sales
 *   --rounds N   of each measurement (default 9)         --json FILE   writes everything
 *
 * Needs `redis-server`, and PostgreSQL on this machine, as Linux has it: their processor time is read.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { dropTemplate } from '../../test/support/database.ts'
import { retireSales, type Size } from '../../test/support/grown-sales.ts'
import { loadEnvFile } from '../../src/platform/config.ts'
import { Cleanup, runCommand } from '../../tools/lib/command.ts'
import { build, provideEnvironment } from '../../tools/lib/set-up.ts'
import { describeMachine, machineLine } from '../lib/machine.ts'
import { costOnNewSales, purchaseCost, settled, warmUp } from '../lib/purchase-cost.ts'
import type { BenchWorld, Sample } from '../ratio.ts'
import { waitingBytes } from './memory.ts'
import { forgetOrders, openSteps, orderCosts } from './orders.ts'
import { readingCosts } from './plans.ts'
import { openSide, resetRedis, type Sides } from './side.ts'
import { bytesTable, costTable, planTable, type CostRound } from './tables.ts'

const SMALL: Size = { events: 1, reservations: 1_000 }
const QUICK: Size = { events: 100, reservations: 100_000 }
const BIG: Size = { events: 1_000, reservations: 1_000_000 }

/** A machine that is busy with other things lets a request wait for longer than the load does. */
const MAX_BAD_ROUNDS = 3

const say = (line: string) => process.stderr.write(`${line}\n`)

await runCommand(async (cleanup, signal) => {
  const { values } = parseArgs({
    options: {
      big: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '9' },
      json: { type: 'string' },
    },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be a whole number from 1')
  loadEnvFile()
  const [{ env, services }] = await Promise.all([provideEnvironment(say, signal), build()])
  cleanup.add(() => services.stop())
  cleanup.add(() => dropTemplate(env.DATABASE_URL ?? ''))
  const machine = machineLine(await describeMachine(env))
  say(machine)
  const world: BenchWorld = { env, seconds: 0, big: values.big, say, cleanup: (step) => cleanup.add(step) }
  const size = values.big ? BIG : QUICK
  const big = await openSide(world, 'big', size)
  const many = await openSide(world, 'many', { ...SMALL, events: size.events })
  const small = await openSide(world, 'small', SMALL)
  const sides = { small, many, big }
  const costs = [...(await ordersOf(world, sides, rounds)), ...(await purchasesOf(sides, rounds))]
  const waiting = await waitingBytes(world, small)
  await retireSales(big.arena.config.databaseUrl)
  const plans = { small: await readingCosts(world, small), big: await readingCosts(world, big) }
  process.stdout.write(
    [machine, costTable(costs, sides), planTable(plans, { big, small }), bytesTable(big, waiting)]
      .map((text) => `\n${text}\n`)
      .join(''),
  )
  if (values.json !== undefined)
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine, costs, plans, bytes: big.bytes, waiting }, null, 2)}\n`,
    )
  return 0
})

/** Orders made and closed. On one sale, every round has a new one. */
async function ordersOf(world: BenchWorld, sides: Sides, rounds: number): Promise<CostRound[]> {
  const own = new Cleanup()
  world.cleanup(() => own.run())
  const within = { ...world, cleanup: (step: () => unknown) => own.add(step) }
  const steps = {
    small: await openSteps(within, sides.small),
    many: await openSteps(within, sides.many),
    big: await openSteps(within, sides.big),
  }
  const onNewSale = async (side: 'small' | 'big') => {
    const { arena } = sides[side]
    const eventId = await arena.openSale(1_000_000)
    const costs = await orderCosts(steps[side], [eventId], 0)
    await forgetOrders(sides[side], [eventId])
    await arena.forgetSale(eventId)
    return costs
  }
  const onMany = async () => {
    const costs = await orderCosts(steps.many, sides.many.events, 0)
    await forgetOrders(sides.many, sides.many.events)
    await resetRedis(sides.many)
    return costs
  }
  const found: CostRound[] = []
  for (let round = -1; round < rounds; round++) {
    const [small, big] = [await onNewSale('small'), await onNewSale('big')]
    const [many, spread] = [await onMany(), await orderCosts(steps.big, sides.big.events, 50 + round)]
    if (round < 0) continue // processes get cheaper for a while
    for (const [what, of] of [
      ['order made', 'made'],
      ['order closed', 'closed'],
    ] as const)
      found.push({ what, small: small[of], many: many[of], big: big[of], spread: spread[of] })
    world.say(`orders, round ${round + 1}: ${lineOf(found.slice(-2))}`)
  }
  await own.run()
  return found
}

async function purchasesOf({ big, many, small }: Sides, rounds: number): Promise<CostRound[]> {
  for (const side of [big, many, small]) await warmUp(side)
  await settled(big.arena)
  const found: CostRound[] = []
  let tries = 0
  const onMany = async () => {
    await resetRedis(many)
    await settled(many.arena)
    await purchaseCost(many, many.events, 0) // the big side was at its events before, too
    return purchaseCost(many, many.events, 1)
  }
  const take = async () => ({
    what: 'purchase accepted',
    small: await costOnNewSales(small, SMALL),
    big: await costOnNewSales(big, SMALL),
    many: await onMany(),
    spread: await purchaseCost(big, big.events, tries),
  })
  for (; found.length <= rounds; tries++) {
    try {
      found.push(await take())
      say(`purchases, round ${found.length - 1}: ${lineOf(found.slice(-1))}`)
    } catch (error) {
      if (tries > found.length + MAX_BAD_ROUNDS) throw error
      say(`a round that does not count: ${(error as Error).message}`)
    }
  }
  return found.slice(1) // the first purchases over many events cost more than those that follow
}

function lineOf(rounds: readonly CostRound[]): string {
  const us = ({ value }: Sample) => Math.round(value)
  return rounds
    .map(
      ({ what, small, many, big, spread }) =>
        `${what} ${us(small)} : ${us(big)}, on all ${us(many)} : ${us(spread)} us`,
    )
    .join('; ')
}

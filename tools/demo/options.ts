import { parseArgs } from 'node:util'

export interface DemoOptions {
  buyers: number
  units: number
  /** Share of the buyers with an order who pay it. */
  payShare: number
  /** Makes who pays and who waits the same in every run. */
  seed: number
  /** Leaves everything running afterwards. */
  keep: boolean
}

export const DEMO_HELP = `npm run demo -- [options]
  --buyers N      distinct buyers (default 5000)
  --units N       units on sale (default 500)
  --pay-share X   share of orders that are paid, 0 to 1 (default 0.8)
  --seed N        makes who pays the same in every run (default 1)
  --keep          leave everything running until Ctrl-C`

/** @throws with one line that names the option that is wrong */
export function demoOptions(argv: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      buyers: { type: 'string', default: '5000' },
      units: { type: 'string', default: '500' },
      'pay-share': { type: 'string', default: '0.8' },
      seed: { type: 'string', default: '1' },
      keep: { type: 'boolean', default: false },
    },
  })
  const whole = (name: 'buyers' | 'units' | 'seed', min: number, max: number): number => {
    const n = Number(values[name])
    if (!Number.isInteger(n) || n < min || n > max)
      throw new Error(`--${name} must be a whole number from ${min} to ${max}`)
    return n
  }
  const payShare = Number(values['pay-share'])
  if (!(payShare >= 0 && payShare <= 1)) throw new Error('--pay-share must be a number from 0 to 1')
  return {
    buyers: whole('buyers', 1, 200_000),
    units: whole('units', 1, 1_000_000),
    payShare,
    seed: whole('seed', 0, 2 ** 31),
    keep: values.keep,
  }
}

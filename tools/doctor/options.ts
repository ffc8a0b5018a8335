import { parseArgs } from 'node:util'

export const DOCTOR_HELP = `npm run -s doctor -- [options]
  --json    one JSON document and nothing else: {"ok", "checks": [{"what", "ok", "detail", "mend"?, "untold"?}]}`

/** @throws with one line that names the option that is wrong */
export function doctorOptions(argv: readonly string[]): { json: boolean; help: boolean } {
  const { values } = parseArgs({
    args: [...argv],
    options: { json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  })
  return values
}

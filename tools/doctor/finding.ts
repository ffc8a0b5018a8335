import { reasonOf } from '../../src/platform/service-error.ts'

/** One line of the report. */
export interface Finding {
  what: string
  ok: boolean
  detail: string
  /** The command or setting that puts it right; every bad line has one. */
  mend?: string
  /** Set when it can't be told from here: then `ok` says nothing. */
  untold?: true
}

/** Mends whatever the workers make when they start. */
export const START_WORKERS = 'npm run build && npm run workers'

/** @param mend the command that puts it right when it is not ok */
export function finding(what: string, ok: boolean, detail: string, mend: string): Finding {
  return ok ? { what, ok, detail } : { what, ok, detail, mend }
}

/** What nobody can tell from here is neither good nor bad; it is said all the same. */
export function untold(what: string, why: string): Finding {
  return { what, ok: true, detail: `not told: ${why}`, untold: true }
}

export function unusable(what: string, error: unknown, mend: string): Finding {
  return finding(what, false, reasonOf(error), mend)
}

/** Asks something that a server may refuse to tell this user; a refusal is no fault. */
export async function ifTold(what: string, ask: () => Promise<Finding>): Promise<Finding> {
  try {
    return await ask()
  } catch (error) {
    return untold(what, reasonOf(error))
  }
}

/** Processes of the product: sequences of atomic effects, which a schedule interleaves, fails and cuts short. */

/**
 * What becomes of one effect. `failed`: it does not happen, and the process is told so; `unanswered`: it happens, and
 * the process is told that it failed; `repeated`: it happens twice, because a client sent it again by itself.
 */
export type Fate = 'done' | 'failed' | 'unanswered' | 'repeated'

/** Names its next effect, and is told the fate of it. */
export type Work = Steps<void>
export type Steps<T> = Generator<string, T, Fate>

/** A store that does not answer. */
export class StoreDown extends Error {}

/** One atomic effect on one store. @throws StoreDown */
export function* effect<T>(name: string, act: () => T): Steps<T> {
  const fate = yield name
  if (fate === 'failed') throw new StoreDown(name)
  const result = act()
  if (fate === 'unanswered') throw new StoreDown(name)
  return fate === 'repeated' ? act() : result
}

/** Does something that may fail and is left to the net then. */
export function* leftToTheNet(work: Steps<unknown>): Work {
  try {
    yield* work
  } catch (error) {
    if (!(error instanceof StoreDown)) throw error
  }
}

/** A running process; `owner` of the locks that it has taken. */
export interface Process {
  id: number
  name: string
  work: Work
  /** What it does next. */
  next: string
}

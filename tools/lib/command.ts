/** The frame of a command that starts things: it stops them however it ends, and says failures in one line. */
import { ServicesUnavailable } from '../services/index.ts'

/** Collects what was started; stops it in the reverse order. */
export class Cleanup {
  readonly #steps: (() => unknown)[] = []
  add(step: () => unknown): void {
    this.#steps.push(step)
  }
  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).toReversed()) {
      try {
        await step()
      } catch (error) {
        process.stderr.write(`while stopping: ${(error as Error).message}\n`)
      }
    }
  }
}

/**
 * Runs a command to its exit. Ctrl-C and SIGTERM abort `signal`; the command then ends, and everything in
 * `cleanup` is stopped; a second Ctrl-C leaves at once.
 * @param main returns the exit code
 */
export async function runCommand(
  main: (cleanup: Cleanup, signal: AbortSignal) => Promise<number>,
): Promise<never> {
  const cleanup = new Cleanup()
  const abort = new AbortController()
  const onSignal = () => {
    if (abort.signal.aborted) process.exit(130)
    process.stderr.write('\nstopping; once more leaves at once ...\n')
    abort.abort(new Error('interrupted'))
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  const interrupted = new Promise<number>((resolve) =>
    abort.signal.addEventListener('abort', () => resolve(130)),
  )
  let code = 1
  try {
    code = await Promise.race([main(cleanup, abort.signal), interrupted])
  } catch (error) {
    if (abort.signal.aborted) code = 130
    else process.stderr.write(`${failureText(error)}\n`)
  }
  await cleanup.run()
  process.exit(code)
}

function failureText(error: unknown): string {
  if (error instanceof ServicesUnavailable) return error.message
  return error instanceof Error ? error.message : String(error)
}

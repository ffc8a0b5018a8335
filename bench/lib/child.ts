/** Processes of the benchmark itself: references and load generators, each apart from the driver and from its subject. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../tools/lib/set-up.ts'
import type { FloodJob, FloodResult } from '../load/flood.ts'
import type { LoadJob, LoadResult } from '../load/job.ts'
import type { ListJob } from '../load/list.ts'

const BENCH = new URL('../', import.meta.url)

export interface Reference {
  /** `http://host:port`, for those that listen. */
  url: string
  pid: number
  stop(): Promise<void>
}

/**
 * Starts a reference and waits until it says `ready`. It gets a free port as PORT, and ends by itself when this process
 * dies.
 * @param file in `bench/references`
 * @throws when it ends before it is ready
 */
export async function startReference(file: string, env: NodeJS.ProcessEnv): Promise<Reference> {
  const port = await freePort()
  const child = start(`references/${file}`, { ...env, PORT: String(port) })
  await heard(child, file)
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop: () => stop(child),
  }
}

/** Hands a job to a load generator of `bench/load` and waits for its result. @throws when it fails */
export async function runJob(
  file: 'closed.ts' | 'open.ts' | 'list.ts',
  job: LoadJob | ListJob,
): Promise<LoadResult> {
  const child = start(`load/${file}`, process.env)
  try {
    await heard(child, file) // its first word: it listens
    const result = heard(child, file)
    child.send(job)
    return (await result) as LoadResult
  } finally {
    await stop(child)
  }
}

/** Hands a job to the flood. Its process is watched too, so its id is told. @throws when it fails */
export async function runFlood(job: FloodJob, began: (pid: number) => void): Promise<FloodResult> {
  const file = 'load/flood.ts'
  const child = start(file, process.env)
  try {
    await heard(child, file)
    const result = heard(child, file)
    child.send(job)
    began(child.pid ?? 0)
    return (await result) as FloodResult
  } finally {
    await stop(child)
  }
}

function start(file: string, env: NodeJS.ProcessEnv): ChildProcess {
  return fork(fileURLToPath(new URL(file, BENCH)), {
    cwd: fileURLToPath(new URL('../', BENCH)),
    env,
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced', // columns of numbers go as they are
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    detached: true, // a Ctrl-C reaches it through us
  })
}

/** The next thing that a process says. @throws when it ends instead */
async function heard(child: ChildProcess, file: string): Promise<unknown> {
  const ended = new AbortController()
  const { signal } = ended
  try {
    const [first] = (await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`bench/${file} ended with ${String(code)}`)
      }),
    ])) as [unknown]
    return first
  } finally {
    ended.abort()
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

import { spawn, type ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const STOP_MS = 90_000

/** What the keeper needs to know to run one process. */
export interface ProcessSpec {
  command: string
  args: string[]
  env: NodeJS.ProcessEnv
  cwd: string
  /** File that takes stdout and stderr. */
  log: string
  uid?: number
  gid?: number
  /** Text for its stdin. */
  input?: string
  stopSignal?: NodeJS.Signals
  /** How long it may take to end when asked. */
  graceMs?: number
  /** Ended after all others. */
  last?: boolean
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
  /** Why it could not be started at all. */
  error?: string
}

export interface KeptProcess {
  exited: Promise<Exit>
  /** Undefined before it has begun and after it has ended. */
  pid(): number | undefined
}

/** The process that owns all others; it ends them when we stop it or when we die. */
export interface Keeper {
  pid: number
  start(spec: ProcessSpec): KeptProcess
  /** Registers a command to be run when everything has ended. */
  atEnd(command: string, args: string[], env: NodeJS.ProcessEnv): void
  /** Lets our own process end by itself although the keeper lives on (it then stops everything). */
  release(): void
  stop(): Promise<void>
}

interface Report extends Partial<Exit> {
  id: number
  pid?: number
}

type Pids = Map<number, number>
type Waiting = Map<number, (exit: Exit) => void>

/** Starts the keeper of one instance folder, which it removes at the end. */
export function startKeeper(folder: string): Keeper {
  const script = fileURLToPath(new URL('./keeper.mjs', import.meta.url))
  const keeper = spawn(process.execPath, [script, folder], {
    cwd: '/',
    detached: true,
    env: { PATH: process.env['PATH'] },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const pids: Pids = new Map()
  const waiting: Waiting = new Map()
  let nextId = 1
  const gone = new Promise<void>((resolve) =>
    keeper.once('close', () => resolve()).once('error', () => resolve()),
  )
  void gone.then(() => cleanUpAfter(keeper, folder, pids, waiting))

  createInterface({ input: keeper.stdout }).on('line', (line) => {
    note(JSON.parse(line) as Report, pids, waiting)
  })
  keeper.stdin.on('error', () => {})
  const send = (order: object): void => void keeper.stdin.write(JSON.stringify(order) + '\n')

  return {
    pid: keeper.pid ?? 0,
    start(spec) {
      const id = nextId++
      const exited = new Promise<Exit>((resolve) => waiting.set(id, resolve))
      send({ op: 'start', id, ...spec })
      return { exited, pid: () => pids.get(id) }
    },
    atEnd: (command, args, env) => send({ op: 'teardown', command, args, env }),
    release: () => setRef(keeper, false),
    async stop() {
      setRef(keeper, true)
      send({ op: 'stop' })
      const hard = setTimeout(() => keeper.kill('SIGKILL'), STOP_MS)
      await gone
      clearTimeout(hard)
    },
  }
}

function note(report: Report, pids: Pids, waiting: Waiting): void {
  if (report.pid !== undefined) {
    pids.set(report.id, report.pid)
    return
  }
  pids.delete(report.id)
  const { code = null, signal = null, error } = report
  waiting.get(report.id)?.({ code, signal, ...(error === undefined ? {} : { error }) })
  waiting.delete(report.id)
}

/** The keeper ended: nobody will report any more, and had it been killed, its children would be left behind. */
function cleanUpAfter(keeper: ChildProcess, folder: string, pids: Pids, waiting: Waiting): void {
  for (const resolve of waiting.values()) resolve({ code: null, signal: null, error: 'its keeper has ended' })
  waiting.clear()
  if (keeper.exitCode === 0) return
  for (const pid of pids.values()) {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

function setRef(keeper: ChildProcess, on: boolean): void {
  for (const handle of [keeper, keeper.stdin, keeper.stdout]) {
    const pipe = handle as { ref?: () => void; unref?: () => void } | null
    if (on) pipe?.ref?.()
    else pipe?.unref?.()
  }
}

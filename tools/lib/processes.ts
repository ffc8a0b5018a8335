/** Starting and stopping the processes of the product, the way a supervisor does. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ROLES = ['api', 'workers', 'dashboard'] as const
export type ProcessRole = (typeof ROLES)[number]

/** In the folder of a build. */
const ENTRY: Record<ProcessRole, string> = {
  api: 'src/main.js',
  workers: 'workers/main.js',
  dashboard: 'dashboard/main.js',
}

export interface StartedProcess {
  role: ProcessRole
  pid: number
  /** Exit code, or 128 when a signal ended it. */
  exited: Promise<number>
  /** Everything written to standard error so far; start failures are one line there. */
  stderr: () => string
  /** Sends SIGTERM and waits for the exit code. */
  stop: () => Promise<number>
}

/** A process that may not be ready yet, and may never be: it can end before. */
export interface LaunchedProcess extends StartedProcess {
  ready: Promise<void>
}

/**
 * Starts a process from the build and waits until it says that it is ready.
 * @param logDir where its log goes, as `<role>.log`
 * @throws with its one-line complaint when it ends before it is ready
 */
export async function startProcess(
  role: ProcessRole,
  env: NodeJS.ProcessEnv,
  logDir: string,
): Promise<StartedProcess> {
  const launched = launchProcess(role, env, { logDir })
  const { ready, exited, stderr } = launched
  await Promise.race([ready, exited.then((code) => refuse(role, code, stderr()))])
  return launched
}

interface LaunchOptions {
  logDir: string
  /** Folder of the build, in the project. */
  build?: string
  /** Of its log file, without the ending; the role by default. */
  name?: string
  /** Hears what the process says to its parent. */
  heard?: (message: unknown) => void
}

/**
 * Starts a process from the build. It runs in a group of its own, so a Ctrl-C in the terminal reaches it only through
 * `stop`, in order; it ends by itself when this process dies.
 */
export function launchProcess(
  role: ProcessRole,
  env: NodeJS.ProcessEnv,
  { logDir, build = 'dist', name = role, heard }: LaunchOptions,
): LaunchedProcess {
  mkdirSync(logDir, { recursive: true })
  const log = createWriteStream(join(logDir, `${name}.log`), { flags: 'a' })
  const child = spawn(process.execPath, ['--enable-source-maps', join(ROOT, build, ENTRY[role])], {
    cwd: ROOT,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let stderr = ''
  child.stdout?.pipe(log, { end: false })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
    log.write(chunk)
  })
  child.once('close', () => log.end())
  if (heard !== undefined) child.on('message', heard)
  const exited = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 128)))
  return {
    role,
    pid: child.pid ?? 0,
    ready: ready(child),
    exited,
    stderr: () => stderr,
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
  }
}

/** Starts all processes of the product at the same time; `cleanup` stops each of them. */
export function startProcesses(
  env: NodeJS.ProcessEnv,
  logDir: string,
  cleanup: { add(step: () => unknown): void },
): Promise<StartedProcess[]> {
  return Promise.all(
    ROLES.map(async (role) => {
      const started = await startProcess(role, env, logDir)
      cleanup.add(() => started.stop())
      return started
    }),
  )
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve) =>
    child.on('message', (message) => {
      if (message === 'ready') resolve()
    }),
  )
}

function refuse(role: string, code: number, stderr: string): never {
  throw new Error(stderr.trim() || `${role} ended with exit code ${code} before it was ready`)
}

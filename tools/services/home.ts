import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join, sep } from 'node:path'

// RabbitMQ's shell scripts do not quote their paths.
const PLAIN_PATH = /^[\w./+-]+$/

/** The folder of the instances and of the fetched packages. */
export interface Home {
  path: string
}

export interface User {
  uid: number
  gid: number
}

/** Root's services run as somebody else (PostgreSQL insists on it): postgres when it exists, else nobody. */
export function serviceUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const entries = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = entries.find((entry) => entry.startsWith(`${name}:`))?.split(':') ?? []
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  return undefined
}

/**
 * Picks the folder to work in: the project's own data folder, unless we may not write there, the user that runs the
 * services cannot reach it (a checkout under /root), or the tools can't stand its name. Then one of ours under the
 * system's temp folder.
 */
export function openHome(dataDir: string): Home {
  if (PLAIN_PATH.test(dataDir) && writable(dataDir) && reachable(dataDir)) return { path: dataDir }
  const uid = process.getuid?.() ?? 0
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 8)
  const path = join(tmpdir(), `flash-sale-${uid}-${name}`)
  mkdirSync(path, { recursive: true })
  const found = lstatSync(path)
  // Programs are run from here: a folder that somebody else made, or may write in, will not do.
  if (found.uid !== uid || (found.mode & 0o022) !== 0)
    throw new Error(`${path} is not safe to use: remove it`)
  chmodSync(path, 0o755)
  return { path }
}

/** Also what a run as another user may have left there. */
function writable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK)
    const packages = join(folder, 'packages')
    if (existsSync(packages)) accessSync(packages, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function reachable(folder: string): boolean {
  const user = serviceUser()
  return (
    user === undefined || spawnSync('test', ['-x', join(folder, '.')], { ...user, cwd: '/' }).status === 0
  )
}

/** Ends and removes what launchers left behind that died together with their keeper. */
export function removeStale(home: Home): void {
  for (const name of readdirSync(home.path)) {
    const launcher = /^run-(\d+)-/.exec(name)?.[1]
    if (launcher === undefined || alive(Number(launcher))) continue
    const folder = join(home.path, name)
    const owner = readOwner(folder)
    if (owner === undefined || owner.host !== hostname() || alive(owner.keeper)) continue
    for (const pid of processesIn(folder)) kill(pid)
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    } catch {
      // Another user's: that user's next run removes it.
    }
  }
}

function readOwner(folder: string): { host: string; keeper: number } | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8')) as { host: string; keeper: number }
  } catch {
    return undefined
  }
}

/** Processes whose working folder lies in ours: only what was started for that instance has one there. */
function processesIn(folder: string): number[] {
  return listed('/proc').filter((pid) => {
    try {
      return (readlinkSync(`/proc/${pid}/cwd`) + sep).startsWith(folder + sep)
    } catch {
      return false
    }
  })
}

function listed(proc: string): number[] {
  try {
    return readdirSync(proc).map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}

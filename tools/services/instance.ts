import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { serviceUser, type Home } from './home.ts'
import { startKeeper, type Keeper, type KeptProcess, type ProcessSpec } from './keeper.ts'

/** One set of running services: its folder (deleted at the end), its processes, and what they run as. */
export interface Instance {
  path: string
  keeper: Keeper
  /** Makes a folder for our own work, with a name that begins as given. */
  scratch(name: string): string
  /** Makes a folder that the services may write in. */
  folder(name: string): string
  /** Writes a file that only the services (and root) may read. */
  write(file: string, text: string, mode?: number): void
  password(): string
  /** Starts a process as the service user; the keeper ends it. */
  start(spec: ProcessSpec): KeptProcess
}

/** Makes the folder of this run and starts its keeper. */
export function openInstance(home: Home): Instance {
  const path = mkdtempSync(join(home.path, `run-${process.pid}-`))
  const user = serviceUser()
  const give = (target: string): void => {
    if (user !== undefined) chownSync(target, user.uid, user.gid)
  }
  give(path)
  const keeper = startKeeper(path)
  const owner = { host: hostname(), launcher: process.pid, keeper: keeper.pid }
  writeFileSync(join(path, 'owner.json'), JSON.stringify(owner))
  return {
    path,
    keeper,
    scratch: (name) => mkdtempSync(join(path, `${name}-`)),
    folder(name) {
      const folder = join(path, name)
      mkdirSync(folder, { mode: 0o700 })
      give(folder)
      return folder
    },
    write(file, text, mode = 0o600) {
      writeFileSync(file, text, { mode: 0o600 })
      chmodSync(file, mode)
      give(file)
    },
    password: () => randomBytes(18).toString('hex'),
    start: (spec) => keeper.start({ ...spec, ...user }),
  }
}

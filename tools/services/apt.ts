import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServiceDied, tail } from './errors.ts'
import type { Instance } from './instance.ts'

const SYSTEM_LISTS = '/var/lib/apt/lists'

/** Runs apt's tools to their end, as children of the keeper; what they print is the answer. */
export interface Apt {
  run(command: string, args: string[], cwd: string, name: string): Promise<string>
}

/** Makes the runner; it passes the user's environment on, which may name a proxy. */
export function aptRunner(instance: Instance, env: NodeJS.ProcessEnv): Apt {
  const logs = instance.scratch('apt')
  return {
    async run(command, args, cwd, name) {
      const log = join(logs, `${name}-${Date.now()}.log`)
      const spec = {
        command,
        args,
        cwd,
        log,
        env: { ...env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      }
      const { code, error } = await instance.keeper.start(spec).exited
      if (code !== 0) throw new ServiceDied(`${name} failed (${error ?? `exit code ${code}`}):\n${tail(log)}`)
      return readFileSync(log, 'utf8')
    },
  }
}

/** Fetches fresh package lists into the instance folder and returns the configuration that uses them. */
export async function updateLists(
  apt: Apt,
  instance: Instance,
  log: (line: string) => void,
): Promise<string> {
  const began = Date.now()
  log('packages: fetching package lists')
  const lists = instance.scratch('lists')
  mkdirSync(join(lists, 'partial'))
  const config = writeConfig(instance, lists)
  const output = await apt.run('apt-get', ['-c', config, 'update'], lists, 'apt-update')
  // It calls a network that is down a warning.
  if (!hasLists(lists)) throw new ServiceDied(`apt-get update found no package lists:\n${output.trim()}`)
  log(`packages: package lists fetched in ${((Date.now() - began) / 1000).toFixed(1)} s`)
  return config
}

/** Writes options that keep apt's hands off the system: own caches, own lists if need be, no locks, no hooks. */
export function writeConfig(instance: Instance, lists: string | undefined): string {
  const cache = instance.scratch(lists === undefined ? 'cache' : 'fresh-cache')
  mkdirSync(join(cache, 'archives/partial'), { recursive: true })
  const lines = [
    `Dir::Cache "${cache}";`,
    ...(lists === undefined ? [] : [`Dir::State::lists "${lists}";`]),
    ...(process.getuid?.() === 0 ? ['APT::Sandbox::User "root";'] : []),
    'Debug::NoLocking "true";',
    'APT::Install-Recommends "false";',
    'Acquire::Languages "none";',
    'Acquire::Retries "2";',
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    '',
  ]
  const file = join(cache, 'apt.conf')
  writeFileSync(file, lines.join('\n'))
  return file
}

/** True when the machine has package lists of its own. */
export function systemHasLists(): boolean {
  return hasLists(SYSTEM_LISTS)
}

function hasLists(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => name.includes('_Packages'))
}

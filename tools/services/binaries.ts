import { accessSync, constants, existsSync, readdirSync, realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

export type Software = 'postgres' | 'redis' | 'rabbitmq' | 'chromium' | 'pgbouncer' | 'haproxy'

/** A program, its helpers, and the environment that it needs to run. */
export interface Binaries {
  command: string
  helpers: Record<string, string>
  env: NodeJS.ProcessEnv
}

/** The locale that every machine has: only Linux has one that knows UTF-8. */
export const LOCALE = process.platform === 'linux' ? 'C.UTF-8' : 'C'

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
/** Starts the browser of unpacked packages with its own libraries and fonts. */
export const UNPACKED_BROWSER = 'start-chromium'

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Finds a program on the PATH. */
export function onPath(name: string, path: string | undefined): string | undefined {
  const folders = (path ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** Finds software that is installed on this machine. */
export function findInstalled(software: Software, path: string | undefined): Binaries | undefined {
  // Only what a service needs: variables of the user's (PGDATA, RABBITMQ_NODENAME...) would bend it.
  const env = { PATH: [path, SYSTEM_PATH].filter(Boolean).join(delimiter), LANG: LOCALE }
  if (software === 'redis') return named(['redis-server', 'valkey-server'], path, env)
  if (software === 'postgres') return postgresIn(postgresFolders('/', path), env)
  if (software === 'chromium') return named(BROWSERS, path, env)
  if (software === 'pgbouncer' || software === 'haproxy') return named([software], env.PATH, env)
  // The launcher in /usr/sbin switches users: the script behind it is wanted.
  const command = firstExecutable(['/usr/lib/rabbitmq/bin/rabbitmq-server', onPath('rabbitmq-server', path)])
  const epmd = firstExecutable([
    onPath('epmd', env.PATH),
    ...erlangFolders('/').map((bin) => join(bin, 'epmd')),
  ])
  if (command === undefined || epmd === undefined) return undefined
  return { command, helpers: { epmd }, env }
}

/** Finds software in a folder into which packages were unpacked. */
export function findUnpacked(software: Software, root: string): Binaries | undefined {
  const bin = join(root, 'usr/bin')
  const erlang = join(root, 'usr/lib/erlang/bin')
  const env = {
    PATH: [erlang, bin, SYSTEM_PATH].join(delimiter),
    LANG: LOCALE,
    LD_LIBRARY_PATH: libraryFolders(root).join(delimiter),
  }
  if (software === 'redis') return named(['redis-server'], bin, env)
  if (software === 'postgres') return postgresIn(postgresFolders(root, undefined), env)
  if (software === 'chromium') return named([UNPACKED_BROWSER], root, env)
  if (software === 'pgbouncer' || software === 'haproxy')
    return named([software], join(root, 'usr/sbin'), env)
  const command = firstExecutable([join(root, 'usr/lib/rabbitmq/bin/rabbitmq-server')])
  const epmd = firstExecutable(erlangFolders(root).map((folder) => join(folder, 'epmd')))
  return command === undefined || epmd === undefined ? undefined : { command, helpers: { epmd }, env }
}

function named(names: string[], path: string | undefined, env: NodeJS.ProcessEnv): Binaries | undefined {
  const command = firstExecutable(names.map((name) => onPath(name, path)))
  return command === undefined ? undefined : { command, helpers: {}, env }
}

function postgresIn(folders: string[], env: NodeJS.ProcessEnv): Binaries | undefined {
  const folder = folders.find(
    (bin) => isExecutable(join(bin, 'initdb')) && isExecutable(join(bin, 'postgres')),
  )
  return folder === undefined ? undefined : { command: join(folder, 'postgres'), helpers: {}, env }
}

/** Debian keeps the servers off the PATH, one folder per version: the newest first, then what the PATH knows. */
function postgresFolders(root: string, path: string | undefined): string[] {
  const parent = join(root, 'usr/lib/postgresql')
  const versions = listed(parent).sort((a, b) => Number(b) - Number(a))
  const initdb = onPath('initdb', path)
  const linked = initdb === undefined ? [] : [dirname(realpathSync(initdb))]
  return [...versions.map((version) => join(parent, version, 'bin')), ...linked]
}

function erlangFolders(root: string): string[] {
  const parent = join(root, 'usr/lib/erlang')
  const runtimes = listed(parent).filter((name) => name.startsWith('erts-'))
  return runtimes.map((name) => join(parent, name, 'bin'))
}

function libraryFolders(root: string): string[] {
  const parents = [join(root, 'usr/lib'), join(root, 'lib')]
  const triplets = parents.flatMap((parent) =>
    listed(parent)
      .filter((name) => name.includes('-linux-'))
      .map((name) => join(parent, name)),
  )
  return [...triplets, ...parents.filter((folder) => existsSync(folder))]
}

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

function firstExecutable(files: (string | undefined)[]): string | undefined {
  return files.find((file) => file !== undefined && isExecutable(file))
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

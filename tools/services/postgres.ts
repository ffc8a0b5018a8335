import { existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { LOCALE, type Binaries } from './binaries.ts'
import { ServiceDied, tail } from './errors.ts'
import type { Instance } from './instance.ts'
import { LOOPBACK, untilReady, withPorts } from './ports.ts'
import { startService } from './restartable.ts'
import type { RunningService } from './service.ts'

const READY_MS = 60_000
const ROLE = 'spike'
const DATABASE = 'flash_sale'
// fsync and synchronous_commit stay on: the figures measured against this server must be honest.
const SETTINGS = {
  listen_addresses: LOOPBACK,
  // No socket files: their path may not exceed 107 bytes, and nobody needs them.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '256MB',
  jit: 'off',
}

/** Makes a private PostgreSQL cluster with one role and one database, and starts it. */
export async function startPostgres(instance: Instance, binaries: Binaries): Promise<RunningService> {
  const folder = instance.folder('postgres')
  const data = join(folder, 'data')
  const log = join(folder, 'log')
  const password = instance.password()
  const bin = dirname(binaries.command)
  const base = { env: binaries.env, cwd: folder, log }
  const finish = async (
    what: string,
    spec: { command: string; args: string[]; input?: string },
  ): Promise<void> => {
    const { code, error } = await instance.start({ ...base, ...spec }).exited
    if (code !== 0) throw new ServiceDied(`${what} failed (${error ?? `exit code ${code}`}):\n${tail(log)}`)
  }

  const passwordFile = join(folder, 'password')
  instance.write(passwordFile, password)
  await finish('initdb', { command: join(bin, 'initdb'), args: initdbArgs(data, passwordFile) })
  rmSync(passwordFile)
  const single = ['--single', '-D', data, 'postgres']
  await finish('creating the database', {
    command: binaries.command,
    args: single,
    input: `CREATE DATABASE ${DATABASE}\n`,
  })

  return withPorts(1, async ([port = 0]) => {
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const args = ['-D', data, '-p', String(port), ...settings]
    const pidFile = join(data, 'postmaster.pid')
    return startService({
      instance,
      url: `postgres://${ROLE}:${password}@${LOOPBACK}:${port}/${DATABASE}`,
      folder,
      spec: { ...base, command: binaries.command, args, stopSignal: 'SIGINT' },
      ready: (child) => {
        const probe = async (): Promise<boolean> => isReady(pidFile, port, child.pid())
        return untilReady({ name: 'postgres', child, log, timeoutMs: READY_MS, probe })
      },
    })
  })
}

function initdbArgs(data: string, passwordFile: string): string[] {
  const identity = ['-U', ROLE, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
  // --no-sync spares the flush of a cluster that lives as long as one command.
  return ['-D', data, ...identity, '-E', 'UTF8', `--locale=${LOCALE}`, '--no-sync']
}

/** The server writes who it is and its state into this file, so neither another server nor a dead one is taken for it. */
function isReady(pidFile: string, port: number, pid: number | undefined): boolean {
  if (!existsSync(pidFile)) return false
  const lines = readFileSync(pidFile, 'utf8').split('\n')
  const found = [lines[0], lines[3], lines[7]].map((line) => line?.trim())
  return found.join() === [pid, port, 'ready'].join()
}

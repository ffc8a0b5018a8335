import { join } from 'node:path'
import type { Binaries } from './binaries.ts'
import type { Instance } from './instance.ts'
import { converse, LOOPBACK, untilReady, withPorts } from './ports.ts'
import { startService } from './restartable.ts'
import type { RunningService } from './service.ts'

const READY_MS = 30_000

interface RedisOptions {
  password?: string
  /** A node of a cluster that is still to be formed. */
  clustered?: boolean
}

/** Starts one private Redis (append-only, never evicting). */
export async function startRedis(
  instance: Instance,
  binaries: Binaries,
  name: string,
  { password = instance.password(), clustered = false }: RedisOptions = {},
): Promise<RunningService> {
  const folder = instance.folder(name)
  const log = join(folder, 'log')
  const config = join(folder, 'redis.conf')
  return withPorts(2, async ([port = 0, busPort = 0]) => {
    const clusterText = clustered ? clusterConfigText(busPort) : ''
    instance.write(config, configText(port, folder, password) + clusterText)
    const probe = (): Promise<boolean> => answers(port, password)
    return startService({
      instance,
      url: `redis://:${password}@${LOOPBACK}:${port}`,
      folder,
      spec: { command: binaries.command, args: [config], env: binaries.env, cwd: folder, log },
      ready: (child) => untilReady({ name, child, log, timeoutMs: READY_MS, probe }),
    })
  })
}

function configText(port: number, folder: string, password: string): string {
  return [
    `port ${port}`,
    `bind ${LOOPBACK}`,
    `requirepass ${password}`,
    `dir "${folder}"`,
    'daemonize no',
    'save ""',
    'appendonly yes',
    'appendfsync everysec',
    'maxmemory-policy noeviction',
    '',
  ].join('\n')
}

function clusterConfigText(busPort: number): string {
  return [
    'cluster-enabled yes',
    // By default 10000 above the other, which may be taken, or no port at all.
    `cluster-port ${busPort}`,
    // A master that is down takes its own slots with it, not those of the others.
    'cluster-require-full-coverage no',
    'cluster-node-timeout 2000',
    '',
  ].join('\n')
}

/** True when a Redis that knows our password answers: whoever else took the port does not know it. */
function answers(port: number, password: string): Promise<boolean> {
  return converse(port, (socket, received) => {
    if (received.length === 0) socket.write(`AUTH ${password}\r\nPING\r\n`)
    return received.toString().includes('+PONG')
  })
}

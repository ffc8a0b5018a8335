/** HAProxy as `proxy/haproxy.cfg` sets it up, in front of an API process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openHome } from './home.ts'
import { openInstance, type Instance } from './instance.ts'
import { binariesOf } from './local.ts'
import { LOOPBACK, untilReady, withPorts } from './ports.ts'
import { startService } from './restartable.ts'
import type { RunningService } from './service.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const READY_MS = 30_000

export interface RunningProxy {
  url: string
  /** Undefined when it has ended. */
  pid: () => number | undefined
  stop: () => Promise<void>
}

/**
 * Starts one on a free port of this machine; it is ready when the API answers through it.
 * @param apiUrl `http://host:port` of an API process that is ready
 */
export async function startHaproxy(
  apiUrl: string,
  env: NodeJS.ProcessEnv,
  log: (line: string) => void,
): Promise<RunningProxy> {
  const home = openHome(join(PROJECT, '.data'))
  const instance = openInstance(home)
  try {
    const binaries = await binariesOf(instance, home, ['haproxy'], env, log)('haproxy')
    const service = await start(instance, binaries, apiUrl)
    return { url: service.url, pid: () => service.pid(), stop: () => instance.keeper.stop() }
  } catch (error) {
    await instance.keeper.stop()
    throw error
  }
}

function start(
  instance: Instance,
  { command, env }: { command: string; env: NodeJS.ProcessEnv },
  apiUrl: string,
): Promise<RunningService> {
  const folder = instance.folder('haproxy')
  const config = join(folder, 'haproxy.cfg')
  const log = join(folder, 'log')
  // A copy: the user that runs it may not be let into the project.
  instance.write(config, readFileSync(join(PROJECT, 'proxy/haproxy.cfg'), 'utf8'))
  return withPorts(1, ([port = 0]) => {
    const [url, bind] = [`http://${LOOPBACK}:${port}`, `${LOOPBACK}:${port}`]
    const settings = { ...env, API: new URL(apiUrl).host, BIND: bind }
    return startService({
      instance,
      url,
      folder,
      spec: { command, args: ['-db', '-f', config], env: settings, cwd: folder, log },
      ready: (child) => {
        const probe = async () => (await fetch(`${url}/healthz`)).ok
        return untilReady({ name: 'haproxy', child, log, timeoutMs: READY_MS, probe })
      },
    })
  })
}

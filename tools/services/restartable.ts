import { setTimeout as sleep } from 'node:timers/promises'
import { ServiceDied } from './errors.ts'
import type { Instance } from './instance.ts'
import type { KeptProcess, ProcessSpec } from './keeper.ts'
import type { RunningService } from './service.ts'

const RESTART_WITHIN_MS = 30_000
const RETRY_EVERY_MS = 100

interface Restartable {
  instance: Instance
  url: string
  folder: string
  spec: ProcessSpec
  /** Waits until the process that was just started is ready. @throws ServiceDied */
  ready: (child: KeptProcess) => Promise<void>
}

/** Starts a service for the first time. */
export async function startService(options: Restartable): Promise<RunningService> {
  const { url, folder, spec } = options
  let child = await begin(options)
  return {
    url,
    folder,
    spec,
    pid: () => child.pid(),
    ended: async () => void (await child.exited),
    async restart() {
      await child.exited
      child = await beginAgain(options)
    },
  }
}

async function begin({ instance, spec, ready }: Restartable): Promise<KeptProcess> {
  const child = instance.start(spec)
  await ready(child)
  return child
}

/** A process that was killed may leave something behind for a moment: PostgreSQL's memory, a connection on the port. */
async function beginAgain(options: Restartable): Promise<KeptProcess> {
  for (const end = Date.now() + RESTART_WITHIN_MS; ; await sleep(RETRY_EVERY_MS)) {
    try {
      return await begin(options)
    } catch (error) {
      if (!(error instanceof ServiceDied) || Date.now() > end) throw error
    }
  }
}

/** A Redis of a test's own, for what may not be done to the one that all tests share. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHome } from '../../tools/services/home.ts'
import { openInstance } from '../../tools/services/instance.ts'
import { startRestartable } from '../../tools/services/local.ts'

export interface PrivateRedis {
  url: string
  /** SIGKILL and a new start; resolves when it answers. */
  crash(): Promise<void>
  close(): Promise<void>
}

/** Starts one, durable and never evicting. */
export async function startPrivateRedis(): Promise<PrivateRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'private-redis-'))
  // Else root's services, which run as somebody else, could not be kept in it.
  chmodSync(folder, 0o755)
  const home = openHome(folder)
  const instance = openInstance(home)
  const close = async () => {
    await instance.keeper.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const options = { instance, home, names: ['redis' as const], env: process.env, log: () => undefined }
    const redis = (await startRestartable(options)).get('redis')
    if (redis === undefined) throw new Error('no redis was started')
    return {
      url: redis.url,
      async crash() {
        const pid = redis.pid()
        if (pid !== undefined) process.kill(pid, 'SIGKILL')
        await redis.ended()
        await redis.restart()
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

import { isIP } from 'node:net'
import { subscriberOf } from '../../platform/networks.ts'
import type { RedisClient } from '../../platform/redis/nodes.ts'
import { Outage, RateWindow, type Taken } from '../../platform/redis/rate-window.ts'
import { LIMITS } from '../contract/limits.ts'
import type { LimitClass } from '../contract/route.ts'
import type { Context, Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'
import type { Guards } from '../mount.ts'

/** The windows in front of the routes, told to the client (draft-ietf-httpapi-ratelimit-headers). */
export function limitGuards(deps: {
  enabled: boolean
  redis: RedisClient
  namespace: string
}): Pick<Guards, 'limitAddress' | 'limitUser'> {
  const open: Middleware = (_ctx, next) => next()
  if (!deps.enabled) return { limitAddress: () => open, limitUser: () => open }

  /** What is left of the window that a request was counted in first. */
  const leftBefore = new WeakMap<Context, number>()
  const outage = new Outage()
  const guardBy = (who: 'address' | 'user', keyOf: (ctx: Context) => string | undefined) => {
    const windows = windowsBy(who, { ...deps, outage })
    return (limit: LimitClass): Middleware => {
      const window = windows.get(limit)
      if (window === undefined) return open
      return async (ctx, next) => {
        const key = keyOf(ctx)
        if (key === undefined) return next()
        const taken = await take(window, key)
        if (taken.left <= (leftBefore.get(ctx) ?? Infinity)) tell(ctx, limit, taken)
        leftBefore.set(ctx, taken.left)
        if (!taken.allowed) throw new ApiError('RATE_LIMITED', { retryAfterS: taken.resetS })
        return next()
      }
    }
  }
  return {
    limitAddress: guardBy('address', addressOf),
    limitUser: guardBy('user', (ctx) => ctx.state.claims?.sub),
  }
}

/** All routes of a class share its window. */
function windowsBy(
  who: 'address' | 'user',
  { redis, namespace, outage }: { redis: RedisClient; namespace: string; outage: Outage },
): Map<LimitClass, RateWindow> {
  const windows = new Map<LimitClass, RateWindow>()
  for (const [limit, { [who]: window, withoutRedis }] of Object.entries(LIMITS)) {
    const prefix = `${namespace}:limit:${limit}-${who}`
    const local = withoutRedis === 'count here'
    if (window !== undefined)
      windows.set(limit as LimitClass, new RateWindow({ redis, outage, prefix, local, ...window }))
  }
  return windows
}

/** What is no address comes from a proxy that passes on what it was told; then the proxy's own counts. */
function addressOf(ctx: Context): string {
  return subscriberOf(isIP(ctx.ip) === 0 ? (ctx.req.socket.remoteAddress ?? '') : ctx.ip)
}

async function take(window: RateWindow, key: string): Promise<Taken> {
  try {
    return await window.take(key)
  } catch {
    throw new ApiError('NOT_READY')
  }
}

function tell(ctx: Context, limit: LimitClass, { points, durationS, left, resetS }: Taken): void {
  ctx.set('RateLimit-Policy', `"${limit}";q=${points};w=${durationS}`)
  ctx.set('RateLimit', `"${limit}";r=${left};t=${resetS}`)
}

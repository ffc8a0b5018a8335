import { RateLimiterMemory } from 'rate-limiter-flexible'
import { checkLimit, type LimitCheck, type LoginLimit } from '../../users/login-limit.ts'
import type { LimitClass } from '../contract/route.ts'
import type { Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'

const PER_BUYER = { points: 20, duration: 10 }
const PER_IP = { points: 2_000, duration: 10 }

/** The windows in front of the routes. */
export function limitGuards(deps: { enabled: boolean; loginLimit: LoginLimit }): {
  limitAddress: (limit: LimitClass) => Middleware
  limitUser: (limit: LimitClass) => Middleware
} {
  const buyers = new RateLimiterMemory(PER_BUYER)
  const addresses = new RateLimiterMemory(PER_IP)
  return {
    limitAddress: (limit) => async (ctx, next) => {
      if (limit === 'login') {
        const { email } = (ctx.request.body ?? {}) as { email?: unknown }
        pass(await deps.loginLimit({ ip: ctx.ip, email }))
      }
      if (limit === 'purchase' && deps.enabled) pass(await checkLimit(addresses, ctx.ip))
      await next()
    },
    limitUser: (limit) => async (ctx, next) => {
      const { claims } = ctx.state
      if (limit === 'purchase' && deps.enabled && claims !== undefined)
        pass(await checkLimit(buyers, claims.sub))
      await next()
    },
  }
}

function pass(check: LimitCheck): void {
  if (check.kind === 'limited') throw new ApiError('RATE_LIMITED', { retryAfterS: check.retryAfterS })
}

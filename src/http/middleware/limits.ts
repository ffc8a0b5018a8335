import { RateLimiterMemory } from 'rate-limiter-flexible'
import { checkLimit, type LimitCheck, type LoginLimit } from '../../users/login-limit.ts'
import { claimsOf, type Middleware } from '../context.ts'
import { ApiError } from '../errors.ts'

const PER_BUYER = { points: 20, duration: 10 }
const PER_IP = { points: 2_000, duration: 10 }

/** Purchases are counted in this process, so that a refusal costs no round trip. */
export function limitPurchases(enabled: boolean): Middleware {
  const buyers = new RateLimiterMemory(PER_BUYER)
  const addresses = new RateLimiterMemory(PER_IP)
  return async (ctx, next) => {
    if (enabled) {
      pass(await checkLimit(addresses, ctx.ip))
      pass(await checkLimit(buyers, claimsOf(ctx).sub))
    }
    await next()
  }
}

export function limitLogins(limit: LoginLimit): Middleware {
  return async (ctx, next) => {
    const { email } = (ctx.request.body ?? {}) as { email?: unknown }
    pass(await limit({ ip: ctx.ip, email }))
    await next()
  }
}

function pass(check: LimitCheck): void {
  if (check.kind === 'limited') throw new ApiError('RATE_LIMITED', { retryAfterS: check.retryAfterS })
}

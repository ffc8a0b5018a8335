import type { Redis } from 'ioredis'
import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible'

/** Counted in Redis for all processes; while Redis is down, in each process and tighter: logins fail closed. */
const PER_IP = { points: 30, duration: 60 }
const PER_ACCOUNT = { points: 10, duration: 60 }
const WITHOUT_REDIS = { points: 5, duration: 60 }

export type LimitCheck = { kind: 'allowed' } | { kind: 'limited'; retryAfterS: number }

/** Counts a try to log in or to register against its address and its account. */
export type LoginLimit = (attempt: { ip: string; email: unknown }) => Promise<LimitCheck>

/** @param enabled false allows everything, for load tests; refused in prod by the configuration */
export function createLoginLimit(options: { enabled: boolean; redis: Redis; namespace: string }): LoginLimit {
  if (!options.enabled) return async () => ({ kind: 'allowed' })
  const limiter = (name: string, window: { points: number; duration: number }) =>
    new RateLimiterRedis({
      storeClient: options.redis,
      keyPrefix: `${options.namespace}:limit:${name}`,
      rejectIfRedisNotReady: true,
      insuranceLimiter: new RateLimiterMemory({ keyPrefix: name, ...WITHOUT_REDIS }),
      ...window,
    })
  const addresses = limiter('login-ip', PER_IP)
  const accounts = limiter('login-account', PER_ACCOUNT)
  return async ({ ip, email }) => {
    const byAddress = await checkLimit(addresses, ip)
    return byAddress.kind === 'limited' ? byAddress : checkLimit(accounts, accountKey(email))
  }
}

/** Takes one point of a limiter. @throws when the limiter's store fails and it has no insurance */
export async function checkLimit(limiter: RateLimiterAbstract, key: string): Promise<LimitCheck> {
  try {
    await limiter.consume(key)
    return { kind: 'allowed' }
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused
    return { kind: 'limited', retryAfterS: Math.max(1, Math.ceil(refused.msBeforeNext / 1_000)) }
  }
}

/** The body is not validated yet: whatever is no text counts as one account. */
function accountKey(email: unknown): string {
  return typeof email === 'string' ? email.toLowerCase().slice(0, 254) : 'none'
}

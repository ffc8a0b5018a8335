/**
 * How often a password may be tried, and how many accounts are made. Counted in Redis for all processes; without Redis
 * nobody logs in and nobody registers.
 */
import { isIP } from 'node:net'
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { Logger } from '../platform/logger.ts'
import { subscriberOf } from '../platform/networks.ts'
import type { RedisClient } from '../platform/redis/nodes.ts'
import { accountKey } from './account-key.ts'

/** A device that somebody has logged in from before. Strangers can't use up what it has. */
const PER_DEVICE = { points: 10, duration: 60 }
/** All those devices of one account: every login makes one more, which must not be more tries. */
const DEVICES_OF_ACCOUNT = { points: 50, duration: 900 }
/** Everybody else: on one account from one address, on one account from anywhere, on all accounts together. */
const PER_PAIR = { points: 10, duration: 60 }
const PER_ACCOUNT = { points: 50, duration: 900 }
const ALL = { points: 3_000, duration: 60 }
/** On any account from one address, where no other window counts addresses. */
const PER_ADDRESS = { points: 30, duration: 60 }

/** All registrations together: each hashes a password, and addresses are cheap. */
const REGISTRATIONS = { points: 1_200, duration: 60 }

/** `device` is one whose token was checked, `owner` shows the password within a session. */
export type LoginTry =
  | { by: 'stranger'; email: string; ip: string }
  | { by: 'device'; email: string; device: string }
  | { by: 'owner'; userId: string }
  | { by: 'registration' }

export type LoginCheck =
  | { kind: 'allowed'; giveBack: () => Promise<void> }
  | { kind: 'limited'; retryAfterS: number }
  | { kind: 'not_ready' }

/**
 * Counts a try before the password is looked at, so that parallel guesses can't slip through. After a right one,
 * `giveBack` returns what it took from windows that the owner of the account shares with others.
 */
export type LoginLimit = (attempt: LoginTry) => Promise<LoginCheck>

interface Point {
  window: RateLimiterRedis
  key: string
  shared?: true
}

interface Options {
  /** False allows everything, for load tests; refused in prod by the configuration. */
  enabled: boolean
  redis: RedisClient
  namespace: string
  log: Logger
  /** True where no window in front counts the addresses. */
  countAddresses?: boolean
}

export function createLoginLimit(options: Options): LoginLimit {
  if (!options.enabled) return async () => ({ kind: 'allowed', giveBack: async () => undefined })
  const open = (name: string, size: { points: number; duration: number }) =>
    new RateLimiterRedis({
      storeClient: options.redis,
      keyPrefix: `${options.namespace}:limit:login-${name}`,
      rejectIfRedisNotReady: true,
      ...size,
    })
  const devices = open('device', PER_DEVICE)
  const devicesOfAccounts = open('devices', DEVICES_OF_ACCOUNT)
  const addresses = open('form', PER_ADDRESS)
  const pairs = open('pair', PER_PAIR)
  const accounts = open('account', PER_ACCOUNT)
  const all = open('all', ALL)
  const registrations = open('register', REGISTRATIONS)
  const pointsOf = (attempt: LoginTry): Point[] => {
    if (attempt.by === 'registration') return [{ window: registrations, key: 'all' }]
    if (attempt.by === 'owner') return [{ window: devices, key: attempt.userId }]
    const account = accountKey(attempt.email)
    if (attempt.by === 'device')
      return [
        { window: devices, key: attempt.device },
        { window: devicesOfAccounts, key: account, shared: true },
      ]
    const address = isIP(attempt.ip) === 0 ? 'no-address' : subscriberOf(attempt.ip)
    return [
      ...(options.countAddresses ? [{ window: addresses, key: address }] : []),
      { window: pairs, key: `${account}:${address}` },
      { window: accounts, key: account, shared: true },
      { window: all, key: 'strangers', shared: true },
    ]
  }
  return (attempt) => take(pointsOf(attempt), options.log)
}

/** Takes a point of each window in turn; the first that is used up ends it, so a blocked try costs others nothing. */
async function take(points: Point[], log: Logger): Promise<LoginCheck> {
  try {
    for (const { window, key } of points) await window.consume(key)
  } catch (refused) {
    if (refused instanceof RateLimiterRes)
      return { kind: 'limited', retryAfterS: Math.max(1, Math.ceil(refused.msBeforeNext / 1_000)) }
    log.error({ err: refused }, 'login refused, because tries can not be counted')
    return { kind: 'not_ready' }
  }
  return { kind: 'allowed', giveBack: () => giveBack(points, log) }
}

/** A point that can't be given back is back when its window ends; the login does not fail for it. */
async function giveBack(points: Point[], log: Logger): Promise<void> {
  const shared = points.filter((point) => point.shared)
  const results = await Promise.allSettled(shared.map(({ window, key }) => window.reward(key)))
  for (const result of results)
    if (result.status === 'rejected') log.warn({ err: result.reason }, 'point of a login was not given back')
}

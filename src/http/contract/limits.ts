import type { LimitClass } from './route.ts'

export interface Limit {
  points: number
  durationS: number
}

/**
 * How many requests one address and one user may make in so many seconds. While Redis is away, each process counts
 * by itself; logins are refused then, because passwords could be guessed at every process anew.
 */
export const LIMITS: Record<
  Exclude<LimitClass, 'none'>,
  { address: Limit; user?: Limit; withoutRedis: 'count here' | 'refuse' }
> = {
  login: { address: { points: 30, durationS: 60 }, withoutRedis: 'refuse' },
  purchase: {
    address: { points: 2_000, durationS: 10 },
    user: { points: 20, durationS: 10 },
    withoutRedis: 'count here',
  },
  write: {
    address: { points: 600, durationS: 60 },
    user: { points: 60, durationS: 60 },
    withoutRedis: 'count here',
  },
  read: {
    address: { points: 3_000, durationS: 10 },
    user: { points: 300, durationS: 10 },
    withoutRedis: 'count here',
  },
}

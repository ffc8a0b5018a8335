/** PostgreSQL connections that one process of each kind opens at most; what they add up to, the server has to allow. */
export const POOL_MAX = { api: 30, workers: 12, dashboard: 8 } as const

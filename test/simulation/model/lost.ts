import type { World } from './world.ts'

/** Whether only a rebuild brings the event back, as in `src/reserve/gate.ts`. */
export function isLost({ redis }: Pick<World, 'redis'>): boolean {
  const { gate } = redis
  return gate === undefined || gate.status === 'closed' || gate.runId !== redis.runId
}

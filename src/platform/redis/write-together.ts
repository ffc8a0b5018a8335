import type { Redis } from 'ioredis'

/**
 * Lets the commands of one tick leave in one write, and at once. By itself the library writes each; its own pipelining
 * keeps commands back until the loop's next turn, and until the reply to those before them.
 */
export function writeTogether(redis: Redis): Redis {
  const send = redis.sendCommand.bind(redis)
  let collecting = false
  redis.sendCommand = (command, stream) => {
    const socket = redis.stream as Redis['stream'] | undefined // there is none before the first connection
    if (!collecting && socket !== undefined) {
      collecting = true
      socket.cork()
      // Runs when all that the present callback has set going has had its turn, whatever else the loop has to do.
      process.nextTick(() => {
        collecting = false
        socket.uncork()
      })
    }
    return send(command, stream)
  }
  return redis
}

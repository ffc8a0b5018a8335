import type { RedisClient } from '../../src/platform/redis/nodes.ts'

/**
 * What is said on a channel while `work` runs. Messages keep their order on a channel, so the end mark comes
 * behind all that `work` caused.
 */
export async function noticesDuring(
  listener: RedisClient,
  speaker: RedisClient,
  channel: string,
  work: () => Promise<void>,
): Promise<string[]> {
  const heard: string[] = []
  const ended = new Promise<void>((resolve) =>
    listener.on('message', (_channel, text: string) => (text === 'end' ? resolve() : heard.push(text))),
  )
  await listener.subscribe(channel)
  await work()
  await speaker.publish(channel, 'end')
  await ended
  return heard
}

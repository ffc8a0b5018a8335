/** Where spans go: to a collector that speaks OTLP over HTTP, off unless one is named. */
import { context, trace } from '@opentelemetry/api'
import type { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import type { Config } from '../config.ts'
import type { Logger } from '../logger.ts'
import { withinTime } from '../time-limit.ts'
import { setTracer } from './trace.ts'

const FLUSH_WITHIN_MS = 2_000

/** Roles that share a process, as in tests, share what the first of them has started. */
let shared: { provider: NodeTracerProvider; users: number } | undefined

/**
 * Starts to record spans, if a collector is configured. A collector that is down or slow costs spans, never requests.
 * @param role name of the process: api, workers
 * @returns how to end it: what was recorded is sent, for at most two seconds
 */
export async function startTracing(
  config: Pick<Config, 'tracing'>,
  role: string,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const { tracing } = config
  if (tracing === undefined) return { stop: () => Promise.resolve() }
  const { openProvider } = await import('./collector.ts')
  shared ??= begin(openProvider(tracing, role, log), tracing, log)
  const used = shared
  used.users++
  let hasStopped = false
  return {
    async stop() {
      if (hasStopped) return
      hasStopped = true
      if (--used.users === 0) await close(used.provider, log)
    },
  }
}

function begin(
  provider: NodeTracerProvider,
  { sampleRatio }: NonNullable<Config['tracing']>,
  log: Logger,
): NonNullable<typeof shared> {
  provider.register({ propagator: null })
  setTracer(provider.getTracer('spike'))
  log.info({ sampleRatio }, 'tracing is on')
  return { provider, users: 0 }
}

async function close(provider: NodeTracerProvider, log: Logger): Promise<void> {
  shared = undefined
  setTracer(undefined)
  context.disable()
  trace.disable()
  await withinTime(provider.shutdown(), FLUSH_WITHIN_MS).catch((error: Error) =>
    log.warn({ reason: error.message }, 'the last spans were not sent'),
  )
}

/** The stream of a live page, as a browser's tab gets it. */
import { expect } from 'chai'
import type { LiveHistory, LiveView } from '../../dashboard/live/wire.ts'
import { eventsOf } from './streams.ts'
import { until } from './wait.ts'
import type { World } from './world.ts'

export interface LiveTab {
  views: () => LiveView[]
  history: () => LiveHistory
  /** Waits for a view that is as told. */
  sees(what: string, isSo: (view: LiveView) => boolean, withinMs?: number): Promise<LiveView>
  /** Resolves when the server has ended the stream. */
  ended: Promise<void>
  leave(): void
}

/** Opens a stream that has to be there. */
export async function openTab(
  world: World,
  eventId: string,
  headers: Record<string, string>,
): Promise<LiveTab> {
  const abort = new AbortController()
  const response = await fetch(`${world.dashboardUrl}/sales/${eventId}/events`, {
    headers,
    signal: abort.signal,
  })
  expect(response.status).to.equal(200)
  expect(response.headers.get('content-type')).to.match(/^text\/event-stream/)
  let text = ''
  const read = async () => {
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true })
  }
  const ended = read().catch((error: unknown) => {
    if (!abort.signal.aborted) throw error
  })
  const sent = (event: string): unknown[] =>
    eventsOf(text)
      .filter((one) => one.event === event)
      .map(({ data }) => data)
  const views = () => sent('view') as LiveView[]
  return {
    views,
    history: () => sent('history')[0] as LiveHistory,
    sees: (what, isSo, withinMs) => until(what, () => views().findLast(isSo), withinMs),
    ended,
    leave: () => abort.abort(),
  }
}

/** The text of a field. */
export function shown(view: LiveView, name: string): string {
  return view.fields[name]?.text ?? ''
}

const PARTS = ['free', 'held', 'pending', 'paid', 'releasing', 'drift'] as const

/** The meter in numbers. */
export function meterOf(view: LiveView): Record<(typeof PARTS)[number] | 'granted', number> {
  const names = ['granted', ...PARTS] as const
  const units = names.map((name) => [name, Number(shown(view, `meter.${name}`))])
  return Object.fromEntries(units) as ReturnType<typeof meterOf>
}

/** The parts add up to what was granted. */
export function expectSum(view: LiveView): void {
  const meter = meterOf(view)
  expect(PARTS.reduce((sum, name) => sum + meter[name], 0)).to.equal(meter.granted)
}

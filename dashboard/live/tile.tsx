/** The pieces that the live page is made of. What has a `data-` name here is kept up to date by assets/live.js. */
import type { ComponentChildren, VNode } from 'preact'
import { timeOfDay } from '../words.ts'
import type { LiveView, PartName } from './wire.ts'

interface LiveProps {
  view: LiveView
  /** Of a field. */
  name: string
  class?: string
}

/** A text that changes. */
export function Live({ view, name, ...rest }: LiveProps): VNode {
  const { text = '?', tone } = view.fields[name] ?? {}
  return (
    <span data-live={name} data-tone={tone} {...rest}>
      {text}
    </span>
  )
}

interface TileProps {
  view: LiveView
  title: string
  /** Where its figures come from; the first one says how old the tile is. */
  part: PartName
  children: ComponentChildren
  wide?: boolean
  class?: string
}

/** A tile says how old its figures are and, when there are no newer ones, why. */
export function Tile({ view, title, part, children, wide, ...rest }: TileProps): VNode {
  const { asOfMs, trouble } = view.parts[part]
  const id = `tile-${title.toLowerCase().replaceAll(' ', '-')}`
  return (
    <section
      class={`tile ${wide ? 'wide' : ''} ${rest.class ?? ''}`}
      aria-labelledby={id}
      data-part={part}
      data-stale={trouble === null ? undefined : 'true'}
    >
      <h2 id={id}>{title}</h2>
      {children}
      <p class="muted as-of">
        <span data-age>{asOfMs === null ? 'not read yet' : `as of ${timeOfDay(asOfMs)}`}</span>{' '}
        <strong data-trouble data-tone="bad" hidden={trouble === null}>
          {trouble ?? ''}
        </strong>
      </p>
    </section>
  )
}

/** Names and numbers, one a line. @param rows words and the field behind them */
export function Facts({
  view,
  rows,
}: {
  view: LiveView
  rows: readonly (readonly [string, string])[]
}): VNode {
  return (
    <dl class="facts">
      {rows.map(([words, name]) => (
        <div key={name}>
          <dt>{words}</dt>
          <dd>
            <Live view={view} name={name} />
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** A chart for those who see it, and a sentence for everybody; the figures of its tile say the same in numbers. */
export function Chart({ view, name }: { view: LiveView; name: keyof LiveView['charts'] }): VNode {
  return <div class="chart" data-chart={name} role="img" aria-label={view.charts[name]} />
}

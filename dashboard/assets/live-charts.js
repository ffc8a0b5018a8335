// @ts-check
// The charts of the live page. Their colours are those of the style sheet, in whichever scheme the system has.
// oxlint-disable-next-line import/no-absolute-path -- the library has no file in this folder
import uPlot from '/assets/uplot.js'

/** @typedef {import('../live/wire.ts').LiveView} LiveView */
/** @typedef {import('../live/wire.ts').LiveHistory} LiveHistory */
/** @typedef {import('../live/wire.ts').Point} Point */
/** @typedef {(number | null)[]} Column */
/** @typedef {{ label: string, color: string, dashed?: boolean, filled?: boolean }} Line */

const HEIGHT = 160
const POINTS = 600
/** As the server groups them. The first one lies at the bottom of the stack. */
const GROUPS = ['accepted', 'gone', 'bought', 'shut', 'limits']
const GROUP_WORDS = ['accepted', 'no unit free', 'has bought already', 'not open', 'over a limit']

/** @type {Record<keyof LiveView['charts'], Line[]>} */
const LINES = {
  stock: [
    { label: 'free', color: '--chart-free', filled: true },
    { label: 'projected', color: '--chart-free', dashed: true },
  ],
  // Each line is the sum of itself and those below it; the highest is drawn first, so that all can be seen.
  requests: GROUPS.map((name, i) => ({
    label: GROUP_WORDS[i] ?? '',
    color: `--group-${name}`,
    filled: true,
  })).toReversed(),
  decisions: [
    { label: 'p50 ms', color: '--chart-p50' },
    { label: 'p99 ms', color: '--chart-p99' },
  ],
}
const NAMES = /** @type {(keyof LiveView['charts'])[]} */ (Object.keys(LINES))

export class Charts {
  /** @type {LiveHistory} */
  #history = { pulse: [], decisions: [] }
  /** @type {LiveView | undefined} */
  #view
  /** @type {Map<string, uPlot>} */
  #plots = new Map()
  #page

  /** @param {HTMLElement} page */
  constructor(page) {
    this.#page = page
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw())
    const resized = new ResizeObserver(() => {
      for (const [name, plot] of this.#plots)
        plot.setSize({ width: this.#placeOf(name).clientWidth, height: HEIGHT })
    })
    for (const name of NAMES) resized.observe(this.#placeOf(name))
    this.#draw()
  }

  /** @param {LiveHistory} history */
  begin(history) {
    this.#history = history
    this.#update()
  }

  /** @param {LiveView} view */
  add(view) {
    this.#view = view
    append(this.#history.pulse, view.latest.pulse)
    append(this.#history.decisions, view.latest.decisions)
    for (const name of NAMES) this.#placeOf(name).setAttribute('aria-label', view.charts[name])
    this.#update()
  }

  /** Draws all anew, in the colours of now. */
  #draw() {
    for (const plot of this.#plots.values()) plot.destroy()
    for (const name of NAMES) {
      const place = this.#placeOf(name)
      const plot = new uPlot(optionsOf(name, place), this.#dataOf(name), place)
      this.#plots.set(name, plot)
    }
  }

  #update() {
    for (const name of NAMES) this.#plots.get(name)?.setData(this.#dataOf(name))
  }

  /** @param {string} name @returns {HTMLElement} */
  #placeOf(name) {
    return /** @type {HTMLElement} */ (this.#page.querySelector(`[data-chart="${name}"]`))
  }

  /** @param {keyof LiveView['charts']} name @returns {uPlot.AlignedData} */
  #dataOf(name) {
    switch (name) {
      case 'stock':
        return withProjection(this.#history.pulse, this.#view?.sellOutMs ?? null)
      case 'requests':
        return stacked(this.#history.pulse)
      case 'decisions':
        return aligned(columns(this.#history.decisions, 3))
    }
  }
}

/** @param {Point[]} points @param {Point | null} point */
function append(points, point) {
  if (point === null || (points.at(-1)?.[0] ?? 0) >= (point[0] ?? 0)) return
  points.push(point)
  if (points.length > POINTS) points.shift()
}

/** Times in seconds, then a column for each line. @param {Point[]} points @param {number} width @returns {Column[]} */
function columns(points, width) {
  return Array.from({ length: width }, (_, i) =>
    points.map((point) => (i === 0 ? (point[0] ?? 0) / 1000 : (point[i] ?? null))),
  )
}

/** @param {Column[]} data */
function aligned(data) {
  return /** @type {uPlot.AlignedData} */ (/** @type {unknown} */ (data))
}

/** The way from the last point down to the last unit; no further than the chart has come. @param {Point[]} pulse @param {number | null} sellOutMs */
function withProjection(pulse, sellOutMs) {
  const [times = [], free = []] = columns(pulse, 2)
  const projected = times.map(() => /** @type {number | null} */ (null))
  const [first, last, left] = [times[0] ?? 0, times.at(-1) ?? 0, free.at(-1) ?? 0]
  if (sellOutMs === null || left === null || last === null || first === null)
    return aligned([times, free, projected])
  const end = sellOutMs / 1000
  const until = Math.min(end, last + Math.max(30, last - first))
  projected[projected.length - 1] = left
  const reached = left * (1 - (until - last) / (end - last))
  return aligned([
    [...times, until],
    [...free, null],
    [...projected, reached],
  ])
}

/** @param {Point[]} pulse */
function stacked(pulse) {
  const [times = [], , ...groups] = columns(pulse, 2 + GROUPS.length)
  /** @type {Column[]} */
  const sums = []
  for (const group of groups) {
    const below = sums.at(-1)
    sums.push(group.map((value, i) => (value === null ? null : value + (below?.[i] ?? 0))))
  }
  return aligned([times, ...sums.toReversed()])
}

/** @param {keyof LiveView['charts']} name @param {HTMLElement} place @returns {uPlot.Options} */
function optionsOf(name, place) {
  const color = colorsOf(place)
  const axis = {
    stroke: color('--muted'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max ?? 1) * 1.05] } },
    axes: [
      { ...axis, space: 80, values: (_plot, ticks) => ticks.map(timeOfDay) },
      { ...axis, size: 56, values: (_plot, ticks) => ticks.map((tick) => tick.toLocaleString('en')) },
    ],
    series: [
      {},
      ...LINES[name].map(({ label, color: of, dashed, filled }) => ({
        label,
        stroke: color(of),
        width: 2,
        points: { show: name === 'decisions', size: 4 },
        spanGaps: name === 'decisions',
        ...(dashed === true ? { dash: [6, 6] } : {}),
        ...(filled === true && name === 'requests' ? { fill: color(of), width: 0 } : {}),
        ...(filled === true && name === 'stock' ? { fill: color('--chart-free-area') } : {}),
      })),
    ],
  }
}

/** @param {number} s seconds since 1970 */
function timeOfDay(s) {
  return new Date(s * 1000).toLocaleTimeString()
}

/** The colour that a name of the style sheet stands for in this scheme. @param {HTMLElement} place */
function colorsOf(place) {
  const probe = document.createElement('i')
  place.append(probe)
  /** @type {Record<string, string>} */
  const found = {}
  const names = new Set([
    '--muted',
    '--line',
    '--chart-free-area',
    ...NAMES.flatMap((name) => LINES[name].map(({ color }) => color)),
  ])
  for (const name of names) {
    probe.style.color = `var(${name})`
    found[name] = getComputedStyle(probe).color
  }
  probe.remove()
  return (/** @type {string} */ name) => found[name] ?? 'gray'
}

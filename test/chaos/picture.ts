/** The course of one run as a picture: what PostgreSQL and Redis say of the stock over time, with the faults marked. */

export interface Sample {
  /** Milliseconds since the run began. */
  atMs: number
  /** Units: free by PostgreSQL, of live orders, free by Redis; undefined while a store did not answer. */
  available: number | undefined
  live: number | undefined
  remaining: number | undefined
}

export interface Mark {
  name: string
  fromMs: number
  toMs: number
  /** How often it struck; a fail point that was not passed did not. */
  times: number
}

const WIDTH = 960
const HEIGHT = 360
const LEFT = 48
const TOP = 96
const BOTTOM = 40
const RIGHT = 28

const LINES = [
  { of: 'available', name: 'free (PostgreSQL)', colour: '#58a6ff' },
  { of: 'live', name: 'ordered or paid', colour: '#7ee787' },
  { of: 'remaining', name: 'free (Redis)', colour: '#f2cc60' },
] as const

/** @returns an SVG document */
export function drawRun(title: string, samples: readonly Sample[], marks: readonly Mark[]): string {
  const end = Math.max(...samples.map((s) => s.atMs), ...marks.map((m) => m.toMs), 1)
  const units = samples.flatMap((s) => [s.available, s.live, s.remaining]).filter((n) => n !== undefined)
  const [low, high] = [Math.min(0, ...units), Math.max(1, ...units)]
  const x = (ms: number) => LEFT + (ms / end) * (WIDTH - LEFT - RIGHT)
  const y = (n: number) => HEIGHT - BOTTOM - ((n - low) / (high - low)) * (HEIGHT - TOP - BOTTOM)
  const bands = marks.map(
    (mark, i) =>
      `<rect x="${x(mark.fromMs).toFixed(1)}" y="${TOP}" width="${Math.max(2, x(mark.toMs) - x(mark.fromMs)).toFixed(1)}" height="${HEIGHT - TOP - BOTTOM}" fill="#ff7b72" opacity="0.22"/>
<text x="${x(mark.fromMs).toFixed(1)}" y="${TOP - 34 + (i % 3) * 14}" fill="#ff7b72">${escape(mark.name)}</text>`,
  )
  const lines = LINES.map(({ of, colour }) =>
    runsOf(samples, of)
      .map((run) => run.map(([ms, n]) => `${x(ms).toFixed(1)},${y(n).toFixed(1)}`).join(' '))
      .map((points) => `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="2"/>`)
      .join('\n'),
  )
  const legend = LINES.map(
    ({ name, colour }, i) => `<text x="${LEFT + i * 190}" y="44" fill="${colour}">${name}</text>`,
  )
  const axes = [low, high].map(
    (n) => `<text x="${LEFT - 8}" y="${(y(n) + 4).toFixed(1)}" text-anchor="end">${n}</text>`,
  )
  const seconds = [0, end].map(
    (ms) =>
      `<text x="${x(ms).toFixed(1)}" y="${HEIGHT - 14}" text-anchor="middle">${(ms / 1_000).toFixed(0)} s</text>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#e6edf3">
<title>${escape(title)}</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<text x="${LEFT}" y="24" font-size="14">${escape(title)}</text>
${[...legend, ...bands, ...lines, ...axes, ...seconds].join('\n')}
</svg>
`
}

/** Points of one line; a store that did not answer leaves a gap. */
function runsOf(samples: readonly Sample[], of: 'available' | 'live' | 'remaining'): [number, number][][] {
  const runs: [number, number][][] = [[]]
  for (const sample of samples) {
    const n = sample[of]
    if (n === undefined) runs.push([])
    else runs.at(-1)?.push([sample.atMs, n])
  }
  return runs.filter((run) => run.length > 0)
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

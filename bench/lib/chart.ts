/** All ratios beside their goals as one picture. Each row has a scale of its own, with its goal in the same place. */
import { figure, goalText, spreadText, type Measured } from './summary.ts'

const WIDTH = 960
const TOP = 84
const ROW = 68
const LEFT = 28
/** Where the goal of every row stands, and how far bars may go. */
const GOAL_X = 520
const END_X = WIDTH - 28
const MET = '#7ee787'
const MISSED = '#ff7b72'

/** @param subtitle machine and versions @returns an SVG document */
export function drawChart(measured: readonly Measured[], subtitle: string): string {
  const height = TOP + measured.length * ROW + 16
  const title = 'Speed as ratios: median and range of the rounds, beside the goal'
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#e6edf3">
<title>${escape(title)}</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<text x="${LEFT}" y="30" font-size="15">${escape(title)}</text>
<text x="${LEFT}" y="50" fill="#8b949e">${escape(subtitle)}</text>
${measured.map((one, i) => rowOf(one, TOP + i * ROW)).join('\n')}
</svg>
`
}

function rowOf({ id, what, ratio, goal, met, subject, reference, unit }: Measured, top: number): string {
  const bound = goal.atLeast ?? goal.atMost ?? 1
  const x = (value: number) => Math.min(END_X, LEFT + (value / bound) * (GOAL_X - LEFT)).toFixed(1)
  const [middle, low, high] = [x(ratio.median), x(ratio.min), x(ratio.max)]
  const colour = met ? MET : MISSED
  const [bar, line] = [top + 20, top + 29]
  const absolute = `${figure(subject.median)} : ${figure(reference.median)} ${unit}`
  return [
    `<text x="${LEFT}" y="${top + 12}">${id}  ${escape(what)}</text>`,
    `<rect x="${LEFT}" y="${bar}" width="${(Number(middle) - LEFT).toFixed(1)}" height="18" rx="2" fill="${colour}" opacity="0.75"/>`,
    `<path d="M${low} ${line}H${high}M${low} ${line - 5}V${line + 5}M${high} ${line - 5}V${line + 5}" stroke="#e6edf3" fill="none"/>`,
    `<path d="M${GOAL_X} ${top + 16}V${top + 42}" stroke="#f2cc60" stroke-width="2" stroke-dasharray="4 3"/>`,
    `<text x="${LEFT}" y="${top + 54}" fill="${colour}">${spreadText(ratio)}</text>`,
    `<text x="${LEFT + 200}" y="${top + 54}" fill="#8b949e">${escape(absolute)}</text>`,
    `<text x="${GOAL_X}" y="${top + 54}" fill="#f2cc60" text-anchor="middle">goal ${escape(goalText(goal))}</text>`,
  ].join('\n')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

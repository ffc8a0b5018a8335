import type { VNode } from 'preact'
import type { PresentedReport } from '../../src/figures/present-sale.ts'
import { timeOfDay } from '../words.ts'

type Course = NonNullable<PresentedReport['course']>

const [WIDTH, HEIGHT] = [720, 220]
const FRAME = { left: 44, right: WIDTH - 52, top: 12, bottom: HEIGHT - 26 }

/** Orders a second as bars and free units as a line; drawn on the server, so that it prints and needs no script. */
export function CourseChart({ course }: { course: Course }): VNode {
  const { start, end, mostOrders, mostFree } = scalesOf(course)
  const words = `Orders a second, at most ${rateText(mostOrders / course.step_seconds)}, and free units, at most ${mostFree}.`
  return (
    <figure class="course">
      <div class="scroll">
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={words}>
          <path
            class="axis"
            d={`M${FRAME.left} ${FRAME.top}V${FRAME.bottom}H${FRAME.right}V${FRAME.top}`}
            fill="none"
          />
          <Bars course={course} />
          <path class="free" d={linePath(course)} fill="none" />
          <text x={FRAME.left - 6} y={FRAME.top + 10} text-anchor="end">
            {rateText(mostOrders / course.step_seconds)}
          </text>
          <text x={FRAME.left - 6} y={FRAME.bottom} text-anchor="end">
            0
          </text>
          <text x={FRAME.right + 6} y={FRAME.top + 10}>
            {mostFree}
          </text>
          <text x={FRAME.right + 6} y={FRAME.bottom}>
            0
          </text>
          <text x={FRAME.left} y={HEIGHT - 8}>
            {timeOfDay(start)}
          </text>
          <text x={FRAME.right} y={HEIGHT - 8} text-anchor="end">
            {timeOfDay(end)}
          </text>
        </svg>
      </div>
      <figcaption>
        <span class="key bars" /> orders a second (left) <span class="key line" /> free units (right)
        {course.step_seconds > 1 && `, in steps of ${course.step_seconds} s`}
      </figcaption>
    </figure>
  )
}

function Bars({ course }: { course: Course }): VNode {
  const { x, mostOrders } = scalesOf(course)
  const stepMs = course.step_seconds * 1_000
  return (
    <g class="orders">
      {course.points.map(({ at, orders }) => {
        const [from, to] = [x(Date.parse(at)), x(Date.parse(at) + stepMs)]
        const height = ((FRAME.bottom - FRAME.top) * orders) / mostOrders
        return (
          <rect
            key={at}
            x={digits(from)}
            y={digits(FRAME.bottom - height)}
            width={digits(Math.max(1, to - from - 1))}
            height={digits(height)}
          />
        )
      })}
    </g>
  )
}

/** What is free at the end of a step stays so until the end of the next one in which something happened. */
function linePath(course: Course): string {
  const { x, mostFree } = scalesOf(course)
  const y = (free: number) => digits(FRAME.bottom - ((FRAME.bottom - FRAME.top) * free) / mostFree)
  const stepMs = course.step_seconds * 1_000
  return course.points
    .map(({ at, free }, i) => {
      const to = digits(x(Date.parse(at) + stepMs))
      return i === 0 ? `M${FRAME.left} ${y(free)}H${to}` : `H${to}V${y(free)}`
    })
    .join('')
}

function scalesOf({ points, step_seconds }: Course) {
  const times = points.map(({ at }) => Date.parse(at))
  const start = Math.min(...times)
  const end = Math.max(...times) + step_seconds * 1_000
  const x = (ms: number) => FRAME.left + ((FRAME.right - FRAME.left) * (ms - start)) / (end - start)
  const mostOrders = Math.max(1, ...points.map(({ orders }) => orders))
  const mostFree = Math.max(1, ...points.map(({ free }) => free))
  return { start, end, x, mostOrders, mostFree }
}

function rateText(perSecond: number): string {
  return String(Number(perSecond.toPrecision(3)))
}

function digits(n: number): number {
  return Math.round(n * 10) / 10
}

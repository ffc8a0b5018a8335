/** The pages that ask before an action on a sale, and those that say what came of it. */
import type { ComponentChildren, VNode } from 'preact'
import type { Touched } from '../../src/figures/touched.ts'
import type { EventStatus } from '../../src/spike-events/model.ts'
import { maySteer, type DashboardContext } from '../context.ts'
import { Notice, PostForm, showPage } from '../page.tsx'
import { NumbersTable, numbersOf, type Numbers } from './numbers.tsx'
import { possibleIn, STATUS_WORDS, STEP_STATES, WORDS, type Action, type Step } from './words.ts'

interface ActionPage {
  action: Action
  event: Touched['event']
  productName: string
  /** What the last press has done. */
  done?: ComponentChildren
  /** Why nothing was done. */
  refused?: ComponentChildren
  status?: number
  children?: ComponentChildren
}

/** The answer to a form that was acted on: another page, which may be loaded as often as one likes. */
export function leadTo(ctx: DashboardContext, path: string): void {
  ctx.status = 303
  ctx.redirect(path)
}

export function showActionPage(ctx: DashboardContext, page: ActionPage): void {
  const { action, event, done, refused, children } = page
  showPage(ctx, {
    title: WORDS[action].title,
    section: 'sales',
    status: page.status ?? 200,
    body: (
      <>
        <h1>{WORDS[action].title}</h1>
        <p>
          <a href={`/sales/${event.id}`}>{page.productName}</a>, which is {STATUS_WORDS[event.status]}
        </p>
        {done && <Notice kind="ok">{done}</Notice>}
        {refused && <Notice kind="bad">{refused} Nothing was changed.</Notice>}
        {children}
        <p>
          <a href={`/sales/${event.id}`}>Back to the sale</a> ·{' '}
          <a href={`/audit?target=${event.id}`}>What was done to it</a>
        </p>
      </>
    ),
  })
}

/** What it does, the numbers it touches, and the button, for those who may press it. */
export function Confirm({
  ctx,
  action,
  numbers,
  children,
}: {
  ctx: DashboardContext
  action: Exclude<Action, 'repair'>
  numbers: Numbers
  children: ComponentChildren
}): VNode {
  return (
    <>
      <p>{WORDS[action].effect}</p>
      <NumbersTable lines={numbersOf(action, numbers)} />
      {maySteer(ctx) ? children : <Notice kind="info">You may look at this, and change nothing.</Notice>}
    </>
  )
}

/** @param shown what the button was shown for: pressed later, or twice, it does not act on something else */
export function ActionForm({
  ctx,
  action,
  eventId,
  shown,
  children,
}: {
  ctx: DashboardContext
  action: Action
  eventId: string
  shown: string | number
  children?: ComponentChildren
}): VNode {
  return (
    <PostForm ctx={ctx} action={`/sales/${eventId}/${action}`}>
      <input type="hidden" name="shown" value={shown} />
      {children}
      <button>{WORDS[action].button}</button>
    </PostForm>
  )
}

/** Of an action that the state of the sale does not allow. */
export function notPossible(action: Action, status: EventStatus): string {
  if (action in STEP_STATES && STEP_STATES[action as Step].to === status)
    return `The sale is ${STATUS_WORDS[status]} already.`
  const words = possibleIn(action).map((one) => STATUS_WORDS[one])
  return `The sale is ${STATUS_WORDS[status]}; this is for one that is ${words.join(' or ')}.`
}

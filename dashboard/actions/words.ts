/** What each action on a sale is, and what its answers are, in words. */
import type { EventStatus } from '../../src/spike-events/model.ts'

/** Actions that move a sale from one state to another. */
export const STEPS = ['pause', 'resume', 'end'] as const
export type Step = (typeof STEPS)[number]
export type Action = Step | 'stock' | 'rebuild' | 'repair'

export const WORDS: Record<Action, { title: string; button: string; effect: string }> = {
  pause: {
    title: 'Pause the sale',
    button: 'Pause the sale',
    effect:
      'From then on nobody can reserve: buyers are told that the sale is paused. What is reserved already is decided, orders can be paid and lapse as before. It can be resumed.',
  },
  resume: {
    title: 'Resume the sale',
    button: 'Resume the sale',
    effect: 'Buyers can reserve the free units again, at once, within the window of the sale.',
  },
  end: {
    title: 'End the sale',
    button: 'End the sale for good',
    effect:
      'It can not be undone. Nobody can reserve any more. Free units go back to the inventory of the product as soon as nothing is in flight; unpaid orders stay until they are paid or lapse, and units that lapse follow.',
  },
  stock: {
    title: 'Change the stock',
    button: 'Change the stock',
    effect:
      'Units move between the inventory of the product and the sale. Added units can be reserved at once; only units that no order has can be taken back.',
  },
  rebuild: {
    title: 'Rebuild from PostgreSQL',
    button: 'Rebuild',
    effect:
      'The gate is closed while what Redis knows of this sale is written anew from PostgreSQL, in a new epoch: buyers are asked to come again in a moment. What is in flight is kept. It sells nothing and loses nothing, whatever Redis held before.',
  },
  repair: {
    title: 'Repair drift',
    button: 'Repair',
    effect:
      'Both stores were compared twice, a moment apart. What lasts is brought in order by its rid, through the scripts that every verdict goes through, or by a rebuild where no rid explains it. PostgreSQL is never changed by it.',
  },
}

/** The states that a step leads from, and the one that it leads to. */
export const STEP_STATES: Record<Step, { from: readonly EventStatus[]; to: EventStatus }> = {
  pause: { from: ['published'], to: 'paused' },
  resume: { from: ['paused'], to: 'published' },
  end: { from: ['published', 'paused'], to: 'ended' },
}

/** States in which an action is possible. */
export function possibleIn(action: Action): readonly EventStatus[] {
  if (isStep(action)) return STEP_STATES[action].from
  return action === 'stock' ? ['published', 'paused'] : ['published', 'paused', 'ended']
}

export const STATUS_WORDS: Record<EventStatus, string> = {
  draft: 'a draft, and not on sale yet',
  published: 'on sale',
  paused: 'paused',
  ended: 'ended',
}

export function isAction(text: string | undefined): text is Action {
  return text !== undefined && Object.hasOwn(WORDS, text)
}

export function isStep(action: Action): action is Step {
  return (STEPS as readonly string[]).includes(action)
}

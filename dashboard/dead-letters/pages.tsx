/** The pages of dead letters: their groups, one letter, and the questions before a replay and a discard. */
import type { VNode } from 'preact'
import type { ExaminedLetter, Fate } from '../../src/dead-letters/fate.ts'
import type { KeptLetter, LetterGroup, LetterList } from '../../src/dead-letters/letters.ts'
import { maySteer, type DashboardContext } from '../context.ts'
import { maskBuyers, maskText } from '../masking.ts'
import { PostForm } from '../page.tsx'

const SHOWN_LETTERS = 50

export const FATE_WORDS: Record<Fate, string> = {
  settled: 'Nothing is owed any more: it is taken away.',
  owed: 'It is owed still: it is worked on again, and the letter goes when it is settled.',
  returned:
    'PostgreSQL knows nothing of it, or it can not be read: it is put back to where it died, and may die again.',
  hopeless: 'There is nothing that could be put back: read it, and discard it.',
}

export const letterPath = (address: string) => `/dead-letters/${encodeURIComponent(address)}`
export const groupPath = (fingerprint: string) => `/dead-letters/groups/${fingerprint}`

export function GroupsPage({
  ctx,
  list,
  failed,
}: {
  ctx: DashboardContext
  list: LetterList
  failed: Record<string, number>
}): VNode {
  return (
    <>
      <h1>Dead letters</h1>
      <p>
        {list.total} kept{list.scanned < list.total ? `; the oldest ${list.scanned} are grouped here` : ''}.
        The triage tries again what is still owed, ten times within about an hour, and takes away what is
        settled; the others are for people.
      </p>
      {list.groups.length === 0 ? <p>There are none.</p> : <Groups groups={list.groups} />}
      <h2>Failed jobs</h2>
      <p>
        {Object.entries(failed)
          .map(([step, count]) => `${step}: ${count}`)
          .join(', ')}
      </p>
      {maySteer(ctx) && (
        <p class="actions">
          <a class="button" href="/dead-letters/retry-failed">
            Try all failed jobs again
          </a>
        </p>
      )}
    </>
  )
}

function Groups({ groups }: { groups: readonly LetterGroup[] }): VNode {
  return (
    <div class="scroll">
      <table class="table">
        <thead>
          <tr>
            <th class="number">How many</th>
            <th>Died of</th>
            <th>Where</th>
            <th>Oldest</th>
            <th>Newest</th>
            <th class="number">Most replays</th>
          </tr>
        </thead>
        <tbody>
          {groups.map((group) => (
            <tr key={group.fingerprint}>
              <td class="number">{group.count}</td>
              <td>
                <a href={groupPath(group.fingerprint)}>{group.reason.slice(0, 200)}</a>
              </td>
              <td>
                {group.origin} <span class="muted">({group.source})</span>
              </td>
              <td>{group.oldest}</td>
              <td>{group.newest}</td>
              <td class="number">{group.maxReplays}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** What a replay would do now, by number of letters. */
export function Fates({ fates }: { fates: Record<Fate, number> }): VNode {
  return (
    <table class="table">
      <tbody>
        {Object.entries(fates).map(([fate, count]) => (
          <tr key={fate}>
            <td class="number">{count}</td>
            <td>{FATE_WORDS[fate as Fate]}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

interface ButtonsProps {
  ctx: DashboardContext
  path: string
  letters: number
}

/** The presses themselves, on the page that tells what they touch. */
export function Buttons({ ctx, path, letters }: ButtonsProps): VNode | null {
  if (!maySteer(ctx)) return null
  const them = letters === 1 ? 'this letter' : `these ${letters} letters`
  return (
    <>
      <PostForm ctx={ctx} action={`${path}/replay`}>
        <button>Replay {them}</button>
      </PostForm>
      <PostForm ctx={ctx} action={`${path}/discard`}>
        <label>
          Why it is of no use to anybody
          <input name="reason" maxLength={200} required />
        </label>
        <button>Discard {them}</button>
        <p class="muted">What owes somebody a verdict is kept.</p>
      </PostForm>
    </>
  )
}

export function GroupPage({
  ctx,
  group,
  letters,
  fates,
}: {
  ctx: DashboardContext
  group: LetterGroup
  /** The oldest of them, whose fates these are. */
  letters: readonly KeptLetter[]
  fates: Record<Fate, number>
}): VNode {
  const path = groupPath(group.fingerprint)
  return (
    <>
      <h1>
        {group.count} dead {group.count === 1 ? 'letter' : 'letters'} of {group.origin}
      </h1>
      <p>{group.reason}</p>
      <h2>What a replay would do</h2>
      {letters.length < group.count && <p>With the oldest {letters.length} of them, as things stand:</p>}
      <Fates fates={fates} />
      <Buttons ctx={ctx} path={path} letters={group.count} />
      <h2>The oldest of them</h2>
      <ul>
        {letters.slice(0, SHOWN_LETTERS).map(({ address, letter }) => (
          <li key={address}>
            <a href={letterPath(address)}>{letter.id}</a>{' '}
            <span class="muted">
              died {letter.dead_at}, replayed {letter.replays} times
            </span>
          </li>
        ))}
      </ul>
    </>
  )
}

export function LetterPage({
  ctx,
  examined,
  fingerprint,
  jobState,
  replayedBy,
}: {
  ctx: DashboardContext
  examined: ExaminedLetter
  fingerprint: string
  /** Of the job that works on what it owes. */
  jobState: string | undefined
  replayedBy: string | undefined
}): VNode {
  const { address, letter, debt, standing, fate } = examined
  const lines: [string, string | number | undefined][] = [
    ['Died in', `${letter.origin} (${letter.source})`],
    ['Died of', maskText(letter.reason)],
    ['Died at', letter.dead_at],
    ['Tries before', letter.attempts],
    ['Replays', letter.replays],
    ['Last replay', letter.replayed_at],
    ['By', replayedBy],
    ['Owes', debt === undefined ? 'nothing that can be told' : `${debt.kind} of ${debt.id}`],
    ['By PostgreSQL that is', standing],
    ['Its job is', jobState],
  ]
  return (
    <>
      <h1>A dead letter</h1>
      <table class="table">
        <tbody>
          {lines.map(
            ([label, value]) =>
              value !== undefined && (
                <tr key={label}>
                  <th scope="row">{label}</th>
                  <td>{value}</td>
                </tr>
              ),
          )}
        </tbody>
      </table>
      <p>
        <a href={groupPath(fingerprint)}>All of this kind</a>
        {debt && (
          <>
            {' '}
            · <a href={`/look-up?q=${debt.id}`}>Look up {debt.id}</a>
          </>
        )}
      </p>
      <h2>Payload{letter.cut === true && ', a part of it'}</h2>
      <pre>{shownPayload(letter.payload)}</pre>
      <h2>What a replay would do</h2>
      <p>{FATE_WORDS[fate]}</p>
      <Buttons ctx={ctx} path={letterPath(address)} letters={1} />
    </>
  )
}

/** Buyers are not named here. */
function shownPayload(payload: unknown): string {
  const masked = maskBuyers(payload)
  if (typeof masked !== 'string') return JSON.stringify(masked, null, 2) ?? ''
  return masked
}

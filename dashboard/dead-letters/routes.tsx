/** Dead letters: what they are, what a replay would do, and the presses. */
import { Router } from '@koa/router'
import { z } from 'zod'
import { jobOf, type Debt } from '../../src/dead-letters/debts.ts'
import { discardLetters, discardReason } from '../../src/dead-letters/discard.ts'
import { fingerprintOf, listDeadLetters, type Selection } from '../../src/dead-letters/letters.ts'
import {
  examineOne,
  planReplay,
  replayLetters,
  type DeadLetterDependencies,
} from '../../src/dead-letters/replay.ts'
import { countFailed, retryFailed } from '../../src/dead-letters/retry.ts'
import { actorOf, maySteer, type DashboardContext } from '../context.ts'
import { Notice, PostForm, showPage } from '../page.tsx'
import { GroupPage, groupPath, GroupsPage, LetterPage, letterPath } from './pages.tsx'
import { wordsOfDiscard, wordsOfReplay, wordsOfRetry, type Answer } from './words.ts'

/** Of a group, the oldest ones whose fates are found out. */
const MAX_PLANNED = 500
const fingerprint = z.string().regex(/^[0-9a-f]{16}$/)
const address = z.string().regex(/^\P{Cc}{1,300}$/u)
const discardForm = z.object({ reason: discardReason })

export function deadLetterRoutes(deps: DeadLetterDependencies): Router {
  const router = new Router()
  router.get('/dead-letters', (ctx) => showGroups(ctx, deps))
  router.get('/dead-letters/retry-failed', (ctx) => askRetry(ctx, deps))
  router.post('/dead-letters/retry-failed', async (ctx) => {
    const outcome = await retryFailed(deps, actorOf(ctx))
    showAnswer(ctx, wordsOfRetry(outcome), '/dead-letters')
  })
  router.get('/dead-letters/groups/:group', (ctx) => showGroup(ctx, deps, ctx.params.group))
  router.get('/dead-letters/:address', (ctx) => showLetter(ctx, deps, ctx.params.address))
  for (const path of ['/dead-letters/groups/:group', '/dead-letters/:address'])
    for (const [press, act] of [
      ['replay', replay],
      ['discard', discard],
    ] as const)
      router.post(`${path}/${press}`, async (ctx) => {
        const selection = selectionOf(ctx.params)
        if (selection !== undefined) await act(ctx, deps, selection)
      })
  return router
}

function selectionOf(params: Record<string, string>): Selection | undefined {
  const group = fingerprint.safeParse(params.group).data
  if (group !== undefined) return { group }
  const one = address.safeParse(params.address).data
  return one === undefined ? undefined : { address: one }
}

async function showGroups(ctx: DashboardContext, deps: DeadLetterDependencies): Promise<void> {
  const [list, failed] = await Promise.all([
    listDeadLetters(deps.deadLetters.queue, { offset: 0, limit: 0 }),
    countFailed(deps),
  ])
  const body = <GroupsPage ctx={ctx} list={list} failed={failed} />
  showPage(ctx, { title: 'Dead letters', section: 'dead-letters', body })
}

/** A group that is empty by now is no missing page: it is what people wait for. */
async function showGroup(
  ctx: DashboardContext,
  deps: DeadLetterDependencies,
  param: string | undefined,
): Promise<void> {
  const { data: group } = fingerprint.safeParse(param)
  if (group === undefined) return
  const list = await listDeadLetters(deps.deadLetters.queue, { group, offset: 0, limit: MAX_PLANNED })
  const found = list.groups.find((one) => one.fingerprint === group)
  if (found === undefined)
    return showAnswer(
      ctx,
      { kind: 'info', lines: ['There are no letters of this kind any more.'] },
      '/dead-letters',
    )
  const { letters } = list
  const body = <GroupPage ctx={ctx} group={found} letters={letters} fates={await planReplay(deps, letters)} />
  return showPage(ctx, { title: 'Dead letters of one kind', section: 'dead-letters', body })
}

async function showLetter(
  ctx: DashboardContext,
  deps: DeadLetterDependencies,
  param: string | undefined,
): Promise<void> {
  const { data } = address.safeParse(param)
  const examined = data === undefined ? undefined : await examineOne(deps, data)
  if (examined === undefined) return
  const { letter, debt } = examined
  const by = letter.replayed_by
  const person = by === undefined ? undefined : await deps.knex('users').where({ id: by }).first('email')
  const body = (
    <LetterPage
      ctx={ctx}
      examined={examined}
      fingerprint={fingerprintOf(letter)}
      jobState={debt && (await jobStateOf(deps, debt))}
      replayedBy={person?.email ?? by}
    />
  )
  showPage(ctx, { title: 'A dead letter', section: 'dead-letters', body })
}

async function jobStateOf(deps: DeadLetterDependencies, debt: Debt): Promise<string> {
  const { queue, jobId } = jobOf(deps, debt)
  const job = await queue.getJob(jobId)
  return job === undefined ? 'not there' : job.getState()
}

async function replay(
  ctx: DashboardContext,
  deps: DeadLetterDependencies,
  selection: Selection,
): Promise<void> {
  const outcome = await replayLetters(deps, selection, actorOf(ctx))
  showAnswer(ctx, wordsOfReplay(outcome), backFrom(selection), outcome.kind === 'busy' ? 409 : 200)
}

async function discard(
  ctx: DashboardContext,
  deps: DeadLetterDependencies,
  selection: Selection,
): Promise<void> {
  const input = discardForm.safeParse(ctx.request.body)
  if (!input.success) {
    const lines = ['Say why, in 1 to 200 characters. Nothing was changed.']
    return showAnswer(ctx, { kind: 'bad', lines }, backFrom(selection), 400)
  }
  const outcome = await discardLetters(deps, selection, input.data.reason, actorOf(ctx))
  return showAnswer(ctx, wordsOfDiscard(outcome), backFrom(selection), outcome.kind === 'busy' ? 409 : 200)
}

function backFrom(selection: Selection): string {
  return 'group' in selection ? groupPath(selection.group) : letterPath(selection.address)
}

async function askRetry(ctx: DashboardContext, deps: DeadLetterDependencies): Promise<void> {
  const failed = await countFailed(deps)
  const total = Object.values(failed).reduce((sum, count) => sum + count, 0)
  const body = (
    <>
      <h1>Try all failed jobs again</h1>
      <ul>
        {Object.entries(failed).map(([step, count]) => (
          <li key={step}>
            {step}: {count}
          </li>
        ))}
      </ul>
      <p>
        Each gets all its attempts again. What is done already is done once: every step asks PostgreSQL first.
      </p>
      {maySteer(ctx) && total > 0 && (
        <PostForm ctx={ctx} action="/dead-letters/retry-failed">
          <button>Try {total} again</button>
        </PostForm>
      )}
    </>
  )
  showPage(ctx, { title: 'Try all failed jobs again', section: 'dead-letters', body })
}

function showAnswer(ctx: DashboardContext, { kind, lines }: Answer, back: string, status = 200): void {
  const body = (
    <>
      <h1>Dead letters</h1>
      <Notice kind={kind}>{lines.join(' ')}</Notice>
      <p>
        <a href={back}>Back</a> · <a href="/dead-letters">All dead letters</a>
      </p>
    </>
  )
  showPage(ctx, { title: 'Dead letters', section: 'dead-letters', status, body })
}

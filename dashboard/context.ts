import type { Context, ParameterizedContext } from 'koa'
import { z } from 'zod'
import type { Actor } from '../src/audit/audit.ts'
import { id } from '../src/contracts/values.ts'
import type { StaffClaims, StaffSession } from '../src/users/staff-sessions.ts'

export interface DashboardState {
  requestId: string
  /** Of whoever is logged in; everything behind the session check may rely on it. */
  session: StaffSession & {
    /** What forms and scripts have to send back with every write. */
    csrf: string
    claims: StaffClaims
  }
  /** Shown on every page. */
  environment: string
}

/** What the handlers of the dashboard get. */
export type DashboardContext = ParameterizedContext<DashboardState> & {
  request: Context['request'] & { body?: unknown }
}

/** Whether this session may change anything: it decides what is shown; the guard of writes decides what is done. */
export function maySteer(ctx: DashboardContext): boolean {
  return ctx.state.session.role === 'operator' || ctx.state.session.role === 'admin'
}

const keyed = z.object({ idempotency_key: id })

/** Who acts, for the audit log; a form that is sent twice has the same key. */
export function actorOf(ctx: DashboardContext): Actor {
  return {
    userId: ctx.state.session.userId,
    requestId: ctx.state.requestId,
    idempotencyKey: keyed.safeParse(ctx.request.body).data?.idempotency_key,
  }
}

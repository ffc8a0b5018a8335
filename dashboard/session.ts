/** The way into the dashboard: a login form, a session cookie, and the checks in front of everything else. */
import { randomUUID, type KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import type { Context, Next } from 'koa'
import koaJwt from 'koa-jwt'
import { z } from 'zod'
import { DEVICE_TOKEN_TTL_S, issueDeviceToken } from '../src/users/device-token.ts'
import { logIn } from '../src/users/log-in.ts'
import type { LoginLimit } from '../src/users/login-limit.ts'
import type { User } from '../src/users/model.ts'
import {
  endStaffSession,
  issueStaffToken,
  readStaffSession,
  STAFF,
  STAFF_SESSION_S,
  staffClaimsSchema,
} from '../src/users/staff-sessions.ts'
import { TOKEN_ALGORITHM, TOKEN_ISSUER } from '../src/users/tokens.ts'
import { maySteer, type DashboardContext } from './context.ts'
import { CSRF_COOKIE, csrfToken, hasCsrfToken } from './csrf.ts'
import { loginPage } from './login-page.ts'

const COOKIE = 'spike_dashboard'
/** Stays after the logout, so that nobody locks an operator out of a browser that he has used before. */
const DEVICE_COOKIE = 'spike_device'
const REFUSED = 'E-mail or password is wrong, or the account may not see the dashboard.'
const credentials = z.object({ email: z.email().max(254), password: z.string().min(1).max(128) })

export interface SessionDependencies {
  key: KeyObject
  csrfKey: KeyObject
  knex: Knex
  loginLimit: LoginLimit
  /** Cookies only over HTTPS. */
  secure: boolean
  /** Where a login leads to. */
  home: string
}

type Middleware = (ctx: DashboardContext, next: Next) => Promise<void>

/** Serves `/login`. */
export function loginRoutes(deps: SessionDependencies): (ctx: Context, next: Next) => Promise<void> {
  return async (ctx, next) => {
    if (ctx.path !== '/login') return next()
    if (ctx.method === 'GET') showLogin(ctx, undefined, 200)
    if (ctx.method === 'POST') await answerLogin(ctx, deps)
  }
}

/** Lets staff pass; reads the account on every request, so that a change of it counts at once. */
export function requireSession(deps: SessionDependencies): Middleware {
  const check = koaJwt({
    secret: async () => deps.key as never, // the library's type lacks key objects
    algorithms: [TOKEN_ALGORITHM],
    issuer: TOKEN_ISSUER,
    audience: 'dashboard',
    cookie: COOKIE,
    key: 'token',
    passthrough: true,
    getToken: (ctx) => ctx.cookies.get(COOKIE) ?? null,
  })
  return async (ctx, next) => {
    await check(ctx, async () => undefined)
    const { data: claims } = staffClaimsSchema.safeParse((ctx.state as { token?: unknown }).token)
    const session = claims && (await readStaffSession(deps.knex, claims))
    if (claims !== undefined && session !== undefined) {
      ctx.state.session = { ...session, claims, csrf: csrfToken(deps.csrfKey, session.id) }
      return next()
    }
    if (ctx.method === 'GET' && ctx.accepts('html') !== false && !ctx.path.includes('/api/'))
      return ctx.redirect('/login')
    refuse(ctx, 401, 'UNAUTHENTICATED', 'Log in as viewer, operator or admin.')
  }
}

/** Every write shows that it comes from a page of its own session. */
export function requireCsrfToken(): Middleware {
  return async (ctx, next) => {
    if (isRead(ctx) || hasCsrfToken(ctx)) return next()
    refuse(ctx, 403, 'FORBIDDEN', 'The page is out of date: load it again and repeat.')
  }
}

/** The one check of rights: whoever can't steer can't write, on whatever route. */
export function requireSteering(): Middleware {
  return async (ctx, next) => {
    if (isRead(ctx) || maySteer(ctx)) return next()
    refuse(ctx, 403, 'FORBIDDEN', 'A viewer changes nothing.')
  }
}

/** Ends the session, also for whoever has copied its cookie. */
export function logoutRoute(deps: SessionDependencies): Middleware {
  return async (ctx, next) => {
    if (ctx.path !== '/logout' || ctx.method !== 'POST') return next()
    await endStaffSession(deps.knex, ctx.state.session.claims)
    allowSecureCookies(ctx, deps)
    ctx.cookies.set(COOKIE, null, cookieOptions(deps))
    ctx.cookies.set(CSRF_COOKIE, null, { ...cookieOptions(deps), httpOnly: false })
    ctx.redirect('/login')
  }
}

/** Refuses writes that another site's page makes the browser send. */
export function refuseCrossSite(): (ctx: Context, next: Next) => Promise<void> {
  return async (ctx, next) => {
    const site = ctx.get('Sec-Fetch-Site')
    const origin = ctx.get('Origin')
    // Browsers say where a request comes from in Sec-Fetch-Site; older ones, and other programs, in Origin at most.
    const foreign = site === '' ? origin !== '' && hostOf(origin) !== ctx.host : site !== 'same-origin'
    if (isRead(ctx) || !foreign) return next()
    refuse(ctx, 403, 'FORBIDDEN', 'Requests from other sites are refused.')
  }
}

async function answerLogin(ctx: Context, deps: SessionDependencies): Promise<void> {
  allowSecureCookies(ctx, deps)
  const input = credentials.safeParse((ctx.request as { body?: unknown }).body)
  if (!input.success) return showLogin(ctx, REFUSED, 401)
  const attempt = { ...input.data, ip: ctx.ip, deviceToken: ctx.cookies.get(DEVICE_COOKIE) }
  const result = await logIn(deps, attempt, (user) => STAFF.includes(user.role))
  switch (result.kind) {
    case 'limited':
      ctx.set('Retry-After', String(result.retryAfterS))
      return showLogin(ctx, `Too many tries. Wait ${result.retryAfterS} s.`, 429)
    case 'not_ready':
    case 'overloaded':
      ctx.set('Retry-After', '2')
      return showLogin(ctx, 'Logins are not possible right now. Try again shortly.', 503)
    case 'refused':
      return showLogin(ctx, REFUSED, 401)
    case 'authenticated':
      setCookies(ctx, deps, result.user)
      return ctx.redirect(deps.home)
  }
}

function setCookies(ctx: Context, deps: SessionDependencies, user: User): void {
  const { token, id } = issueStaffToken(deps.key, user)
  ctx.cookies.set(COOKIE, token, cookieOptions(deps))
  const device = issueDeviceToken(deps.key, user.email, randomUUID())
  ctx.cookies.set(DEVICE_COOKIE, device, { ...cookieOptions(deps, DEVICE_TOKEN_TTL_S), path: '/login' })
  // Read by the script of Bull Board's page, which sends it back as a header.
  ctx.cookies.set(CSRF_COOKIE, csrfToken(deps.csrfKey, id), { ...cookieOptions(deps), httpOnly: false })
}

function isRead(ctx: { method: string }): boolean {
  return ['GET', 'HEAD', 'OPTIONS'].includes(ctx.method)
}

function refuse(ctx: Context | DashboardContext, status: number, error: string, message: string): void {
  ctx.status = status
  ctx.body = { error, message }
}

/** TLS ends at the proxy in front: the cookie is marked secure although this server speaks plain HTTP. */
function allowSecureCookies(ctx: Context | DashboardContext, deps: SessionDependencies): void {
  if (deps.secure) ctx.cookies.secure = true
}

function cookieOptions(deps: SessionDependencies, maxAgeS = STAFF_SESSION_S) {
  return {
    httpOnly: true,
    sameSite: 'strict' as const,
    secure: deps.secure,
    maxAge: maxAgeS * 1_000,
    signed: false,
  }
}

function showLogin(ctx: Context, problem: string | undefined, status: number): void {
  ctx.status = status
  ctx.type = 'html'
  ctx.body = loginPage(problem)
}

function hostOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).host : ''
}

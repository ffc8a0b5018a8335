/** The way into the dashboard: a login form, a session cookie, and the check in front of everything else. */
import { randomUUID, type KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import type { Context, Next } from 'koa'
import koaJwt from 'koa-jwt'
import { z } from 'zod'
import { standingOf } from '../src/users/accounts.ts'
import { DEVICE_TOKEN_TTL_S, issueDeviceToken } from '../src/users/device-token.ts'
import { logIn } from '../src/users/log-in.ts'
import type { LoginLimit } from '../src/users/login-limit.ts'
import type { Role, User } from '../src/users/model.ts'
import { claimsSchema, issueToken, TOKEN_ALGORITHM, TOKEN_ISSUER } from '../src/users/tokens.ts'
import { loginPage } from './login-page.ts'

const COOKIE = 'spike_dashboard'
const SESSION_S = 8 * 3_600
/** Stays after the logout, so that nobody locks an operator out of a browser that he has used before. */
const DEVICE_COOKIE = 'spike_device'
const ALLOWED_ROLES: readonly Role[] = ['operator', 'admin']
const REFUSED = 'E-mail or password is wrong, or the account is no operator.'
const credentials = z.object({ email: z.email().max(254), password: z.string().min(1).max(128) })

export interface SessionDependencies {
  key: KeyObject
  knex: Knex
  loginLimit: LoginLimit
  /** Cookies only over HTTPS. */
  secure: boolean
  /** Where a login leads to. */
  home: string
}

type Middleware = (ctx: Context, next: Next) => Promise<void>

/** Serves `/login` and `/logout`. */
export function loginRoutes(deps: SessionDependencies): Middleware {
  return async (ctx, next) => {
    if (ctx.path === '/login' && ctx.method === 'GET') return showLogin(ctx, undefined, 200)
    if (ctx.path === '/login' && ctx.method === 'POST') return answerLogin(ctx, deps)
    if (ctx.path === '/logout' && ctx.method === 'POST') {
      allowSecureCookies(ctx, deps)
      ctx.cookies.set(COOKIE, null, cookieOptions(deps))
      return ctx.redirect('/login')
    }
    await next()
  }
}

/** Lets only operators and admins pass; reads the account on every request, so that a change of it counts at once. */
export function requireOperator(deps: SessionDependencies): Middleware {
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
    const claims = claimsSchema.safeParse(ctx.state.token)
    const standing = claims.success ? await standingOf(deps.knex, claims.data) : undefined
    if (standing?.kind === 'current' && ALLOWED_ROLES.includes(standing.role)) return next()
    if (ctx.method === 'GET' && ctx.accepts('html') !== false && !ctx.path.includes('/api/'))
      return ctx.redirect('/login')
    ctx.status = 401
    ctx.body = { error: 'UNAUTHENTICATED', message: 'Log in as operator or admin.' }
  }
}

/** Refuses writes that another site's page makes the browser send. */
export function refuseCrossSite(): Middleware {
  return async (ctx, next) => {
    const safe = ['GET', 'HEAD', 'OPTIONS'].includes(ctx.method)
    const site = ctx.get('Sec-Fetch-Site')
    const origin = ctx.get('Origin')
    // Browsers say where a request comes from in Sec-Fetch-Site; older ones, and other programs, in Origin at most.
    const foreign = site === '' ? origin !== '' && hostOf(origin) !== ctx.host : site !== 'same-origin'
    if (safe || !foreign) return next()
    ctx.status = 403
    ctx.body = { error: 'FORBIDDEN', message: 'Requests from other sites are refused.' }
  }
}

async function answerLogin(ctx: Context, deps: SessionDependencies): Promise<void> {
  allowSecureCookies(ctx, deps)
  const input = credentials.safeParse((ctx.request as { body?: unknown }).body)
  if (!input.success) return showLogin(ctx, REFUSED, 401)
  const attempt = { ...input.data, ip: ctx.ip, deviceToken: ctx.cookies.get(DEVICE_COOKIE) }
  const result = await logIn(deps, attempt, (user) => ALLOWED_ROLES.includes(user.role))
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
  ctx.cookies.set(COOKIE, issueToken(deps.key, user, 'dashboard', SESSION_S), cookieOptions(deps))
  const device = issueDeviceToken(deps.key, user.email, randomUUID())
  ctx.cookies.set(DEVICE_COOKIE, device, { ...cookieOptions(deps, DEVICE_TOKEN_TTL_S), path: '/login' })
}

/** TLS ends at the proxy in front: the cookie is marked secure although this server speaks plain HTTP. */
function allowSecureCookies(ctx: Context, deps: SessionDependencies): void {
  if (deps.secure) ctx.cookies.secure = true
}

function cookieOptions(deps: SessionDependencies, maxAgeS = SESSION_S) {
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

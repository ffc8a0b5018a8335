/** The way into the dashboard: a login form, a session cookie, and the check in front of everything else. */
import type { KeyObject } from 'node:crypto'
import type { Knex } from 'knex'
import type { Context, Next } from 'koa'
import koaJwt from 'koa-jwt'
import { z } from 'zod'
import { authenticate, currentRole } from '../src/users/accounts.ts'
import type { LoginLimit } from '../src/users/login-limit.ts'
import { claimsSchema, issueToken, TOKEN_ALGORITHM, TOKEN_ISSUER } from '../src/users/tokens.ts'
import { loginPage } from './login-page.ts'

const COOKIE = 'spike_dashboard'
const SESSION_S = 8 * 3_600
const ALLOWED_ROLES = ['operator', 'admin']
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
    if (ctx.path === '/login' && ctx.method === 'POST') return logIn(ctx, deps)
    if (ctx.path === '/logout' && ctx.method === 'POST') {
      allowSecureCookies(ctx, deps)
      ctx.cookies.set(COOKIE, null, cookieOptions(deps))
      return ctx.redirect('/login')
    }
    await next()
  }
}

/** Lets only operators and admins pass; asks the database for the role, so a demotion counts at once. */
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
    const role = claims.success ? await currentRole(deps.knex, claims.data.sub) : undefined
    if (role !== undefined && ALLOWED_ROLES.includes(role)) return next()
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

async function logIn(ctx: Context, deps: SessionDependencies): Promise<void> {
  const body = (ctx.request as { body?: unknown }).body
  allowSecureCookies(ctx, deps)
  const limit = await deps.loginLimit({ ip: ctx.ip, email: (body as { email?: unknown } | undefined)?.email })
  if (limit.kind === 'limited') {
    ctx.set('Retry-After', String(limit.retryAfterS))
    return showLogin(ctx, `Too many tries. Wait ${limit.retryAfterS} s.`, 429)
  }
  const input = credentials.safeParse(body)
  const result = input.success ? await authenticate(deps.knex, input.data) : { kind: 'refused' as const }
  if (result.kind === 'refused' || !ALLOWED_ROLES.includes(result.user.role))
    return showLogin(ctx, 'E-mail or password is wrong, or the account is no operator.', 401)
  ctx.cookies.set(COOKIE, issueToken(deps.key, result.user, 'dashboard', SESSION_S), cookieOptions(deps))
  ctx.redirect(deps.home)
}

/** TLS ends at the proxy in front: the cookie is marked secure although this server speaks plain HTTP. */
function allowSecureCookies(ctx: Context, deps: SessionDependencies): void {
  if (deps.secure) ctx.cookies.secure = true
}

function cookieOptions(deps: SessionDependencies) {
  return {
    httpOnly: true,
    sameSite: 'strict' as const,
    secure: deps.secure,
    maxAge: SESSION_S * 1_000,
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

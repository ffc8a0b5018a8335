/** The way into the dashboard, as a browser walks it. */
import { expect } from 'chai'
import type { Account } from '../factories/accounts.ts'
import type { Client, Reply } from './http.ts'

/** Sends the login form. */
export function sendLogin(
  dashboard: Client,
  input: { email: string; password: string },
  headers: Record<string, string> = {},
): Promise<Reply<unknown>> {
  return dashboard('POST', '/login', {
    raw: new URLSearchParams({ email: input.email, password: input.password }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  })
}

/** @returns headers of a logged-in browser, with the word that its pages send with every write */
export async function logIn(
  dashboard: Client,
  account: Account,
): Promise<{ cookie: string; 'x-xsrf-token': string }> {
  const reply = await sendLogin(dashboard, account)
  expect(`${reply.status} ${reply.headers.get('location')}`).to.equal('302 /sales')
  return { cookie: cookieOf(reply), 'x-xsrf-token': valueOf(reply, 'XSRF-TOKEN') }
}

/** The cookie of the session that an answer sets, as the browser would send it back. */
export function cookieOf(reply: Reply<unknown>): string {
  return `spike_dashboard=${valueOf(reply, 'spike_dashboard')}`
}

function valueOf(reply: Reply<unknown>, name: string): string {
  const cookie = reply.headers.getSetCookie().find((one) => one.startsWith(`${name}=`))
  return cookie?.slice(name.length + 1).split(';')[0] ?? ''
}

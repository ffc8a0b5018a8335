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

/** @returns headers of a logged-in browser */
export async function logIn(dashboard: Client, account: Account): Promise<{ cookie: string }> {
  const reply = await sendLogin(dashboard, account)
  expect(`${reply.status} ${reply.headers.get('location')}`).to.equal('302 /queues')
  return { cookie: cookieOf(reply) }
}

/** The cookie that an answer sets, as the browser would send it back. */
export function cookieOf(reply: Reply<unknown>): string {
  const [cookie = ''] = (reply.headers.getSetCookie()[0] ?? '').split(';')
  return cookie
}

/** Accounts and sessions as their owner meets them: over HTTP. */
import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import type { Client, Reply } from './http.ts'

export interface SessionData {
  access_token: string
  token_type: string
  expires_in: number
  refresh_token: string
  refresh_expires_in: number
  device_token: string
  user: { id: string; email: string; role: string }
}

export const PASSWORD = 'correct horse battery'

export function newEmail(): string {
  return `a-${randomBytes(6).toString('hex')}@spike.test`
}

/** Registers a new account. */
export async function openAccount(api: Client): Promise<SessionData> {
  const json = { email: newEmail(), password: PASSWORD }
  const reply = await api<SessionData>('POST', '/auth/register', { json })
  expect(reply.status, reply.text).to.equal(201)
  return reply.body.data
}

export function login(
  api: Client,
  email: unknown,
  password: unknown = PASSWORD,
  more: { deviceToken?: string; headers?: Record<string, string> } = {},
): Promise<Reply<SessionData>> {
  const device = more.deviceToken === undefined ? {} : { device_token: more.deviceToken }
  return api<SessionData>('POST', '/auth/login', {
    json: { email, password, ...device },
    headers: more.headers ?? {},
  })
}

export function refresh(api: Client, refreshToken: unknown, token?: string): Promise<Reply<SessionData>> {
  return api<SessionData>('POST', '/auth/refresh', { token, json: { refresh_token: refreshToken } })
}

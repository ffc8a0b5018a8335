/** Typed requests to a running process, and what every refusal of it has to look like. */
import { expect } from 'chai'
import { expectDeclared } from './conformance.ts'

export interface Envelope<Data> {
  code: number
  message: string
  error?: string
  data: Data
  request_id: string
}

export interface Reply<Data> {
  status: number
  headers: Headers
  text: string
  /** The text read as JSON; an empty object when it is none. */
  body: Envelope<Data>
}

export interface Ask {
  token?: string | undefined
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it is; the content type is JSON unless the headers say otherwise. */
  raw?: string | Uint8Array<ArrayBuffer> | ReadableStream
  headers?: Record<string, string>
}

export type Client = <Data = Record<string, unknown>>(
  method: string,
  path: string,
  ask?: Ask,
) => Promise<Reply<Data>>

/** A client that follows no redirects and accepts only what the contract declares. @param baseUrl what every path is put behind */
export function createClient(baseUrl: string): Client {
  return async <Data>(method: string, path: string, { token, json, raw, headers = {} }: Ask = {}) => {
    const body = raw ?? (json === undefined ? undefined : JSON.stringify(json))
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body, duplex: 'half' }),
    })
    const text = await response.text()
    const reply = {
      status: response.status,
      headers: response.headers,
      text,
      body: readEnvelope<Data>(text),
    }
    // The dashboard has routes of its own, and no request ids.
    if (reply.headers.has('x-request-id')) expectDeclared(method, new URL(response.url).pathname, reply)
    return reply
  }
}

/** Holds a refusal against the contract: status, name, number, request id, and nothing of our insides. */
export function expectRefusal(reply: Reply<unknown>, status: number, error: string): void {
  expect(`${reply.status} ${reply.body.error}`, reply.text).to.equal(`${status} ${error}`)
  expect(Math.floor(reply.body.code / 100), 'number of the error').to.equal(status)
  expect(reply.body.message, 'text of the error').to.be.a('string').that.is.not.empty
  expect(reply.body.request_id, 'request id in the body')
    .to.be.a('string')
    .that.equals(reply.headers.get('x-request-id'))
  expect(reply.text, 'insides').to.not.match(/stack|node_modules|\.ts:|\.js:|\bat \w+.*\(|SELECT|INSERT/)
}

export function readEnvelope<Data>(text: string): Envelope<Data> {
  try {
    return JSON.parse(text) as Envelope<Data>
  } catch {
    return {} as Envelope<Data>
  }
}

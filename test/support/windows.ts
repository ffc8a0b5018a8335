/** What answers tell of the windows that their requests were counted in. */
import { expect } from 'chai'
import { expectRefusal, type Reply } from './http.ts'

/** What the headers tell: name and size of the window, what is left, seconds to its end. */
export function windowOf(reply: Reply<unknown>) {
  const policy = /^"(\w+)";q=(\d+);w=(\d+)$/.exec(reply.headers.get('ratelimit-policy') ?? '')
  const state = /^"(\w+)";r=(\d+);t=(\d+)$/.exec(reply.headers.get('ratelimit') ?? '')
  if (policy === null || state === null) return undefined
  expect(state[1], 'names').to.equal(policy[1])
  return {
    name: policy[1],
    points: Number(policy[2]),
    seconds: Number(policy[3]),
    left: Number(state[2]),
    resetS: Number(state[3]),
  }
}

/** A refusal that says when the window ends. */
export function expectLimited(reply: Reply<unknown>): void {
  expectRefusal(reply, 429, 'RATE_LIMITED')
  const window = windowOf(reply)
  expect(window?.left).to.equal(0)
  expect(Number(reply.headers.get('retry-after'))).to.equal(window?.resetS)
}

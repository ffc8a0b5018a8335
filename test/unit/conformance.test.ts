import { AssertionError, expect } from 'chai'
import { describe, it } from 'mocha'
import { expectDeclared } from '../support/conformance.ts'

const ID = '01890000-0000-7000-8000-000000000000'
const user = { id: ID, email: 'a@spike.test', role: 'user' }

function answer(status: number, body: object, headers: Record<string, string> = {}) {
  const whole = { code: 0, data: undefined, ...body }
  return { status, headers: new Headers(headers), text: JSON.stringify(body), body: whole }
}
const me = (status: number, body: object) => () =>
  expectDeclared('GET', '/api/v1/users/me', answer(status, body))
const product = (headers: Record<string, string>) => () =>
  expectDeclared('GET', `/api/v1/products/${ID}`, { ...answer(304, {}, headers), text: '' })

describe('the check of answers against the contract', () => {
  it('lets through what is declared, and what is no route of it', () => {
    me(200, { data: user })()
    me(401, { code: 40_100, error: 'UNAUTHENTICATED' })()
    product({ etag: '"1"' })()
    expectDeclared('GET', '/never', answer(418, {}))
    expectDeclared('PUT', '/api/v1/users/me', answer(405, {}))
  })

  for (const [what, check] of [
    ['a field too many', me(200, { data: { ...user, password_hash: 'x' } })],
    ['a field too few', me(200, { data: { id: ID, email: 'a@spike.test' } })],
    ['a value of another kind', me(200, { data: { ...user, role: 'root' } })],
    ['a code that is not 0', me(200, { code: 1, data: user })],
    ['a status that is not declared', me(201, { data: user })],
    ['an error of other routes', me(409, { code: 40_903, error: 'SOLD_OUT' })],
    ['an error that nobody knows', me(400, { code: 40_000, error: 'WHAT' })],
    ['an error with the status of another', me(400, { code: 40_100, error: 'UNAUTHENTICATED' })],
    ['an error with the code of another', me(401, { code: 40_101, error: 'UNAUTHENTICATED' })],
    [
      'no header where one is declared',
      () => expectDeclared('GET', '/docs', answer(200, {}, { 'content-type': 'text/html' })),
    ],
    [
      'another type of content',
      () => expectDeclared('GET', '/metrics', answer(200, {}, { 'content-type': 'text/html' })),
    ],
    [
      'a body where none is declared',
      () => expectDeclared('GET', `/api/v1/products/${ID}`, answer(304, { x: 1 })),
    ],
  ] as const)
    it(`finds ${what}`, () => expect(check).to.throw(AssertionError, 'as it is declared'))
})

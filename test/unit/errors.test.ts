import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { ApiError, errorEntry, type ErrorName } from '../../src/http/errors.ts'

/** The names of the table, which the module keeps to itself. */
const source = readFileSync(new URL('../../src/http/errors.ts', import.meta.url), 'utf8')
const names = [...source.matchAll(/^ {2}([A-Z_]+): \{/gm)].map((match) => match[1] as ErrorName)
const entries = names.map((name) => ({ name, ...errorEntry(name) }))

describe('the table of errors', () => {
  it('has the names that clients switch on, with their status', () => {
    const promised: [ErrorName, number][] = [
      ['VALIDATION_FAILED', 400],
      ['UNAUTHENTICATED', 401],
      ['FORBIDDEN', 403],
      ['NOT_FOUND', 404],
      ['SALE_NOT_STARTED', 409],
      ['SALE_ENDED', 409],
      ['SOLD_OUT', 409],
      ['ALL_HELD', 409],
      ['ALREADY_PURCHASED', 409],
      ['LAPSE_LIMIT', 409],
      ['RATE_LIMITED', 429],
      ['SALE_PAUSED', 503],
      ['NOT_READY', 503],
      ['OVERLOADED', 503],
    ]
    for (const [name, status] of promised) expect(errorEntry(name)?.status, name).to.equal(status)
  })

  it('gives every error a numeric code of its own', () => {
    const codes = entries.map(({ status, n }) => status * 100 + n)
    expect(entries.length).to.be.at.least(20)
    expect(new Set(codes).size).to.equal(codes.length)
    for (const { name, status, n } of entries) {
      expect(status, name).to.be.within(400, 599)
      expect(n, name).to.be.within(0, 99)
    }
  })

  for (const { name, en, zh, status, retryAfterS } of entries)
    it(`has a text for ${name} in both languages`, () => {
      expect(en).to.match(/^[A-Z][ -~]+\.$/)
      expect(zh).to.match(/^[^a-z]*\p{Script=Han}.*。$/u)
      if (status === 503 || status === 429) expect(retryAfterS).to.be.at.least(1)
    })

  it('lets an error have its own Retry-After, and else that of the table', () => {
    expect(new ApiError('OVERLOADED').retryAfterS).to.equal(errorEntry('OVERLOADED').retryAfterS)
    expect(new ApiError('OVERLOADED', { retryAfterS: 9 }).retryAfterS).to.equal(9)
    expect(new ApiError('SOLD_OUT').retryAfterS).to.equal(undefined)
  })
})

import { expect } from 'chai'
import { describe, it } from 'mocha'
import { createLogger } from '../../src/platform/logger.ts'

describe('the logger', () => {
  it('blacks out e-mails, passwords and tokens, in an object and one level below', () => {
    let written = ''
    const log = createLogger('test', 'info', { write: (line) => void (written += line) })
    const secrets = {
      email: 'mallory@spike.test',
      password: 'sesame-open-4715',
      access_token: 'a.b.c',
      authorization: 'Bearer a.b.c',
    }
    log.info({ ...secrets, user: secrets, kept: 'this one' }, 'somebody')
    expect(written).to.include('this one')
    expect(written).to.not.match(/mallory|sesame|a\.b\.c/)
  })
})

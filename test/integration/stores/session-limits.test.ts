import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import knexModule from 'knex'
import { after, before, describe, it } from 'mocha'
import { contactPostgres, createPostgres } from '../../../src/platform/postgres/client.ts'
import { limitsAsSql, SESSION_LIMITS } from '../../../src/platform/postgres/session-limits.ts'
import { createWorld, type World } from '../../support/world.ts'

describe('the time limits of a session', () => {
  let world: World
  before(async () => {
    world = await createWorld()
  })
  after(() => world.close())

  /** What a first contact says when the URL asks for something else than the client. */
  const contactWith = async (setting: string): Promise<string> => {
    const url = `${world.config.databaseUrl}?${setting}`
    const knex = createPostgres({ url, applicationName: 'spike-test', poolMax: 1 }, world.log)
    try {
      return await contactPostgres(knex, url).then(
        () => 'usable',
        (error: Error) => error.message,
      )
    } finally {
      await knex.destroy()
    }
  }

  it('may be tighter than what is asked for, and not wider', async () => {
    expect(await contactWith('statement_timeout=5000')).to.equal('usable')
    const wider = await contactWith('lock_timeout=60000')
    expect(wider).to.contain('lock_timeout is 60000 ms instead of 10000;').and.contain('docs/clusters.md')
    expect(wider).not.to.contain('statement_timeout')
  })

  it('are missed, each by name, where something in between has dropped them', async () => {
    const url = world.config.databaseUrl
    const dropped = knexModule({ client: 'pg', connection: url, pool: { min: 0, max: 1 } })
    try {
      const error: Error = await contactPostgres(dropped, url).then(
        () => expect.fail('it was taken for usable'),
        (cause: unknown) => cause as Error,
      )
      for (const name of Object.keys(SESSION_LIMITS)) expect(error.message).to.contain(`${name} is 0 ms`)
    } finally {
      await dropped.destroy()
    }
  })

  it('are what the documentation tells a pooler to set', () => {
    const text = readFileSync('docs/clusters.md', 'utf8')
    expect(text).to.contain(`connect_query='${limitsAsSql()}'`)
    expect(text).to.contain(`ignore_startup_parameters = ${Object.keys(SESSION_LIMITS).join(',')}`)
  })
})

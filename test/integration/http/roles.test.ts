import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { CONTRACT } from '../../../src/http/contract/index.ts'
import { pathOf } from '../../../src/http/contract/openapi.ts'
import type { Access, RouteSpec } from '../../../src/http/contract/route.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createClient, type Client } from '../../support/http.ts'
import { stateOf } from '../../support/state.ts'
import { createWorld, type World } from '../../support/world.ts'

const WHO = ['anonymous', 'forger', 'user', 'viewer', 'operator', 'admin'] as const
type Who = (typeof WHO)[number]

const NO_TOKEN = '401 UNAUTHENTICATED'
const NO_RIGHT = '403 FORBIDDEN'
const NO_SIGNATURE = '401 INVALID_SIGNATURE'
const IN = undefined

/** What the access guard says to each. */
const SAYS: Record<Access, (who: Who) => string | undefined> = {
  anyone: () => IN,
  visitor: (who) => (who === 'forger' ? NO_TOKEN : IN),
  user: (who) => (isNobody(who) ? NO_TOKEN : IN),
  viewer: (who) => (isNobody(who) ? NO_TOKEN : who === 'user' ? NO_RIGHT : IN),
  admin: (who) => (isNobody(who) ? NO_TOKEN : who === 'admin' ? IN : NO_RIGHT),
  provider: () => NO_SIGNATURE,
}
const isNobody = (who: Who) => who === 'anonymous' || who === 'forger'

describe('every route of the contract', () => {
  let world: World
  let root: Client
  const tokens = { anonymous: undefined } as Record<Who, string | undefined>

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    await world.start('api')
    root = createClient(world.apiUrl)
    tokens.forger = `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`
    for (const role of ['user', 'viewer', 'operator', 'admin'] as const)
      tokens[role] = (await createAccount(world, role)).token
  })
  after(() => world.close())

  /** Asks for something that is not there, with a body that no route takes. */
  function ask(route: RouteSpec, who: Who) {
    const path = pathOf(route).replaceAll(/:\w+/g, () => randomUUID())
    const body = route.method === 'get' ? {} : { json: { nobody: 'takes this' } }
    return root(route.method.toUpperCase(), path, { token: tokens[who], ...body })
  }

  for (const [name, route] of Object.entries<RouteSpec>(CONTRACT))
    it(`lets in whom it is for: ${name}, ${route.access}`, async () => {
      const before = await stateOf(world)
      for (const who of WHO) {
        const reply = await ask(route, who)
        const refusal = SAYS[route.access](who)
        const answered = `${reply.status} ${reply.body.error}`
        if (refusal === IN) expect([401, 403], `${who}: ${answered}`).to.not.include(reply.status)
        else expect(answered, who).to.equal(refusal)
        expect(reply.status, `${who}: ${reply.text}`).to.be.below(500)
      }
      expect(await stateOf(world)).to.deep.equal(before)
    })
})

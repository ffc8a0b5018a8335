/** Ten thousand generated bad inputs for every route: each refused, none with a 5xx, and nothing changed by any. */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { after, before, describe, it } from 'mocha'
import { CONTRACT, type RouteName } from '../../src/http/contract/index.ts'
import { pathOf } from '../../src/http/contract/openapi.ts'
import type { Access, RouteSpec } from '../../src/http/contract/route.ts'
import { createAccount, createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { noteSeen } from '../support/conformance.ts'
import { badRequests, type RawRequest } from '../support/bad-inputs.ts'
import { createFlood, eachOf, type Flood } from '../support/flood.ts'
import { createStage, type Stage } from '../support/stage.ts'
import { stateOf } from '../support/state.ts'
import { createWorld, type World } from '../support/world.ts'

const INPUTS = 10_000
const AT_ONCE = 48
const SEED = 20261122

/** Routes that take no input which could be bad: they stand outside the prefix and read nothing. */
const WITHOUT_INPUT = new Set<RouteName>(['healthz', 'readyz', 'metrics', 'openapi', 'docs'])
const ROUTES = (Object.keys(CONTRACT) as RouteName[]).filter((name) => !WITHOUT_INPUT.has(name))

describe('generated bad inputs', () => {
  let world: World
  let stage: Stage
  let flood: Flood
  let eventId: string
  const tokens: Partial<Record<Access, string>> = {}
  const seen = { requests: 0, routes: 0, serverErrors: 0 }

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off', LOG_LEVEL: 'error' })
    stage = createStage(world)
    eventId = await createSale(world)
    const [buyer] = await createBuyers(world, 1)
    const operator = await createAccount(world, 'operator')
    const admin = await createAccount(world, 'admin')
    Object.assign(tokens, { user: buyer?.access_token, operator: operator.token, admin: admin.token })
    // In a process of its own, as it runs for users, and so that both cores have work.
    await stage.start('api')
    flood = createFlood(world.apiUrl, AT_ONCE)
  })
  after(async () => {
    flood.close()
    await stage.close()
    await world.close()
    process.stdout.write(
      `    bad inputs: ${seen.requests} requests over ${seen.routes} routes, 5xx = ${seen.serverErrors}\n`,
    )
  })

  for (const name of ROUTES) {
    const route: RouteSpec = CONTRACT[name]
    it(`${INPUTS} of them to ${route.method.toUpperCase()} ${pathOf(route)}`, async function () {
      this.timeout(120_000)
      const before = await stateOf(world, eventId)
      const requests = fc.sample(badRequests(route, tokens[route.access]), { numRuns: INPUTS, seed: SEED })
      const surprises: string[] = []
      await eachOf(requests, AT_ONCE, async (input: RawRequest) => {
        const { status, text } = await flood.send(input)
        const error = /"error":"([A-Z_]+)"/.exec(text)?.[1]
        noteSeen(name, { status, body: error === undefined ? {} : { error } })
        if (status >= 500) seen.serverErrors++
        const refused = status >= 400 && status < 500 && /^\{"code":\d{5},"error":"[A-Z_]+"/.test(text)
        if (!refused)
          surprises.push(`${status} ${text.slice(0, 300)} for ${JSON.stringify(input).slice(0, 600)}`)
      })
      seen.requests += requests.length
      seen.routes++
      expect(surprises.slice(0, 5), `${surprises.length} were not refused (seed ${SEED})`).to.deep.equal([])
      expect(await stateOf(world, eventId), 'what is stored').to.deep.equal(before)
    })
  }

  it('left nothing in the log of the process that it would have to be ashamed of', () => {
    expect(stage.logOf('api')).to.not.match(/"level":(50|60)/)
  })
})

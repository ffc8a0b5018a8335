import { expect } from 'chai'
import { describe, it } from 'mocha'
import { CONTRACT, type Contract } from '../../src/http/contract/index.ts'
import { pathOf } from '../../src/http/contract/openapi.ts'
import { errorsOf, type RouteSpec } from '../../src/http/contract/route.ts'
import type { HandlersOf } from '../../src/http/handler.ts'
import { mountContract, type Guards } from '../../src/http/mount.ts'

const routes = Object.entries<RouteSpec>(CONTRACT)

/** Routers as the process mounts them; nothing on them is called. */
function mounted() {
  const open = () => (_ctx: unknown, next: () => Promise<void>) => next()
  const guards: Guards = {
    internal: (_ctx, next) => next(),
    limitAddress: open,
    limitUser: open,
    access: open,
    idempotent: open,
  }
  const handlers = Object.fromEntries(routes.map(([name]) => [name, async () => ({ handled: true })]))
  return mountContract(handlers as unknown as HandlersOf<Contract>, guards)
}

describe('the contract', () => {
  it('is what the routers hold: each route once, and nothing else', () => {
    const layers = mounted().flatMap((router) => router.stack)
    const held = layers.map(
      ({ name, methods, path }) => `${name} ${methods.filter((m) => m !== 'HEAD').join()} ${path}`,
    )
    const declared = routes.map(([name, route]) => `${name} ${route.method.toUpperCase()} ${pathOf(route)}`)
    expect(held.toSorted()).to.deep.equal(declared.toSorted())
    expect(new Set(declared.map((line) => line.slice(line.indexOf(' ')))).size).to.equal(declared.length)
  })

  it('has no route that hides another', () => {
    for (const [name, route] of routes)
      for (const [other, later] of routes) {
        if (name === other || route.method !== later.method) continue
        const pattern = new RegExp(`^${pathOf(route).replaceAll(/:\w+/g, '[^/]+')}$`)
        const hidden =
          pattern.test(pathOf(later)) &&
          routes.findIndex(([n]) => n === name) < routes.findIndex(([n]) => n === other)
        expect(hidden, `${other} behind ${name}`).to.equal(false)
      }
  })

  for (const [name, route] of routes)
    it(`declares ${name} in full`, () => {
      expect(route.summary).to.match(/^[A-Z].*[^.]$/)
      const placeholders = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1])
      expect(Object.keys(route.params?.shape ?? {})).to.have.members(placeholders)
      expect(Object.keys(route.replies).length).to.be.at.least(1)
      if (route.method === 'get') expect(route.body).to.equal(undefined)
      if (route.idempotency !== undefined) expect(['user', 'operator', 'admin']).to.include(route.access)
      expect(new Set(errorsOf(route)).size).to.equal(errorsOf(route).length)
    })

  it('asks for a role wherever something of the shop is changed', () => {
    const open = routes.filter(
      ([, route]) => route.method !== 'get' && ['anyone', 'visitor'].includes(route.access),
    )
    expect(open.map(([name]) => name)).to.have.members(['register', 'login', 'refresh', 'logout'])
  })
})

import { readFileSync } from 'node:fs'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import { expect } from 'chai'
import { describe, it } from 'mocha'
import { CONTRACT } from '../../src/http/contract/index.ts'
import { openApiDocument, pathOf } from '../../src/http/contract/openapi.ts'
import { errorsOf, type RouteSpec } from '../../src/http/contract/route.ts'
import { errorEntry, type ErrorName } from '../../src/http/errors.ts'

interface Response {
  $ref?: string
  headers?: Record<string, unknown>
  content?: Record<string, { schema: Schema }>
}
interface Schema {
  allOf?: [unknown, { properties: Refusal }]
  properties?: Record<string, unknown>
}
interface Refusal {
  error: { enum: ErrorName[] }
  code: { enum: number[] }
}
interface Operation {
  operationId: string
  security: object[]
  parameters: { name: string; in: string; required: boolean }[]
  requestBody?: unknown
  responses: Record<string, Response>
  'x-access': string
}

const document = openApiDocument()
const routes = Object.entries<RouteSpec>(CONTRACT)
const operations = new Map(
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [
      `${method} ${path}`,
      operation as unknown as Operation,
    ]),
  ),
)

function operationOf(route: RouteSpec): Operation {
  const found = operations.get(`${route.method} ${pathOf(route).replaceAll(/:(\w+)/g, '{$1}')}`)
  if (found === undefined) throw new Error(`${route.path} is missing`)
  return found
}

function refusalOf(response: Response): Refusal {
  const refusal = response.content?.['application/json']?.schema.allOf?.[1].properties
  if (refusal === undefined) throw new Error('is no refusal')
  return refusal
}

function resolve(ref: string): unknown {
  return ref
    .slice(2)
    .split('/')
    .reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], document)
}

describe('the OpenAPI document', () => {
  it('is a correct one of version 3.1', async () => {
    const config = await createConfig({
      rules: {
        struct: 'error',
        'no-unresolved-refs': 'error',
        'no-unused-components': 'error',
        'operation-operationId-unique': 'error',
        'operation-parameters-unique': 'error',
        'path-parameters-defined': 'error',
        'path-declaration-must-exist': 'error',
        'no-identical-paths': 'error',
        'no-enum-type-mismatch': 'error',
        'security-defined': 'error',
        'spec-strict-refs': 'off',
      },
    })
    const problems = await lintFromString({ source: JSON.stringify(document), config })
    expect(problems.map(({ ruleId, message }) => `${ruleId}: ${message}`)).to.deep.equal([])
    expect(document.openapi).to.match(/^3\.1\./)
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(document.info.version).to.equal(version)
  })

  it('has references to what is there', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1] ?? '')
    expect(refs.length).to.be.above(100)
    for (const ref of new Set(refs)) expect(resolve(ref), ref).to.be.an('object')
  })

  it('has every route of the contract under its name, and no other', () => {
    const ids = [...operations.values()].map((operation) => operation.operationId)
    expect(ids.toSorted()).to.deep.equal(routes.map(([name]) => name).toSorted())
    for (const [name, route] of routes) expect(operationOf(route).operationId).to.equal(name)
  })

  for (const [name, route] of routes) {
    const operation = operationOf(route)

    it(`says of ${name} what it takes`, () => {
      const headers = operation.parameters.filter((parameter) => parameter.in === 'header')
      expect(headers.map(({ name, required }) => [name, required])).to.deep.equal([
        ...(route.idempotency ? [['Idempotency-Key', route.idempotency === 'required']] : []),
        ...(route.ifMatch ? [['If-Match', true]] : []),
        ...Object.keys(route.headers ?? {}).map((header) => [header, false]),
        ...(304 in route.replies ? [['If-None-Match', false]] : []),
      ])
      expect(operation['x-access']).to.equal(route.access)
      expect(operation.requestBody !== undefined).to.equal(route.body !== undefined)
    })

    it(`says of ${name} what it answers`, () => {
      for (const [status, { data, headers = {} }] of Object.entries(route.replies)) {
        const response = operation.responses[status]
        expect(response?.headers).to.include.all.keys('X-Request-Id', ...Object.keys(headers))
        const properties = response?.content?.['application/json']?.schema.properties
        if (data !== undefined) expect(properties).to.have.keys('code', 'message', 'data', 'request_id')
      }
    })

    it(`says of ${name} what it refuses`, () => {
      const refusals = Object.entries(operation.responses).filter(([status]) => !(status in route.replies))
      const told = refusals.flatMap(([status, { $ref = '' }]) => {
        const response = resolve($ref) as Response
        const { error, code } = refusalOf(response)
        expect('WWW-Authenticate' in (response.headers ?? {})).to.equal(
          error.enum.includes('UNAUTHENTICATED'),
        )
        const codes = error.enum.map((one) => Number(status) * 100 + errorEntry(one).n)
        expect(code.enum).to.deep.equal(codes)
        return error.enum
      })
      expect(told.toSorted()).to.deep.equal(errorsOf(route).toSorted())
    })
  }

  it('asks for a token exactly where the access guard does', () => {
    const bearer = routes.filter(([, route]) =>
      JSON.stringify(operationOf(route).security).includes('bearer'),
    )
    const guarded = routes.filter(([, route]) => !['anyone', 'provider'].includes(route.access))
    expect(bearer).to.deep.equal(guarded)
  })
})

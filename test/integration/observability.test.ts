/** The files of `observability/` against what the processes really tell, and against docs/observability.md. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { z } from 'zod'
import type { LoadBuyer } from '../../tools/lib/buyers.ts'
import { createBuyers } from '../factories/accounts.ts'
import { createSale } from '../factories/sales.ts'
import { order } from '../support/buying.ts'
import { createClient } from '../support/http.ts'
import { until } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROMETHEUS = join(ROOT, 'observability/prometheus')
const BOARDS = join(ROOT, 'observability/grafana/dashboards')
const read = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8')

const panel = z.object({
  title: z.string().min(1),
  description: z.string().min(10),
  datasource: z.object({ uid: z.string() }),
  targets: z.array(z.object({ expr: z.string().optional() })).min(1),
  fieldConfig: z.object({ defaults: z.object({ unit: z.string().min(1) }) }),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
})
const board = z.object({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.number(),
  panels: z.array(panel).min(5),
})
const boards = readdirSync(BOARDS).map((file) => ({
  file,
  ...board.parse(JSON.parse(readFileSync(join(BOARDS, file), 'utf8'))),
}))

const alerts = readFileSync(join(PROMETHEUS, 'alerts.yml'), 'utf8')
  .split(/^ {6}- alert: /m)
  .slice(1)
  .map((block) => {
    const fieldOf = (name: string) => new RegExp(`^ *${name}: (.+)$`, 'm').exec(block)?.[1] ?? ''
    return { name: block.split('\n')[0] ?? '', expr: fieldOf('expr'), fieldOf }
  })

const exprs = [
  ...alerts.map(({ name, expr }) => ({ where: `alert ${name}`, expr })),
  ...boards.flatMap(({ file, panels }) =>
    panels.flatMap(({ title, targets }) =>
      targets.flatMap(({ expr }) => (expr === undefined ? [] : [{ where: `${file}: ${title}`, expr }])),
    ),
  ),
]

/** What Prometheus adds by itself, and what the broker's plugin tells. */
const FOREIGN = /^(up|ALERTS|rabbitmq_\w+)$/
const ADDED_LABELS = ['job', 'instance', 'le']

/** Metrics with the labels that they are selected by. */
function selectorsOf(expr: string): { name: string; labels: string[] }[] {
  const matches = expr.matchAll(/\b(up|ALERTS|(?:spike|http|nodejs|process|rabbitmq)_\w+)(?:\{([^}]*)\})?/g)
  return [...matches].map(([, name = '', matchers = '']) => ({
    name,
    labels: [...matchers.matchAll(/(\w+) *[=!]~?/g)].map(([, label = '']) => label),
  }))
}

describe('alerts, dashboards and docs', () => {
  let world: World
  /** Each series that is told, as Prometheus names it, with the labels of its samples. */
  const told = new Map<string, Set<string>>()
  /** Names of metrics as they are declared. */
  const declared = new Map<string, string>()

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    for (const role of ['workers', 'api', 'dashboard'] as const) await world.start(role)
    const eventId = await createSale(world)
    const [buyer] = (await createBuyers(world, 1)) as [LoadBuyer]
    await order(createClient(`${world.apiUrl}/api/v1`), eventId, buyer)
    const drift = async () =>
      (await scrape(world.workersUrl)).includes(`spike_drift_units{event_id="${eventId}"}`)
    await until('a comparison of the stores', () => drift().catch(() => false))
    for (const url of [world.apiUrl, world.workersUrl, world.dashboardUrl]) learn(await scrape(url))
  })
  after(() => world.close())

  const scrape = async (url: string) => (await fetch(`${url}/metrics`)).text()

  function learn(text: string): void {
    for (const [, name = '', type = ''] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      declared.set(name, type)
      for (const suffix of type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''])
        if (!told.has(name + suffix)) told.set(name + suffix, new Set())
      if (type === 'summary') for (const suffix of ['_sum', '_count']) told.set(name + suffix, new Set())
    }
    for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)\{(.*)\} \S+$/gm))
      for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) told.get(name)?.add(label)
  }

  it('ask for metrics that a process tells, by labels that they have', () => {
    expect(exprs.length).to.be.above(60)
    for (const { where, expr } of exprs) {
      const selectors = selectorsOf(expr)
      expect(selectors, `${where} asks for nothing`).not.to.deep.equal([])
      for (const { name, labels } of selectors.filter((selector) => !FOREIGN.test(selector.name))) {
        const known = told.get(name)
        expect(known, `${where}: ${name}`).not.to.equal(undefined)
        if (known === undefined || known.size === 0) continue // without samples, its labels are not known
        expect([...known, ...ADDED_LABELS], `${where}: ${name}`).to.include.members(labels)
      }
    }
  })

  it('group by labels that the metrics have', () => {
    for (const { where, expr } of exprs) {
      const known = selectorsOf(expr).map(({ name }) => told.get(name))
      if (known.some((labels) => labels === undefined || labels.size === 0)) continue
      const labels = [...known.flatMap((set) => [...(set ?? [])]), ...ADDED_LABELS]
      for (const [, group = ''] of expr.matchAll(/\bby \(([^)]*)\)/g))
        expect(labels, where).to.include.members(group.split(',').map((label) => label.trim()))
    }
  })

  it('leave no metric of ours without a place in the docs', () => {
    const docs = read('docs/observability.md')
    const ours = [...declared.keys()].filter((name) => /^(spike|http)_/.test(name))
    expect(ours.length).to.be.above(30)
    expect(ours.filter((name) => !docs.includes(`\`${name}\``))).to.deep.equal([])
    for (const [, name = ''] of docs.matchAll(/^\| `((?:spike|http)_\w+)`/gm))
      expect(declared.has(name), `docs name ${name}`).to.equal(true)
  })

  it('tell what is wrong, how bad it is and what to do, for every alert', () => {
    expect(alerts.length).to.be.above(15)
    for (const { name, expr, fieldOf } of alerts) {
      expect(expr, name).not.to.equal('')
      expect(fieldOf('for'), name).to.match(/^\d+[sm]$/)
      expect(fieldOf('labels'), name).to.match(/^\{ severity: (critical|warning) \}$/)
      expect(fieldOf('summary').length, name).to.be.above(15)
      expect(fieldOf('description').length, name).to.be.above(60)
      expect(read('docs/observability.md'), name).to.include(`\`${name}\``)
    }
    expect(new Set(alerts.map(({ name }) => name)).size).to.equal(alerts.length)
  })

  it('have dashboards whose panels do not lie over each other and use provisioned sources', () => {
    const sources = read('observability/grafana/provisioning/datasources/datasources.yml')
    const uids = [...sources.matchAll(/uid: (\w+)/g)].map(([, uid = '']) => uid)
    expect(new Set(boards.map(({ uid }) => uid)).size).to.equal(boards.length)
    for (const { file, panels } of boards) {
      const cells = new Set<string>()
      for (const { title, datasource, gridPos } of panels) {
        expect(uids, `${file}: ${title}`).to.include(datasource.uid)
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(x, `${file}: ${title}`).to.be.below(24)
            expect(cells.has(`${x},${y}`), `${file}: ${title}`).to.equal(false)
            cells.add(`${x},${y}`)
          }
      }
    }
  })

  it('are what the compose profile mounts, with pinned images and loopback ports', () => {
    const compose = read('docker-compose.yml')
    const services = compose
      .split(/^ {2}(?=[a-z-]+:$)/m)
      .filter((part) => part.includes('profiles: [observability]'))
    expect(services.map((part) => part.split(':')[0])).to.deep.equal(['prometheus', 'grafana', 'jaeger'])
    for (const part of services) {
      expect(part).to.match(/^ {4}image: \S+:v?\d+\.\d+\.\d+$/m)
      for (const [, port = ''] of part.matchAll(/ports: \['([^']+)'\]/g))
        expect(port).to.match(/^127\.0\.0\.1:/)
    }
    const mounted = [...compose.matchAll(/- \.\/(observability\S*?):/g)].map(([, path = '']) => path)
    expect(mounted.length).to.equal(3)
    for (const path of mounted) expect(existsSync(join(ROOT, path)), path).to.equal(true)
  })

  it('pass promtool, where it is installed', async function () {
    const hasPromtool = (() => {
      try {
        execFileSync('promtool', ['--version'], { stdio: 'ignore' })
        return true
      } catch {
        return false
      }
    })()
    if (!hasPromtool) return this.skip()
    const run = (...args: string[]) => promisify(execFile)('promtool', args)
    await run('check', 'config', join(PROMETHEUS, 'prometheus.yml'))
    await run('test', 'rules', join(PROMETHEUS, 'alerts.test.yml'))
  })
})

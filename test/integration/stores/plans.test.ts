import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { Client } from 'pg'
import { createBuyers } from '../../factories/accounts.ts'
import { growJobs, growPostgres, growRedis, retireSales } from '../../support/grown-sales.ts'
import { createClient } from '../../support/http.ts'
import { readingsOf } from '../../support/readings.ts'
import { captureStatements, explain, type Capture, type Statement } from '../../support/statements.ts'
import { until } from '../../support/wait.ts'
import { createWorld, type World } from '../../support/world.ts'

/** Tables that are small by nature: what they may be read for from end to end. */
const SMALL = new Set([
  'spike_events', // a row for each sale that people have set up; lists of them are filtered by what time it is
  'spike_event_adjustments', // a few for each sale
  'products', // goods that people have entered; a list says how many there are
  'inventory', // one a product
  'user_revocations', // of half a day; read as a whole once, when a process starts
])

const SIZE = { events: 100, reservations: 20_000 }

/** What background work asks for the last, each in a loop of its own. */
const PASSES = [
  /^update refunds/i,
  /"outbox".*skip locked/i,
  /keyed_requests/,
  /r\.event_id = \$1/,
  /"expires_at" <= /,
]

describe('plans of everything that PostgreSQL is asked, on tables that have grown', function () {
  this.timeout(60_000) // the tables are made first
  let world: World
  let capture: Capture
  let client: Client

  before(async () => {
    world = await createWorld({ RATE_LIMIT: 'off' })
    const eventIds = await growPostgres(world.config.databaseUrl, SIZE)
    await growRedis(world, eventIds)
    await growJobs({ ...world, namespace: world.config.namespace })
    await retireSales(world.config.databaseUrl)
    client = new Client({ connectionString: world.config.databaseUrl })
    await client.connect()
    // As if the tables were a hundred times as large: reading one as a whole is what PostgreSQL does for want of an index.
    await client.query('SET seq_page_cost = 100')
    await world.start('api')
    await world.start('dashboard')
    capture = captureStatements()
  })
  after(async () => {
    capture.stop()
    await client.end()
    await world.close()
  })

  async function expectIndexes(statements: readonly Statement[]): Promise<void> {
    const scans: string[] = []
    for (const statement of statements) {
      const { scanned } = await explain(client, statement)
      const big = scanned.filter((table) => !SMALL.has(table))
      if (big.length > 0) scans.push(`${big.join(', ')}: ${statement.sql.replaceAll(/\s+/g, ' ')}`)
    }
    expect(scans.join('\n'), 'statements that read a big table from end to end').to.equal('')
  }

  it('reads no big table as a whole for what people see of the API and the dashboard', async () => {
    for (const { read } of await readingsOf(world)) await read()
    const statements = capture.take()
    expect(statements).to.have.length.above(50)
    await expectIndexes(statements)
  })

  it('reads none for what the workers look for, nor for a purchase from end to end', async () => {
    await world.start('workers')
    await buyAndPay()
    const statements: Statement[] = []
    await until('every loop has passed', () => {
      statements.push(...capture.take())
      return PASSES.every((pattern) => statements.some(({ sql }) => pattern.test(sql)))
    })
    await expectIndexes(statements)
  })

  it('would tell of an index that is missing', async () => {
    const statement = { sql: 'SELECT id FROM orders WHERE user_id = $1', values: [randomUUID()] }
    expect((await explain(client, statement)).scanned).to.deep.equal([])
    await client.query('BEGIN')
    await client.query('DROP INDEX orders_user')
    expect((await explain(client, statement)).scanned).to.deep.equal(['orders'])
    await client.query('ROLLBACK')
  })

  async function buyAndPay(): Promise<void> {
    const [buyer] = await createBuyers(world, 1)
    const { id: eventId } = await world.knex('spike_events').where('status', 'published').first('id')
    const token = buyer?.access_token
    const api = createClient(`${world.apiUrl}/api/v1`)
    const bought = await api<{ reservation_id: string }>('POST', `/spike-events/${eventId}/orders`, { token })
    expect(bought.status, bought.text).to.equal(202)
    const path = `/reservations/${bought.body.data.reservation_id}`
    const orderId = await until('the order', async () => {
      return (await api<{ order_id?: string }>('GET', path, { token })).body.data.order_id
    })
    const paying = await api('POST', `/orders/${orderId}/payments`, { token })
    expect(paying.status, paying.text).to.equal(202)
    await until('the payment', async () => {
      return (
        (await api<{ status: string }>('GET', `/orders/${orderId}`, { token })).body.data.status === 'paid'
      )
    })
  }
})

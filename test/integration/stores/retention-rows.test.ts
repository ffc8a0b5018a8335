import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import type { Knex } from 'knex'
import { after, afterEach, before, describe, it } from 'mocha'
import { forgetPublished } from '../../../src/orders/outbox.ts'
import { BATCH_ROWS } from '../../../src/platform/postgres/batch-delete.ts'
import { createPostgres } from '../../../src/platform/postgres/client.ts'
import { forgetMade } from '../../../src/platform/postgres/once.ts'
import { forgetEndedFamilies } from '../../../src/users/sessions.ts'
import { createAccount } from '../../factories/accounts.ts'
import { createWorld, type World } from '../../support/world.ts'

const DAYS = 30

/** One kind of rows: how batches of them go, how to plant `count` of them so old, and which are old enough. */
interface Kind {
  table: string
  remove: (knex: Knex) => Promise<number>
  plant: (knex: Knex, count: number, age: string) => Promise<unknown>
  due: string
  young: string
}

describe('rows that have had their time', () => {
  let world: World
  let userId: string
  before(async () => {
    world = await createWorld()
    userId = (await createAccount(world)).id
  })
  after(() => world.close())
  afterEach(() => Promise.all(kinds.map(({ table }) => world.knex(table).delete())))

  const kinds: Kind[] = [
    {
      table: 'keyed_requests',
      remove: forgetMade,
      plant: (knex, count, age) =>
        knex.raw(
          `INSERT INTO keyed_requests (user_id, operation, key, result_id, made_at)
           SELECT :userId::uuid, 'test', gen_random_uuid(), gen_random_uuid(), now() - :age::interval
             FROM generate_series(1, :count)`,
          { userId, count, age },
        ),
      due: '25 hours',
      young: '23 hours',
    },
    {
      table: 'refresh_tokens',
      remove: forgetEndedFamilies,
      plant: (knex, count, age) =>
        knex.raw(
          `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, family_expires_at)
           SELECT gen_random_uuid(), :userId, gen_random_uuid(), decode(md5(random()::text || n), 'hex'), now(),
                  now() + interval '30 days' - :age::interval
             FROM generate_series(1, :count) n`,
          { userId, count, age },
        ),
      due: '31 days',
      young: '29 days',
    },
    {
      table: 'outbox',
      remove: (knex) => forgetPublished(knex, DAYS),
      plant: (knex, count, age) =>
        knex.raw(
          `INSERT INTO outbox (topic, key, payload, created_at, published_at)
           SELECT 'stock.released', gen_random_uuid(), '{}', now() - :age::interval, now() - :age::interval
             FROM generate_series(1, :count)`,
          { count, age },
        ),
      due: '31 days',
      young: '29 days',
    },
  ]

  for (const { table, remove, plant, due, young } of kinds)
    describe(`of ${table}`, () => {
      const left = async () => Number((await world.knex(table).count({ n: '*' }))[0]?.n)

      it('go, and the younger ones stay', async () => {
        await plant(world.knex, 3, due)
        await plant(world.knex, 2, young)
        expect(await remove(world.knex)).to.equal(3)
        expect(await left()).to.equal(2)
        expect(await remove(world.knex)).to.equal(0)
      })

      it('go a batch at a time', async () => {
        await plant(world.knex, BATCH_ROWS + 1, due)
        expect(await remove(world.knex)).to.equal(BATCH_ROWS)
        expect(await remove(world.knex)).to.equal(1)
      })

      it('go once, however many are at it', async () => {
        await plant(world.knex, 2 * BATCH_ROWS + 1, due)
        const all = async () => {
          let sum = 0
          for (let idle = 0; idle < 50 && (await left()) > 0; idle++) sum += await remove(world.knex)
          return sum
        }
        const removed = await Promise.all([all(), all(), all()])
        expect(removed.reduce((sum, n) => sum + n, 0)).to.equal(2 * BATCH_ROWS + 1)
      })

      it('are not waited for when somebody else has locked them', async () => {
        await plant(world.knex, 3, due)
        const other = await world.knex.transaction()
        try {
          await other(table).limit(1).forUpdate().select(other.raw('ctid'))
          await plant(other, 1, due)
          // Whoever waits for the other one's lock is cut off at once.
          const impatient = createPostgres(
            { url: world.config.databaseUrl, applicationName: 'spike-test', poolMax: 1 },
            world.log,
          )
          const removed = await impatient
            .raw(`SET lock_timeout = '1ms'`)
            .then(() => remove(impatient))
            .finally(() => impatient.destroy())
          expect(removed).to.equal(2)
        } finally {
          await other.commit()
        }
        expect(await remove(world.knex)).to.equal(2)
      })

      it('hold up nobody who writes to the table while a batch is not committed', async () => {
        await plant(world.knex, 3, due)
        await world.knex.transaction(async (trx) => {
          // As part of a larger transaction, a batch keeps its locks.
          expect(await remove(trx)).to.equal(3)
          await world.knex.transaction(async (writer) => {
            await writer.raw(`SET LOCAL lock_timeout = '1ms'`)
            await plant(writer, 1, young)
            await writer.raw(`LOCK TABLE ${table} IN ROW EXCLUSIVE MODE`)
          })
        })
        expect(await left()).to.equal(1)
      })

      it('are left to the one process that is at it', async () => {
        await plant(world.knex, 1, due)
        await world.knex.transaction(async (other) => {
          await other.raw('SELECT pg_advisory_xact_lock(hashtextextended(?, 0))', [`retention:${table}`])
          expect(await remove(world.knex)).to.equal(0)
        })
        expect(await remove(world.knex)).to.equal(1)
      })

      it('are found by an index', async () => {
        await plant(world.knex, 3_000, due)
        await plant(world.knex, 20_000, young)
        await world.knex.raw(`ANALYZE ${table}`)
        const [deletion] = await queriesOf(world.knex, /^DELETE/, () => remove(world.knex))
        const { rows } = await world.knex.raw(`EXPLAIN ${deletion}`)
        const plan = rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n')
        expect(plan).to.match(/Index Scan using/)
        expect(plan).to.not.match(/Seq Scan/)
      })
    })

  it('of the outbox stay while the broker has not confirmed them, and hold up none behind them', async () => {
    const [outbox] = kinds.slice(-1) as [Kind]
    await outbox.plant(world.knex, 5, '90 days')
    await world.knex('outbox').update({ published_at: null })
    await outbox.plant(world.knex, 5, outbox.due)
    expect(await outbox.remove(world.knex)).to.equal(5)
    const kept = await world.knex('outbox').pluck('published_at')
    expect(kept).to.deep.equal([null, null, null, null, null])
  })

  it('take their key with them: it may be used anew', async () => {
    const [keyed] = kinds as [Kind]
    await keyed.plant(world.knex, 1, keyed.due)
    const { key } = await world.knex('keyed_requests').first('key')
    await keyed.remove(world.knex)
    await world
      .knex('keyed_requests')
      .insert({ user_id: userId, operation: 'test', key, result_id: randomUUID() })
    expect(await keyed.remove(world.knex)).to.equal(0)
  })
})

async function queriesOf(knex: Knex, like: RegExp, work: () => Promise<unknown>): Promise<string[]> {
  const queries: string[] = []
  const note = ({ sql }: { sql: string }) => void (like.test(sql) && queries.push(sql))
  knex.on('query', note)
  await work()
  knex.removeListener('query', note)
  return queries
}

import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { expect } from 'chai'
import { Cluster, type Command, Redis } from 'ioredis'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { loadScripts, readHeader, type ScriptDefinition } from '../../src/platform/redis/define-script.ts'
import { spikeKeys } from '../../src/reserve/keys.ts'
import { spikeScripts } from '../../src/reserve/scripts.ts'
import { openSpikeRedis, type SpikeRedis } from '../support/spike-redis.ts'

const LUA = new URL('../../src/reserve/lua/', import.meta.url)
const CORRUPT = 'CORRUPT'

const EVENT_ID = uuidv7()

/** Enough for the builders of KEYS and ARGV of every script. */
const INPUT = {
  eventId: EVENT_ID,
  rid: uuidv7(),
  userId: uuidv7(),
  quantity: 1,
  requestId: 'request',
  orderId: uuidv7(),
  expiresAtMs: 1,
  reason: 'lapsed',
  epoch: 1,
  status: 'open',
  startMs: 1,
  endMs: 2,
  granted: 1,
  perUserLimit: 1,
  lapseLimit: 1,
  adjustmentId: uuidv7(),
  delta: 1,
  paid: 0,
  stock: 1,
  staged: { holders: 1, records: 1 },
  records: 1,
  released: 1,
  rids: [uuidv7()],
  second: 1,
  outcomes: new Map([['accepted', 1]]),
  orders: [{ rid: uuidv7(), userId: uuidv7(), quantity: 1, orderId: uuidv7(), expiresAtMs: 1 }],
}

const definitions = Object.values(spikeScripts) as ScriptDefinition<unknown, unknown>[]

/** What the `-- Replies:` section of a header lists: each word with as many values as it names. */
function repliesOf(lua: string): string[][] {
  const section = lua.split('-- Replies:\n')[1] ?? ''
  return [...section.matchAll(/^-- {3}([A-Z]{2}.*?)(?: {2}|$)/gm)].flatMap(([, listed = '']) =>
    listed.split(' | ').map((reply) => {
      const [word = '', ...values] = reply.split(' ')
      return [word, ...values.map(() => '1')]
    }),
  )
}

function accepts(definition: ScriptDefinition<unknown, unknown>, reply: string[]): boolean {
  try {
    definition.decode(reply)
    return true
  } catch (error) {
    return reply[0] === CORRUPT && /wrong type or value/.test((error as Error).message)
  }
}

describe('the registry of scripts', () => {
  let ground: SpikeRedis
  before(() => {
    ground = openSpikeRedis()
  })
  after(() => ground.close())

  it('has every .lua file, and no other', () => {
    const registered = definitions.map(({ file }) => basename(file.pathname)).sort()
    expect(registered).to.deep.equal(readdirSync(LUA).sort())
  })

  for (const definition of definitions) {
    const file = basename(definition.file.pathname)
    const lua = readFileSync(definition.file, 'utf8')
    const code = lua.replaceAll(/^--.*$/gm, '')

    it(`${file} declares as many KEYS and ARGV as it is given and uses`, () => {
      const header = readHeader(lua)
      const highest = (word: string) =>
        Math.max(
          0,
          ...[...code.matchAll(new RegExp(`${word}\\[(?:[aik] \\+ )?(\\d+)\\]`, 'g'))].map((match) =>
            Number(match[1]),
          ),
        )
      expect(definition.keys(INPUT)).to.have.length(header.keys)
      expect(definition.args(INPUT)).to.have.length(header.args)
      expect(highest('KEYS'), 'highest KEYS in use').to.equal(header.keys)
      if (!code.includes('#ARGV')) expect(highest('ARGV'), 'highest ARGV in use').to.equal(header.args)
    })

    it(`${file} is given keys of one hash tag, each once`, () => {
      const keys = definition.keys(INPUT)
      for (const key of keys)
        expect(key).to.match(new RegExp(`^\\{spike:${INPUT.eventId}\\}:[a-z]+(:next-1|:peak|:1)?$`))
      expect(new Set(keys).size).to.equal(keys.length)
    })

    it(`${file} makes no key names of its own`, () => {
      const calls = [...code.matchAll(/redis\.p?call\('(\w+)', (?:'STREAM', )?([^,)]+)/g)]
      for (const [, command, first] of calls)
        expect(`${command} ${first}`).to.match(
          /^(\w+ KEYS\[(k \+ )?\w+\]|PUBLISH ARGV\[(a \+ )?\w+\]|INFO 'server')$/,
        )
    })

    it(`${file} lists the replies that it gives, and its decoder takes these only`, () => {
      const replies = repliesOf(lua)
      const listed = new Set(replies.map(([word]) => word))
      const given = new Set([...code.matchAll(/return \{ '([A-Z_]+)'/g)].map((match) => match[1]))
      expect([...listed].sort()).to.deep.equal([...given].sort())
      for (const reply of replies) expect(accepts(definition, reply), reply.join(' ')).to.equal(true)
      for (const reply of [['NONSENSE'], ['ok'], [], 'OK', null, 1])
        expect(() => definition.decode(reply), JSON.stringify(reply)).to.throw()
    })
  }

  describe('that work for many at a time', () => {
    /** The keys of each call that a client would have sent. */
    async function callsOn(redis: Redis | Cluster, eventIds: string[]): Promise<string[][]> {
      const calls: string[][] = []
      redis.sendCommand = (command: Command) => {
        const [, count, ...rest] = command.args.map(String)
        calls.push(rest.slice(0, Number(count)))
        command.resolve([['OK', '1']])
        return command.promise
      }
      const { markQueued } = loadScripts(redis, spikeScripts)
      await markQueued(eventIds.map((eventId) => ({ eventId, rids: [uuidv7()] }))).catch(() => undefined)
      redis.disconnect()
      return calls
    }
    const eventIds = [uuidv7(), uuidv7(), uuidv7()]
    const keys = eventIds.map((eventId) => spikeKeys(eventId).states)

    it('are one call for all on one server', async () => {
      expect(await callsOn(new Redis({ lazyConnect: true }), eventIds)).to.deep.equal([keys])
    })

    it('are one call for each on a cluster, which names no keys of two', async () => {
      expect(await callsOn(new Cluster([], { lazyConnect: true }), eventIds)).to.deep.equal(
        keys.map((key) => [key]),
      )
    })

    it('are one call for each hundred', async () => {
      const many = Array.from({ length: 250 }, () => uuidv7())
      const calls = await callsOn(new Redis({ lazyConnect: true }), many)
      expect(calls.map(({ length }) => length)).to.deep.equal([100, 100, 50])
    })

    it('are no call for none', async () => {
      expect(await callsOn(new Redis({ lazyConnect: true }), [])).to.deep.equal([])
    })
  })

  it('refuses a header that leaves out a slot', () => {
    expect(() => readHeader('-- KEYS[1] a\n-- KEYS[3] b\n')).to.throw('KEYS[3] where KEYS[2] is due')
    expect(() => readHeader('-- KEYS[1] a\n-- ARGV[2] b\n')).to.throw('ARGV[2] where ARGV[1] is due')
    expect(readHeader('-- KEYS[1] a\n-- ARGV[1] b\n-- ARGV[2] c\n')).to.deep.equal({ keys: 1, args: 2 })
  })

  it('goes on when Redis has forgotten the scripts, in a pipeline too', async () => {
    const spike = await ground.open({ granted: 50 })
    const first = await spike.held()
    await ground.redis.script('FLUSH')
    expect(await spike.confirm(first)).to.equal('CONFIRMED')
    await ground.redis.script('FLUSH')
    await Promise.all(Array.from({ length: 20 }, () => spike.held()))
    expect(await spike.count()).to.include({ stock: 29, held: 20, confirmed: 1 })
  })
})

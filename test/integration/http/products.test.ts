import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

interface Page {
  items: { id: string; sku: string; name: string; price: number; currency: string }[]
  page: number
  page_size: number
  total: number
}

describe('GET /products', () => {
  let world: World
  let api: Client

  before(async () => {
    world = await createWorld()
    await world.start('api')
    api = createClient(`${world.apiUrl}/api/v1`)
    const rows = Array.from({ length: 25 }, (_, i) => ({
      id: uuidv7(),
      sku: `SKU-${i}`,
      name: `Product ${String.fromCharCode(65 + ((i * 7) % 25))}`,
      description: '<b>‮𝒻𝓁𝒶𝓈𝒽​ 秒杀 🚀</b>',
      price: (i * 11) % 25,
      created_at: new Date(Date.UTC(2026, 0, 1 + i)),
    }))
    await world.knex('products').insert(rows)
    await world
      .knex('products')
      .insert({ id: uuidv7(), sku: 'GONE', name: 'Gone', price: 1, deleted_at: new Date() })
  })
  after(() => world.close())

  async function list(query = ''): Promise<Page> {
    const reply = await api<Page>('GET', `/products${query}`)
    expect(reply.status, reply.text).to.equal(200)
    return reply.body.data
  }

  it('needs no token and begins with the first 20, the oldest first, without those deleted', async () => {
    const data = await list()
    expect(data).to.include({ page: 1, page_size: 20, total: 25 })
    expect(data.items.map((item) => item.sku)).to.deep.equal(Array.from({ length: 20 }, (_, i) => `SKU-${i}`))
    expect(Object.keys(data.items[0] ?? {})).to.have.members([
      'id',
      'sku',
      'name',
      'description',
      'price',
      'currency',
      'version',
      'created_at',
      'updated_at',
    ])
  })

  it('deals every product out to exactly one page', async () => {
    const pages = await Promise.all([1, 2, 3, 4].map((page) => list(`?page=${page}&page_size=7`)))
    expect(pages.map((page) => page.items.length)).to.deep.equal([7, 7, 7, 4])
    const skus = pages.flatMap((page) => page.items.map((item) => item.sku))
    expect(skus).to.have.members(Array.from({ length: 25 }, (_, i) => `SKU-${i}`))
    expect((await list('?page=5&page_size=7')).items).to.deep.equal([])
    expect((await list('?page_size=100')).items).to.have.length(25)
  })

  for (const field of ['name', 'price', 'created_at'] as const)
    it(`sorts by ${field} both ways`, async () => {
      const up = (await list(`?page_size=100&sort=${field},asc`)).items
      const down = (await list(`?page_size=100&sort=${field},desc`)).items
      const keyOf = (item: Page['items'][number]): string | number =>
        field === 'created_at' ? Number(item.sku.slice(4)) : item[field]
      const sorted = up.map(keyOf).toSorted((a, b) => (a < b ? -1 : 1))
      expect(up.map(keyOf)).to.deep.equal(sorted)
      expect(down.map(keyOf)).to.deep.equal(sorted.toReversed())
      expect(up.map(keyOf)).to.not.deep.equal(down.map(keyOf))
    })

  it('names the fields that it sorts by when it is asked for another one', async () => {
    for (const sort of [
      'stock,asc',
      'password_hash,asc',
      'id;DROP TABLE products,asc',
      '(SELECT 1),asc',
      ',asc',
    ]) {
      const reply = await api('GET', `/products?sort=${encodeURIComponent(sort)}`)
      expectRefusal(reply, 400, 'VALIDATION_FAILED')
      for (const name of ['name', 'price', 'created_at']) expect(reply.text).to.include(name)
      expect(reply.text).to.not.include(sort)
    }
  })

  it('refuses a direction that is none, and a sort that is none', async () => {
    for (const sort of ['price', 'price,up', 'price,asc,name', 'price,ASC;--', 'price, asc', ''])
      expectRefusal(await api('GET', `/products?sort=${encodeURIComponent(sort)}`), 400, 'VALIDATION_FAILED')
    expectRefusal(await api('GET', '/products?sort=price,asc&sort=name,asc'), 400, 'VALIDATION_FAILED')
  })

  it('refuses pages that are none', async () => {
    for (const query of ['page=0', 'page=-1', 'page=1.5', 'page=x', 'page=', 'page=1e9', 'page=1&page=2'])
      expectRefusal(await api('GET', `/products?${query}`), 400, 'VALIDATION_FAILED')
    for (const query of [
      'page_size=0',
      'page_size=101',
      'page_size=-1',
      'page_size=NaN',
      'page_size=Infinity',
    ])
      expectRefusal(await api('GET', `/products?${query}`), 400, 'VALIDATION_FAILED')
  })

  it('names the query fields that it takes when it is given another one', async () => {
    for (const field of ['name', 'deleted_at', 'include', 'user_id', 'pagesize', 'page[]', 'constructor']) {
      const reply = await api('GET', `/products?${encodeURIComponent(field)}=1`)
      expectRefusal(reply, 400, 'VALIDATION_FAILED')
      for (const name of ['page', 'page_size', 'sort', 'q', 'currency', 'min_price', 'max_price'])
        expect(reply.text).to.match(new RegExp(`\\b${name}\\b`))
    }
    expectRefusal(await api('GET', '/products?__proto__=1'), 400, 'VALIDATION_FAILED')
  })

  it('gives text back as it was stored', async () => {
    expect((await list()).items[0]).to.include({ description: '<b>‮𝒻𝓁𝒶𝓈𝒽​ 秒杀 🚀</b>' })
  })

  describe('with filters', () => {
    const skus = async (query: string): Promise<string[]> =>
      (await list(`?page_size=100&sort=created_at,asc&${query}`)).items.map((item) => item.sku)
    const search = (text: string): Promise<string[]> => skus(`q=${encodeURIComponent(text)}`)

    before(() =>
      world.knex('products').insert(
        [
          { sku: 'ODD-1', name: '100% cotton_shirt', price: 1_000, currency: 'USD' },
          { sku: 'ODD-2', name: String.raw`back\slash 'quoted" -- name`, price: 2_000, currency: 'USD' },
          { sku: 'odd_3', name: 'Ünïcode 秒杀 手机 🚀', price: 3_000, currency: 'EUR' },
        ].map((row) => ({ id: uuidv7(), created_at: new Date(Date.UTC(2027, 0, 1)), ...row })),
      ),
    )
    after(() => world.knex('products').where('sku', 'ilike', 'odd%').delete())

    it('finds part of the name or of the SKU, in any case', async () => {
      expect(await search('COTTON')).to.deep.equal(['ODD-1'])
      expect(await search('odd')).to.deep.equal(['ODD-1', 'ODD-2', 'odd_3'])
      expect(await search('ünïcode 秒杀')).to.deep.equal(['odd_3'])
      expect(await search('🚀')).to.deep.equal(['odd_3'])
      expect(await search('sku-2')).to.deep.equal(['SKU-2', 'SKU-20', 'SKU-21', 'SKU-22', 'SKU-23', 'SKU-24'])
      expect(await search('no such product')).to.deep.equal([])
      expect(await search('gone'), 'deleted').to.deep.equal([])
    })

    it('takes %, _, \\ and quotes as themselves', async () => {
      expect(await search('%')).to.deep.equal(['ODD-1'])
      expect(await search('_')).to.deep.equal(['ODD-1', 'odd_3'])
      expect(await search('0%')).to.deep.equal(['ODD-1'])
      expect(await search('1%n')).to.deep.equal([])
      expect(await search('c_tton')).to.deep.equal([])
      expect(await search('\\')).to.deep.equal(['ODD-2'])
      expect(await search('\'quoted" --')).to.deep.equal(['ODD-2'])
      expect(await search("' OR 1=1 --")).to.deep.equal([])
    })

    it('keeps to a currency and to prices, both ends included', async () => {
      expect(await skus('currency=USD')).to.deep.equal(['ODD-1', 'ODD-2'])
      expect(await skus('currency=JPY')).to.deep.equal([])
      expect(await skus('min_price=1000')).to.deep.equal(['ODD-1', 'ODD-2', 'odd_3'])
      expect(await skus('min_price=1001&max_price=2000')).to.deep.equal(['ODD-2'])
      expect(await skus('min_price=2&max_price=1')).to.deep.equal([])
      expect(await skus('max_price=0')).to.deep.equal(['SKU-0'])
    })

    it('joins all filters, and counts what they leave', async () => {
      const data = await list('?q=odd&currency=USD&min_price=1500&max_price=1000000000000&page_size=1')
      expect(data).to.include({ total: 1, page: 1, page_size: 1 })
      expect(data.items.map((item) => item.sku)).to.deep.equal(['ODD-2'])
    })

    it('refuses filters that are none', async () => {
      const bad = ['q=', 'q=%20', 'q=%00', 'q=%0D', `q=${'x'.repeat(101)}`, 'q=a&q=b']
      const currencies = ['currency=usd', 'currency=', 'currency=USDT', "currency=US'"]
      const prices = ['', '-1', '1.5', '1e3', '0x1', 'NaN', '%201', '1000000000001', '99999999999999999999']
      for (const query of [...bad, ...currencies, ...prices.map((price) => `min_price=${price}`)])
        expectRefusal(await api('GET', `/products?${query}`), 400, 'VALIDATION_FAILED')
      for (const price of prices)
        expectRefusal(await api('GET', `/products?max_price=${price}`), 400, 'VALIDATION_FAILED')
    })
  })
})

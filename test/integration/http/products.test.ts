import { expect } from 'chai'
import { after, before, describe, it } from 'mocha'
import { v7 as uuidv7 } from 'uuid'
import { createClient, expectRefusal, type Client } from '../../support/http.ts'
import { createWorld, type World } from '../../support/world.ts'

interface Page {
  items: { id: string; sku: string; name: string; price: number }[]
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

  it('refuses query fields that it does not know, and names them', async () => {
    for (const field of ['name', 'deleted_at', 'include', 'user_id', 'pagesize', 'page[]', 'constructor']) {
      const reply = await api('GET', `/products?${encodeURIComponent(field)}=1`)
      expectRefusal(reply, 400, 'VALIDATION_FAILED')
      expect(reply.text).to.include(field)
    }
    expectRefusal(await api('GET', '/products?__proto__=1'), 400, 'VALIDATION_FAILED')
  })

  it('gives text back as it was stored', async () => {
    expect((await list()).items[0]).to.include({ description: '<b>‮𝒻𝓁𝒶𝓈𝒽​ 秒杀 🚀</b>' })
  })
})

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { Proxy } from '../support/proxy.ts'
import { until } from '../support/wait.ts'

describe('proxy', () => {
  let server: Server
  let proxy: Proxy
  let heard: string
  let client: Socket
  let received: string
  let end: string | undefined

  beforeEach(async () => {
    heard = ''
    server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        heard += chunk.toString()
        socket.write(chunk)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    proxy = await Proxy.before(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await join()
  })
  afterEach(async () => {
    client.destroy()
    await proxy.cut()
    server.close()
  })

  async function join(): Promise<void> {
    received = ''
    end = undefined
    client = connect(Number(new URL(proxy.urlOf('tcp://127.0.0.1:1')).port), '127.0.0.1')
    client.on('data', (chunk) => (received += chunk.toString()))
    client.on('error', (error: NodeJS.ErrnoException) => (end = error.code))
    await once(client, 'connect')
  }

  it('drops one reply, of a request that the server has heard, and the connection with it', async () => {
    client.write('a')
    await until('the echo', () => received === 'a')
    proxy.dropNextReply()
    client.write('b')
    await until('the end', () => end !== undefined)
    expect([heard, received, end]).to.deep.equal(['ab', 'a', 'ECONNRESET'])
    await join()
    client.write('c')
    await until('the echo', () => received === 'c')
  })

  it('keeps the order of what it delays, also when the delay ends', async () => {
    proxy.delay(100)
    client.write('1')
    await until('it to be under way', () => heard === '' && client.bytesWritten === 1)
    await proxy.restore()
    client.write('2')
    await until('the echo', () => received === '12')
  })

  it('resets all connections and takes new ones', async () => {
    client.write('a')
    await until('the echo', () => received === 'a')
    proxy.reset()
    await until('the end', () => end === 'ECONNRESET')
    await join()
    client.write('b')
    await until('the echo', () => received === 'b')
  })
})

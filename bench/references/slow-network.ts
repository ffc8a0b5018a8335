/** A network between a server and its clients: what clients send arrives DELAY_MS later, answers come at once. */
import { connect, createServer, type Socket } from 'node:net'

const { TARGET_HOST = '', TARGET_PORT, DELAY_MS, PORT } = process.env
const delayMs = Number(DELAY_MS)

createServer({ noDelay: true }, (client) => {
  const server = connect({ host: TARGET_HOST, port: Number(TARGET_PORT), noDelay: true })
  // Timers of the same length end in the order in which they were set.
  client.on('data', (chunk) => setTimeout(() => passOn(server, chunk), delayMs))
  server.on('data', (chunk) => passOn(client, chunk))
  tie(client, server)
  tie(server, client)
}).listen(Number(PORT), '127.0.0.1', () => process.send?.('ready'))
process.on('disconnect', () => process.exit(0))

function passOn(to: Socket, chunk: Buffer): void {
  if (!to.destroyed) to.write(chunk)
}

function tie(from: Socket, to: Socket): void {
  from.on('error', () => to.destroy())
  from.on('close', () => setTimeout(() => to.destroy(), delayMs))
}

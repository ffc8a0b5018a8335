/** Requests byte by byte, for what no HTTP client would send. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'

export interface RawReply {
  status: number
  headers: Headers
  text: string
}

/** A connection to a process of the product. */
export async function openSocket(baseUrl: string): Promise<Socket> {
  const { hostname, port } = new URL(baseUrl)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined) // the other side may close while something is written
  await once(socket, 'connect')
  return socket
}

/** Sends text as it is. @returns every answer that came until the other side closed */
export async function exchange(baseUrl: string, text: string | Buffer): Promise<RawReply[]> {
  const socket = await openSocket(baseUrl)
  socket.write(text)
  return repliesOf(socket)
}

/** Reads until the other side closes. */
export async function repliesOf(socket: Socket): Promise<RawReply[]> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  return split(Buffer.concat(chunks).toString('utf8'))
}

/** Splits answers with a Content-Length. */
function split(text: string): RawReply[] {
  const replies: RawReply[] = []
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n')
    const [line = '', ...lines] = rest.subarray(0, end).toString().split('\r\n')
    const headers = new Headers(lines.map((one) => one.split(/: (.*)/, 2) as [string, string]))
    const length = Number(headers.get('content-length') ?? 0)
    const body = rest.subarray(end + 4, end + 4 + length).toString()
    replies.push({ status: Number(line.split(' ')[1]), headers, text: body })
    rest = rest.subarray(end + 4 + length)
  }
  return replies
}

import { connect, type Socket } from 'node:net'

export interface WireAnswer {
  status: number
  /** Status line, headers and body, as they came. */
  text: string
}

/** One kept connection, which carries one request at a time. */
export class Wire {
  readonly #socket: Socket
  #received = ''

  constructor(
    host: string,
    port: number,
    heard: { answered: (wire: Wire, answer: WireAnswer) => void; lost?: (wire: Wire) => void },
  ) {
    this.#socket = connect({ host, port, noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (text: string) => {
      this.#received += text
      if (!isComplete(this.#received)) return
      const answer = { status: Number(this.#received.slice(9, 12)), text: this.#received }
      this.#received = ''
      heard.answered(this, answer)
    })
    const { lost } = heard
    if (lost === undefined) return // then a broken connection ends the process
    this.#socket.on('error', () => undefined)
    this.#socket.once('close', () => lost(this))
  }

  send(request: Buffer | string): void {
    this.#socket.write(request, 'latin1')
  }

  end(): void {
    this.#socket.removeAllListeners('close').destroy()
  }
}

/** Our servers tell the length of an answer. */
function isComplete(received: string): boolean {
  const head = received.indexOf('\r\n\r\n')
  if (head < 0) return false
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1] ?? 0)
  return received.length >= head + 4 + length
}

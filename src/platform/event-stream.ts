import { Readable } from 'node:stream'
import { createEventBuffer } from 'better-sse'

/** How long a client should wait before it comes again after a broken connection. */
const RETRY_MS = 2_000

/**
 * One event as it goes over the wire, for any number of streams.
 * @param id comes back as `Last-Event-ID` when the client connects again
 */
export function eventText(event: string, id: string, data: unknown): string {
  return createEventBuffer().push(data, event, id).read()
}

/** Server-sent events, as the body of an answer. What a slow client has not read yet is its `readableLength`. */
export class EventStream extends Readable {
  static readonly TYPE = 'text/event-stream'
  /** No proxy may keep events back, change them or serve them to others. */
  static readonly HEADERS = { 'Cache-Control': 'no-store, no-transform', 'X-Accel-Buffering': 'no' }

  constructor() {
    super()
    this.push(createEventBuffer().retry(RETRY_MS).dispatch().read())
  }

  /** As `eventText`, to this client alone. */
  send(event: string, id: string, data: unknown): void {
    this.sendText(eventText(event, id, data))
  }

  /** @param text made by `eventText` */
  sendText(text: string): void {
    this.push(text)
  }

  /** Nothing to tell, and the connection stays awake. */
  comment(): void {
    this.push(createEventBuffer().comment().dispatch().read())
  }

  finish(): void {
    this.push(null)
  }

  /** Events come when they happen, not when they are asked for. */
  override _read(): void {}
}

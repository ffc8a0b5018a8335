/** Answers for what breaks before it is a request: Node's own ones have no envelope. */
import { randomUUID } from 'node:crypto'
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { errorEntry, type ErrorName } from './errors.ts'

const BY_CODE: Readonly<Record<string, ErrorName>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'PAYLOAD_TOO_LARGE',
}

/** Handles `clientError` of a server: answers in the envelope and closes the connection. */
export function answerBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  // Node keeps the response in hand there; where its head has left, another answer would be taken for its body.
  const { _httpMessage: begun } = socket as Duplex & { _httpMessage?: ServerResponse | null }
  if (error.code === 'ECONNRESET' || !socket.writable || begun?.headersSent === true) {
    socket.destroy()
    return
  }
  socket.end(answerOf(BY_CODE[error.code ?? ''] ?? 'VALIDATION_FAILED'))
}

function answerOf(name: ErrorName): string {
  const { status, n, en } = errorEntry(name)
  const requestId = randomUUID()
  const body = JSON.stringify({ code: status * 100 + n, error: name, message: en, request_id: requestId })
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    'X-Content-Type-Options: nosniff',
    `X-Request-Id: ${requestId}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n')
}

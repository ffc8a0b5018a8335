/** The page that shows the OpenAPI document: everything on it comes from this process, nothing runs inline. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export interface StaticFile {
  content: string | Buffer
  type: string
  /** Strong: it changes with any byte of the content. */
  etag: string
}

export function staticFile(content: string | Buffer, type: string): StaticFile {
  return { content, type, etag: `"${createHash('sha256').update(content).digest('base64url')}"` }
}

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Flash sale API</title>
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <script defer src="/docs/swagger-ui-bundle.js"></script>
    <script defer src="/docs/initializer.js"></script>
  </head>
  <body>
    <div id="swagger-ui"></div>
  </body>
</html>
`

const INITIALIZER = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
  requestSnippetsEnabled: true,
  persistAuthorization: false,
})
`

/**
 * Styles may be inline because Swagger UI sets them on its elements. Nothing is upgraded to https: the page has to
 * work on plain http beside the process.
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(';')

/** Reads the page and what it loads, by name; the page itself is `index.html`. No other file can be asked for. */
export function readDocsFiles(): ReadonlyMap<string, StaticFile> {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  const read = (name: string, type: string): [string, StaticFile] => [
    name,
    staticFile(readFileSync(join(folder, name)), type),
  ]
  return new Map([
    ['index.html', staticFile(PAGE, 'text/html; charset=utf-8')],
    ['initializer.js', staticFile(INITIALIZER, 'text/javascript; charset=utf-8')],
    read('swagger-ui-bundle.js', 'text/javascript; charset=utf-8'),
    read('swagger-ui.css', 'text/css; charset=utf-8'),
    read('favicon-32x32.png', 'image/png'),
  ])
}

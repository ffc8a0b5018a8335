/** `npm run -s demo | node --import tsx tools/demo/picture.ts > docs/demo.svg`: a terminal's text as a picture. */
import { text } from 'node:stream/consumers'

const FONT_SIZE = 13
const LINE_HEIGHT = 18
const CHAR_WIDTH = 7.85
const MARGIN = 16

const lines = (await text(process.stdin)).trimEnd().split('\n')
const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHAR_WIDTH + 2 * MARGIN)
const height = lines.length * LINE_HEIGHT + 2 * MARGIN
const escape = (line: string) => line.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const colour = (line: string) =>
  /^ {2}(ok|BROKEN) /.test(line) ? (line.startsWith('  ok') ? '#7ee787' : '#ff7b72') : '#e6edf3'
const rows = lines.map(
  (line, i) =>
    `<text x="${MARGIN}" y="${MARGIN + (i + 0.75) * LINE_HEIGHT}" fill="${colour(line)}" xml:space="preserve">${escape(line)}</text>`,
)
process.stdout
  .write(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="${FONT_SIZE}">
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${rows.join('\n')}
</svg>
`)

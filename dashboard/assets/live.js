// @ts-check
// Keeps the live page of a sale up to date. All words come from the server; only clocks and ages tick here.
import { Charts } from './live-charts.js'

/** @typedef {import('../live/wire.ts').LiveView} LiveView */
/** @typedef {import('../live/wire.ts').LiveHistory} LiveHistory */
/** @typedef {import('../live/wire.ts').PartName} PartName */

const PAGE = /** @type {HTMLElement} */ (document.querySelector('[data-events]'))
const TITLE_END = ' · Flash sale'
/** Clocks that differ by more make countdowns of other pages look wrong. */
const SKEW_MS = 500

/** @type {LiveView | undefined} */
let view
/** When the view came, by the clock of this page, which nobody sets. */
let cameAt = 0
const charts = new Charts(PAGE)

/** @param {string} selector @returns {HTMLElement[]} */
const all = (selector) => [...PAGE.querySelectorAll(selector)].filter((found) => found instanceof HTMLElement)

/** Changes nothing that is right already, so that selections stay and nothing is told twice. @param {Element | null} at @param {string} text */
function write(at, text) {
  if (at !== null && at.textContent !== text) at.textContent = text
}

/** @param {HTMLElement} at @param {string} name @param {string | undefined} value */
function mark(at, name, value) {
  if (value === undefined) delete at.dataset[name]
  else if (at.dataset[name] !== value) at.dataset[name] = value
}

/** @param {LiveView} next */
function show(next) {
  view = next
  cameAt = performance.now()
  for (const at of all('[data-live]')) {
    const field = next.fields[at.dataset.live ?? '']
    if (field === undefined) continue
    write(at, field.text)
    mark(at, 'tone', field.tone)
  }
  document.title = next.title + TITLE_END
  write(PAGE.querySelector('[data-announcement]'), next.announcement)
  for (const at of all('[data-when]')) at.hidden = !at.dataset.when?.split(' ').includes(next.status ?? '')
  showMeter(next)
  showFindings(next)
  showSkew(next)
  charts.add(next)
  tick()
}

/** @param {LiveView} next */
function showMeter({ meter, fields }) {
  const bar = PAGE.querySelector('.meter')
  const total = meter.reduce((sum, { units }) => sum + units, 0)
  let x = 0
  for (const rect of bar?.querySelectorAll('[data-share]') ?? []) {
    const units = meter.find(({ name }) => name === rect.getAttribute('data-share'))?.units ?? 0
    const width = total === 0 ? 0 : (1000 * units) / total
    rect.setAttribute('x', String(x))
    rect.setAttribute('width', String(width))
    x += width
  }
  const parts = all('.sum [data-share]').map((part) => {
    const name = part.dataset.share ?? ''
    return `${fields[`meter.${name}`]?.text} ${part.querySelector('dt')?.textContent}`
  })
  bar?.setAttribute('aria-label', `${fields['meter.granted']?.text} granted: ${parts.join(', ')}`)
}

/** @param {LiveView} next */
function showFindings({ findings }) {
  const list = PAGE.querySelector('[data-findings]')
  const text = JSON.stringify(findings)
  if (list === null || list.getAttribute('data-findings') === text) return
  list.setAttribute('data-findings', text)
  const lines = findings.length === 0 ? [{ rid: null, text: 'nothing' }] : findings
  list.replaceChildren(...lines.map(({ rid, text }) => findingLine(rid, text)))
}

/** @param {string | null} rid @param {string} text */
function findingLine(rid, text) {
  const line = document.createElement('li')
  if (rid === null) {
    line.textContent = text
    return line
  }
  const link = document.createElement('a')
  link.href = `/look-up?q=${encodeURIComponent(rid)}`
  link.textContent = rid
  line.append(link, `: ${text}`)
  return line
}

/** @param {LiveView} next */
function showSkew({ clock }) {
  const at = all('[data-live="skew.browser"]')[0]
  if (clock === null || at === undefined) return
  const ms = Date.now() - clock.nowMs
  const far = Math.abs(ms) > SKEW_MS
  write(at, far ? `${span(Math.abs(ms))} ${ms > 0 ? 'ahead' : 'behind'}` : 'less than 500 ms')
  mark(at, 'tone', far ? 'warn' : undefined)
}

/** What changes with time alone. */
function tick() {
  if (view === undefined) return
  const sinceMs = performance.now() - cameAt
  for (const tile of all('[data-part]')) {
    const part = view.parts[/** @type {PartName} */ (tile.dataset.part)]
    const ageMs = part.ageMs === null ? null : part.ageMs + sinceMs
    const stale = ageMs === null || ageMs > part.staleMs
    mark(tile, 'stale', stale ? 'true' : undefined)
    const time = part.asOfMs === null ? '' : new Date(part.asOfMs).toLocaleTimeString()
    const age =
      ageMs === null ? 'not read yet' : `as of ${time} · ${span(Math.floor(ageMs / 1000) * 1000)} ago`
    write(tile.querySelector('[data-age]'), stale && ageMs !== null ? `Old: ${age}` : age)
    const trouble = tile.querySelector('[data-trouble]')
    write(trouble, part.trouble ?? '')
    trouble?.toggleAttribute('hidden', part.trouble === null)
  }
  write(PAGE.querySelector('[data-countdown]'), countdown(view.clock, sinceMs))
}

/** @param {LiveView['clock']} clock @param {number} sinceMs */
function countdown(clock, sinceMs) {
  if (clock === null) return ''
  const { nowMs, startMs, endMs, ended } = clock
  const window = `${new Date(startMs).toLocaleString()} – ${new Date(endMs).toLocaleString()}`
  const now = nowMs + sinceMs
  if (ended || now >= endMs) return window
  return now < startMs
    ? `Starts in ${span(startMs - now)} · ${window}`
    : `Ends in ${span(endMs - now)} · ${window}`
}

/** A length of time in whole seconds. @param {number} ms */
function span(ms) {
  const s = Math.floor(ms / 1000)
  if (s < 120) return `${s} s`
  const [days, hours, minutes] = [
    Math.floor(s / 86400),
    Math.floor((s % 86400) / 3600),
    Math.floor((s % 3600) / 60),
  ]
  if (days > 0) return `${days} d ${hours} h`
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${s % 60} s`
}

/** @param {string} text @param {'ok' | 'warn' | 'bad'} tone */
function showConnection(text, tone) {
  const at = all('[data-connection]')[0]
  if (at === undefined) return
  write(at, text)
  mark(at, 'tone', tone)
}

function connect() {
  const source = new EventSource(PAGE.dataset.events ?? '')
  source.addEventListener('open', () => showConnection('live', 'ok'))
  source.addEventListener('history', ({ data }) =>
    charts.begin(/** @type {LiveHistory} */ (JSON.parse(data))),
  )
  source.addEventListener('view', ({ data }) => show(/** @type {LiveView} */ (JSON.parse(data))))
  source.addEventListener('error', () => {
    if (source.readyState !== EventSource.CLOSED)
      return showConnection('connection lost, trying again', 'warn')
    // An answer that is no stream ends it for good: logged out, no longer allowed, or no room. The page tells which.
    showConnection('not live any more: load the page again', 'bad')
  })
}

connect()
setInterval(tick, 1000)

// Owns every process that the services consist of, so that they end with the command that asked for them however
// that command ends. The launcher holds our stdin: when it closes (stop, Ctrl-C, crash, SIGKILL) we stop everything,
// remove the instance folder and exit. Plain JavaScript, because the oldest supported Node cannot run TypeScript.
//
// in:  {op:'start', id, command, args, env, cwd, uid?, gid?, log, input?, stopSignal?, graceMs?, last?}
//      {op:'teardown', command, args, env}     to be run at the end (docker compose down)
//      {op:'stop'}
// out: {id, pid} then {id, code, signal}; {id, error} when it could not be started
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { sep } from 'node:path'
import { createInterface } from 'node:readline'

const GRACE_MS = 8000
const TEARDOWN_MS = 60_000

const folder = process.argv[2]
const children = new Map()
const teardowns = []
let stopping = false

function tell(message) {
  process.stdout.write(JSON.stringify(message) + '\n')
}

function signal(pid, name) {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

/** Starts one child in a session of its own: a terminal's Ctrl-C must not reach it before our users have drained. */
function start(order) {
  const { id, command, args, env, cwd, uid, gid } = order
  const log = openSync(order.log, 'a', 0o600)
  const child = spawn(command, args, { env, cwd, uid, gid, detached: true, stdio: ['pipe', log, log] })
  closeSync(log)
  const gone = new Promise((resolve) => {
    child.once('error', (error) => {
      tell({ id, error: error.message })
      resolve()
    })
    child.once('exit', (code, name) => {
      // Helpers that outlive the leader of their group (of a shell wrapper, say) go with it.
      signal(-child.pid, 'SIGKILL')
      tell({ id, code, signal: name })
      resolve()
    })
  })
  const { stopSignal = 'SIGTERM', graceMs = GRACE_MS, last = false } = order
  children.set(id, { child, gone, stopSignal, graceMs, last })
  void gone.then(() => children.delete(id))
  child.stdin.on('error', () => {})
  child.stdin.end(order.input ?? '')
  if (child.pid !== undefined) tell({ id, pid: child.pid })
}

function tryToStart(order) {
  try {
    start(order)
  } catch (error) {
    tell({ id: order.id, error: error.message })
  }
}

/** Asks, waits for as long as that child is given, and kills. */
async function endOne({ child, gone, stopSignal, graceMs }) {
  if (child.pid === undefined) return
  signal(child.pid, stopSignal)
  // One that somebody has stopped would not hear it.
  signal(-child.pid, 'SIGCONT')
  const hard = setTimeout(() => signal(-child.pid, 'SIGKILL'), graceMs)
  await gone
  clearTimeout(hard)
}

/** Processes of ours that no child answers for any more: PostgreSQL's have sessions of their own, and may be stopped. */
function leftOver() {
  return processes().filter((pid) => {
    try {
      return (readlinkSync(`/proc/${pid}/cwd`) + sep).startsWith(folder + sep)
    } catch {
      return false
    }
  })
}

function processes() {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}

async function stop() {
  if (stopping) return
  stopping = true
  const running = [...children.values()]
  await Promise.all(running.filter(({ last }) => !last).map(endOne))
  await Promise.all(running.filter(({ last }) => last).map(endOne))
  for (const pid of leftOver()) signal(pid, 'SIGKILL')
  for (const { command, args, env } of teardowns) spawnSync(command, args, { env, timeout: TEARDOWN_MS })
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  process.exit(0)
}

function receive(line) {
  const order = JSON.parse(line)
  if (order.op === 'stop') void stop()
  else if (stopping) tell({ id: order.id, error: 'the services are being stopped' })
  else if (order.op === 'teardown') teardowns.push(order)
  else tryToStart(order)
}

for (const name of ['SIGINT', 'SIGHUP']) process.on(name, () => {})
process.on('SIGTERM', () => void stop())
// The launcher may be gone: nobody is left to tell.
process.stdout.on('error', () => {})
process.stdin.on('error', () => void stop())
createInterface({ input: process.stdin })
  .on('line', receive)
  .on('close', () => void stop())

// node tools/bootstrap.mjs <script.ts> [args...]
//
// Makes a fresh clone able to run a TypeScript script: checks Node, installs the packages when they are missing or
// do not fit the lock file, then runs the script in this very process, as `node --import tsx` would. One process
// means that signals, stdio and the exit code need no forwarding. Only Node's own modules may be used here, and what
// it says goes to stderr: the script owns stdout.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NEEDED = [20, 19]
const SHOWN_LINES = 40
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const lockFile = join(root, 'package-lock.json')
const stampFile = join(root, 'node_modules', '.bootstrap-stamp')
const mutex = join(root, '.data', 'bootstrap.lock')

function fail(message, code = 1) {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return
  fail(`Node ${NEEDED.join('.')} or newer is needed, this is ${process.versions.node}`)
}

function readOr(file, otherwise) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return otherwise
  }
}

/** What the installed packages depend on: the lock file, and what native packages are picked or built by. */
function stamp() {
  const lock = createHash('sha256').update(readFileSync(lockFile)).digest('hex')
  return [lock, process.versions.node.split('.')[0], process.platform, process.arch].join(' ')
}

/** True when npm's own record of node_modules agrees with the lock file (somebody ran `npm ci` by hand). */
function agreesWithLock() {
  const have = JSON.parse(readOr(join(root, 'node_modules', '.package-lock.json'), '{}')).packages
  if (have === undefined) return false
  const fits = (list, value) => list === undefined || list.includes(value)
  return Object.entries(JSON.parse(readFileSync(lockFile, 'utf8')).packages).every(([path, want]) => {
    const foreign =
      !fits(want.os, process.platform) || !fits(want.cpu, process.arch) || want.libc !== undefined
    return path === '' || have[path]?.version === want.version || (want.optional === true && foreign)
  })
}

function installed() {
  const current = stamp()
  if (readOr(stampFile, undefined) === current) return true
  // A stamp that differs knows of another Node or another machine: then npm's record proves nothing.
  if (existsSync(stampFile) || !agreesWithLock()) return false
  writeFileSync(stampFile, current)
  return true
}

function alive(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Takes the lock, or waits while somebody who is alive holds it. */
async function lock() {
  mkdirSync(dirname(mutex), { recursive: true })
  for (let told = false; ; told = true) {
    try {
      mkdirSync(mutex)
      return writeOwners([process.pid])
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!told) process.stderr.write('waiting for another command that is installing packages ...\n')
    const gone = ownersAreGone()
    await sleep(300)
    // Seen twice: there is a moment between making the lock and naming its owner.
    if (gone && ownersAreGone()) discardLock()
  }
}

function unlock() {
  rmSync(mutex, { recursive: true, force: true })
}

function writeOwners(pids) {
  writeFileSync(join(mutex, 'owners'), pids.join(' '))
}

function ownersAreGone() {
  return !readOr(join(mutex, 'owners'), '')
    .split(' ')
    .map(Number)
    .some((pid) => pid > 0 && alive(pid))
}

function discardLock() {
  const trash = `${mutex}.${process.pid}`
  try {
    renameSync(mutex, trash)
  } catch {
    return // Another command was faster.
  }
  rmSync(trash, { recursive: true, force: true })
}

/** Installs what the lock file says. */
async function install() {
  process.stderr.write('installing packages (once) ...\n')
  const began = Date.now()
  const { code, output, told } = await npm('ci')
  if (told !== undefined) process.exit(128 + SIGNALS[told])
  if (code !== 0) {
    const shown = output.split('\n').slice(0, SHOWN_LINES).join('\n')
    fail(`${shown}\ninstalling packages failed (npm: ${code})`)
  }
  writeFileSync(stampFile, stamp())
  process.stderr.write(`packages installed in ${((Date.now() - began) / 1000).toFixed(0)} s\n`)
}

/** Runs npm quietly; when we are told to end, it ends first, so that nobody installs on top of it. */
async function npm(...command) {
  const cli = process.env.npm_execpath?.endsWith('npm-cli.js')
    ? [process.execPath, process.env.npm_execpath]
    : ['npm']
  const args = [...cli.slice(1), ...command, '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const child = spawn(cli[0], args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const result = { output: '', told: undefined }
  for (const signal of Object.keys(SIGNALS)) {
    process.on(signal, () => {
      result.told = signal
      child.kill('SIGTERM')
    })
  }
  if (child.pid !== undefined) writeOwners([process.pid, child.pid])
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (result.output += chunk))
  const code = await new Promise((done) =>
    child.once('error', (error) => done(error.message)).once('close', done),
  )
  for (const signal of Object.keys(SIGNALS)) process.removeAllListeners(signal)
  return { ...result, code }
}

async function provide() {
  if (installed()) return
  await lock()
  // Also when we exit in the middle.
  process.once('exit', unlock)
  if (!installed()) await install()
  process.removeListener('exit', unlock)
  unlock()
}

const [script, ...args] = process.argv.slice(2)
if (script === undefined) fail('usage: node tools/bootstrap.mjs <script.ts> [args...]', 2)
checkNode()
await provide()
const file = resolve(script)
process.argv = [process.argv[0], file, ...args]
// Processes forked by the script shall read TypeScript too.
process.execArgv.push('--import', 'tsx')
await import('tsx')
await import(pathToFileURL(file).href)

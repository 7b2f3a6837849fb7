/**
 * Installs the dependencies when, and only when, they are missing or belong to another
 * package-lock.json. Runs before every npm script, so `git clone` and `npm test` is all one needs.
 *
 * A stamp inside node_modules, written last, says which lockfile was installed: an interrupted
 * install leaves none and is repeated. Two runs at once take turns through a lock file in the
 * temporary folder (npm may empty node_modules, so the lock cannot live there); its owner touches
 * it every second, and a lock that nobody touches belonged to a process that died.
 *
 * No dependencies here, and nothing newer than Node 14 can parse: old versions get a clear answer.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE = [20, 19]
const HEARTBEAT_MS = 1000
/** Long enough for a busy machine to miss many heartbeats, short enough to wait out after a crash. */
const LOCK_DEAD_MS = 20_000

/** Part of the stamp: a node_modules copied from elsewhere may hold foreign binaries. */
const MACHINE = `${process.platform}-${process.arch}\n`

const root = fs.realpathSync(path.dirname(path.dirname(fileURLToPath(import.meta.url))))
const modules = path.join(root, 'node_modules')
const stampFile = path.join(modules, '.manyhands-setup')
const lockFile = path.join(os.tmpdir(), `manyhands-setup-${sha256(root).slice(0, 16)}.lock`)

refuseOldNode()
if (whyInstall()) await installInTurn()

function refuseOldNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const [oldMajor, oldMinor] = OLDEST_NODE
  if (major > oldMajor || (major === oldMajor && minor >= oldMinor)) return
  fail(`manyhands needs Node ${OLDEST_NODE.join('.')} or newer, this is ${process.versions.node}.`)
}

/** The reason to install, or null when node_modules already belongs to this package-lock.json. */
function whyInstall() {
  if (!fs.existsSync(modules)) return 'node_modules is missing'
  const installed = readText(stampFile)
  if (installed === stamp()) return null
  if (installed !== null && !installed.endsWith(MACHINE))
    return 'node_modules is of another machine'
  if (npmAgrees()) {
    writeStamp(stamp())
    return null
  }
  return installed === null
    ? 'node_modules is incomplete or of unknown origin'
    : 'package-lock.json has changed since the last install'
}

function stamp() {
  return `${sha256(readLock())} ${MACHINE}`
}

/** npm keeps a record of what it put into node_modules: an install by hand is as good as ours. */
function npmAgrees() {
  const record = readText(path.join(modules, '.package-lock.json'))
  if (record === null) return false
  try {
    const present = JSON.parse(record).packages
    return Object.entries(JSON.parse(readLock()).packages).every(
      ([place, { version, integrity, optional }]) =>
        place === '' ||
        (present[place] === undefined && optional === true) ||
        (present[place]?.version === version && present[place]?.integrity === integrity)
    )
  } catch {
    return false // an unreadable record is no record
  }
}

async function installInTurn() {
  await takeLock()
  const reason = whyInstall() // the one before us may have done it
  if (reason) await install(reason)
  process.exit() // the heartbeat would keep us alive; leaving releases the lock
}

async function install(reason) {
  console.error(`setup: ${reason}, running npm install`)
  const written = stamp() // of the lockfile npm is about to read, whatever happens to it meanwhile
  fs.rmSync(stampFile, { force: true })
  const code = await npmInstall()
  if (code !== 0) fail(`setup: npm install failed (${code}), see above. Nothing else was started.`)
  writeStamp(written)
}

function npmInstall() {
  // NODE_ENV=production would leave the tools out: ask for them by name.
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--include=dev']
  const [command, ...first] = npmCommand()
  const options = { cwd: root, stdio: 'inherit', shell: command === 'npm.cmd' }
  return new Promise((resolve) => {
    const child = spawn(command, [...first, ...args], options)
    child.on('error', (error) => resolve(error.message))
    // Wait for npm's own end, so that the lock is held until nobody writes any more.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.on(signal, () => child.kill(signal))
    child.on('exit', (code, signal) => resolve(code ?? signal))
  })
}

/** The npm that started us, if one did. */
function npmCommand() {
  const own = process.env.npm_execpath
  if (own && /^npm-cli\.c?js$/.test(path.basename(own))) return [process.execPath, own]
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm']
}

/** Waits for its turn and keeps it until the process ends, however it ends. */
async function takeLock() {
  const me = `${process.pid} ${Date.now()} ${Math.random()}`
  let told = false
  while (!(await tryLock(me))) {
    if (!told) console.error('setup: another install of this folder is under way, waiting for it')
    told = true
    await sleep(HEARTBEAT_MS / 4)
  }
  process.on('exit', () => {
    if (readText(lockFile) === me) fs.rmSync(lockFile, { force: true })
  })
  setInterval(touchLock, HEARTBEAT_MS)
}

async function tryLock(me) {
  if (lockAge() > LOCK_DEAD_MS) fs.rmSync(lockFile, { force: true })
  try {
    fs.writeFileSync(lockFile, me, { flag: 'wx' })
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
  // Two waiters may clear the same dead lock, and the slower one removes the new lock of the
  // faster. After this pause only one of them still finds its own name.
  await sleep(100)
  return readText(lockFile) === me
}

function lockAge() {
  try {
    return Date.now() - fs.statSync(lockFile).mtimeMs
  } catch {
    return 0 // gone: nothing to clear
  }
}

function touchLock() {
  try {
    fs.utimesSync(lockFile, new Date(), new Date())
  } catch {
    // Somebody cleaned the temporary folder; the install goes on.
  }
}

/** Whole or not at all: a reader never sees half a stamp. */
function writeStamp(text) {
  const half = `${stampFile}.${process.pid}`
  fs.writeFileSync(half, text)
  fs.renameSync(half, stampFile)
}

function readLock() {
  return fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8')
}

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex')
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

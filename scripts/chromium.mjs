/**
 * The browser of the tests in test/browser: finds Chromium on this machine. Run as a program (before the tests), it installs it
 * where that can be done without asking anybody, as root on Debian and its like, and says what to do elsewhere. It never fails:
 * without a browser these tests are skipped, visibly, or fail where the environment variable CI is set.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const PLACES = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe'
]

/** Mirrors that do not answer must not hold up the tests for long. */
const INSTALL_MS = 300_000

/** The path of a Chromium, or null. The environment variable CHROMIUM names one. */
export function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  const places = folders.flatMap((folder) => NAMES.map((name) => path.join(folder, name)))
  return [...places, ...PLACES].find(isProgram) ?? null
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

function install() {
  const why = whyNotInstall()
  if (why !== null) return skip(why)
  console.error('setup: there is no Chromium, installing it with apt-get for the browser tests')
  aptGet('update') // if it fails, what is known from before may do
  const status = aptGet('install', '--no-install-recommends', '-y', 'chromium')
  if (status !== 0) skip('apt-get could not install it')
}

function aptGet(...args) {
  const { status } = spawnSync('/usr/bin/apt-get', ['-qq', ...args], {
    stdio: ['ignore', 2, 2], // what it says is no output of the tests
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: INSTALL_MS
  })
  return status
}

/** Null where it can be done. */
function whyNotInstall() {
  if (!isProgram('/usr/bin/apt-get')) return 'this is no Debian'
  return process.getuid?.() === 0 ? null : 'only root can install it'
}

function skip(why) {
  console.error(`setup: there is no Chromium (${why}): the browser tests will be skipped.
setup: Install Chromium (Debian: sudo apt-get install chromium), or name one by CHROMIUM=<path>.`)
}

const isProgramItself = fs.realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url)
if (isProgramItself && findChromium() === null) install()

/**
 * Programs that tests need beside Node: Chromium (test/browser) and openssl, the authority of time stamps. Run by itself, before the tests,
 * it installs them where that can be done without asking anybody, as root on Debian and its like, and says what to do elsewhere. It
 * never fails: without them these tests are skipped, visibly, or fail where the environment variable CI is set.
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
  return [...inPath(NAMES), ...PLACES].find(isProgram) ?? null
}

export function hasOpenssl() {
  return inPath(['openssl']).some(isProgram)
}

function inPath(names) {
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  return folders.flatMap((folder) => names.map((name) => path.join(folder, name)))
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

function missing() {
  return [findChromium() === null ? 'chromium' : [], hasOpenssl() ? [] : 'openssl'].flat()
}

function install(packages) {
  const names = packages.join(' and ')
  const why = whyNotInstall()
  if (why !== null) return skip(names, why)
  console.error(`setup: installing ${names} with apt-get, for the tests`)
  aptGet('update') // if it fails, what is known from before may do
  const status = aptGet('install', '--no-install-recommends', '-y', ...packages)
  if (status !== 0) skip(names, 'apt-get could not install it')
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

function skip(names, why) {
  console.error(`setup: there is no ${names} (${why}): the tests that need it will be skipped.
setup: Install it (Debian: sudo apt-get install ${names.replace(' and ', ' ')}). Another Chromium is named by CHROMIUM=<path>.`)
}

const isProgramItself = fs.realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url)
const packages = isProgramItself ? missing() : []
if (packages.length > 0) install(packages)

/**
 * Runs Hyperbee's own test suite against MultiBee and prints what passes, what does not, and why.
 *
 *     node scripts/hyperbee-suite.mjs <a checkout of holepunchto/hyperbee> [--verbose]
 *
 * The suite is copied into a temporary folder; there its helper `create` gives our adapter (test/peers/hyperbee/adapter.ts)
 * instead of a Hyperbee. Nothing of it is kept. docs/PEERS.md says how to read the table.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const adapter = path.join(root, 'test', 'peers', 'hyperbee', 'adapter.ts')
const brittle = fileURLToPath(import.meta.resolve('brittle'))
const typescript = new URL('typescript.mjs', import.meta.url).href

/** One file of the suite takes some 30 s, most of it its own waiting. */
const FILE_MS = 180_000

const [checkout, ...flags] = process.argv.slice(2)
const isVerbose = flags.includes('--verbose')
if (checkout === undefined || !fs.existsSync(path.join(checkout, 'test', 'helpers', 'index.js'))) {
  console.error(
    'Usage: node scripts/hyperbee-suite.mjs <a checkout of holepunchto/hyperbee> [--verbose]'
  )
  process.exit(2)
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'manyhands-hyperbee-'))

async function main() {
  prepare()
  const results = []
  for (const file of testFiles()) results.push(...(await runFile(file)))
  report(results)
}

function prepare() {
  fs.cpSync(path.join(checkout, 'test'), path.join(folder, 'test'), { recursive: true })
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "type": "commonjs" }')
  fs.writeFileSync(path.join(folder, 'index.js'), HYPERBEE)
  const helpers = path.join(folder, 'test', 'helpers', 'index.js')
  fs.writeFileSync(helpers, adapted(fs.readFileSync(helpers, 'utf8')))
  const modules = path.join(folder, 'node_modules')
  fs.mkdirSync(path.join(modules, 'brittle'), { recursive: true })
  fs.writeFileSync(path.join(modules, 'brittle', 'index.js'), BRITTLE)
  // What is installed in the checkout is the suite's own choice of versions.
  for (const from of [checkout, root]) linkModules(path.resolve(from, 'node_modules'), modules)
}

function linkModules(from, to) {
  if (!fs.existsSync(from)) return
  for (const name of fs.readdirSync(from)) {
    if (name.startsWith('.') || fs.existsSync(path.join(to, name))) continue
    fs.symlinkSync(path.join(from, name), path.join(to, name))
  }
}

/** The suite's helpers, with other bodies for those that make a bee or a core. */
function adapted(text) {
  const bodies = {
    create: `return (await import(${JSON.stringify(adapter)})).create(t, opts)`,
    clone: "throw new Error('INTERNALS core (a second Hyperbee over a copy of the core)')",
    createStored: "throw new Error('INTERNALS core (Hyperbees over cores of the test)')",
    createStoredCore: "throw new Error('INTERNALS core (a core of the test)')",
    createCore: "throw new Error('INTERNALS core (a core of the test)')"
  }
  for (const [name, body] of Object.entries(bodies)) {
    const pattern = new RegExp(`(async function ${name}\\(.*?\\) \\{\\n)[^]*?\\n(\\}\\n)`)
    if (!pattern.test(text)) throw new Error(`The suite's helpers have no ${name} any more`)
    text = text.replace(pattern, (_, head, tail) => `${head}  ${body}\n${tail}`)
  }
  return text
}

/** What the suite gets for the class itself: some tests use it without their helper. */
const HYPERBEE = `
module.exports = class Hyperbee {
  constructor() { throw new Error('INTERNALS core (new Hyperbee over a core)') }
  static isHyperbee() { throw new Error('INTERNALS isHyperbee') }
}
`

/** A test that throws ends the run: its reason is printed, and the next run leaves out what is done. */
const BRITTLE = `
const test = require(${JSON.stringify(brittle)})
const done = new Set(JSON.parse(process.env.MANYHANDS_DONE))
module.exports = (title, run) => {
  if (!done.has(title)) test(title, { timeout: 20000 }, (t) => guarded(t, run))
}
async function guarded(t, run) {
  try {
    await run(t)
  } catch (error) {
    console.log('    not ok 0 - threw: ' + String(error && error.message).split('\\n')[0])
    throw error
  }
}
`

function testFiles() {
  return fs
    .readdirSync(path.join(folder, 'test'))
    .filter((name) => name.endsWith('.js'))
    .sort()
}

/** Again and again, without what is done, as long as tests end their process. */
async function runFile(file) {
  const titles = titlesIn(file)
  const verdicts = new Map()
  while (verdicts.size < titles.length) {
    const output = await run(path.join(folder, 'test', file), [...verdicts.keys()])
    if (isVerbose) console.log(output)
    for (const [title, verdict] of readTap(output)) verdicts.set(title, verdict)
    const ended = titles.find((title) => !verdicts.has(title))
    if (ended !== undefined) verdicts.set(ended, verdictOf(false, reasonsIn(afterVerdicts(output))))
  }
  return titles.map((title) => ({ file, title, ...verdicts.get(title) }))
}

function titlesIn(file) {
  const text = fs.readFileSync(path.join(folder, 'test', file), 'utf8')
  const calls = text.matchAll(/^test\((['"`])(.*?)\1,/gm)
  return [...calls].map(([, quote, title]) => title.replaceAll(`\\${quote}`, quote))
}

function run(file, done) {
  const child = spawn(process.execPath, ['--import', typescript, file], {
    cwd: root,
    env: { ...process.env, MANYHANDS_DONE: JSON.stringify(done) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FILE_MS
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => child.on('close', () => resolve(output)))
}

/** By title: the verdict, and of a failure the first reason that was printed. */
function readTap(output) {
  const verdicts = new Map()
  let lines = []
  for (const line of output.split('\n')) {
    const outer = /^(not )?ok \d+ - (.*?)( # time = .*)?$/.exec(line)
    if (outer === null) lines.push(line)
    else {
      verdicts.set(outer[2], verdictOf(outer[1] === undefined, reasonsIn(lines.join('\n'))))
      lines = []
    }
  }
  return verdicts
}

/** What was printed of the test in which the process ended. */
function afterVerdicts(output) {
  const lines = output.split('\n')
  return lines.slice(lines.findLastIndex((line) => /^(not )?ok /.test(line)) + 1).join('\n')
}

/** Failed assertions, and errors that ended the process. */
function reasonsIn(text) {
  const failed = [...text.matchAll(/^ +not ok \d+ - (.*)$/gm)].map(([, reason]) => reason)
  const errors = [...text.matchAll(/(?:\w*Error|Internals)(?: \[\w+\])?: (.*)$/gm)]
  return [...failed, ...errors.map(([, reason]) => reason)]
}

function verdictOf(isPass, reasons) {
  if (isPass) return { kind: 'pass', reason: '' }
  const internal = reasons.find((reason) => reason.includes('INTERNALS'))
  if (internal !== undefined) return { kind: 'skip', reason: internal.replace(/.*INTERNALS /, '') }
  return { kind: 'fail', reason: reasons[0] ?? 'no reason printed' }
}

function report(results) {
  const WORDS = { pass: 'pass', fail: 'FAIL', skip: 'skip' }
  for (const { file, title, kind, reason } of results) {
    console.log(
      `${WORDS[kind]}  ${file.padEnd(13)}  ${title}${reason === '' ? '' : `\n        ${reason}`}`
    )
  }
  const count = (kind) => results.filter((each) => each.kind === kind).length
  console.log(
    `\n${results.length} tests: ${count('pass')} pass, ${count('fail')} fail, ${count('skip')} touch what is below Hyperbee`
  )
}

try {
  await main()
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}

/**
 * The test runner: uvu, with its traps closed.
 *
 * Every test file is a process of its own, some at a time, and ends by calling `test.run()` itself.
 * A file has passed only when all of this holds: uvu printed exactly one summary, at least one
 * test is in it, every test in it passed, and the process then ended by itself with exit code 0.
 * So a hang, a leaked timer, a throw after the last test, an early exit, a forgotten `test.run()`
 * and a throwing hook (which uvu swallows) are failures, each with its reason.
 *
 * Half of the places go to the files that took longest last time, half to those that took least: no
 * long one is left to run alone in the end, and they are not all under way at once. What each took is
 * kept in node_modules/.cache. Files named `*.serial.test.ts` run alone,
 * after the others. The last line of the output is `N passed, N failed`, with `, N skipped` when
 * something was skipped. A file that fails without a failing test counts as one failure.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { stripAll } from './support/stripped.ts'
import { longestFirst, keepTimes } from './support/times.ts'
import { programArguments, STRIPPED } from './support/typescript.ts'

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

const USAGE = `Usage: node --import ./scripts/typescript.mjs test/run.ts [options] [path or part of one ...]

  --slow         run **/*.slow.ts instead of **/*.test.ts
  --timeout <s>  for one file (240, with --slow 1200)
  --linger <s>   a file may take to end after its last test (10)
  --jobs <n>     files at a time (two more than there are processors: many wait)
  --dir <path>   where to look (test)
  --help`

interface Options {
  readonly slow: boolean
  readonly timeoutMs: number
  readonly lingerMs: number
  readonly jobs: number
  readonly dir: string
  readonly filters: readonly string[]
}

/** What a process left behind, before it is judged. */
interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stopped: 'time-out' | 'linger' | null
  /** What uvu's summary is read from. */
  readonly stdout: string
  /** Both streams in the order of arrival, for the reader. */
  readonly output: string
  readonly seconds: number
}

interface Verdict {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Null when the file passed. */
  readonly reason: string | null
}

interface Result extends Verdict, Ended {
  readonly file: string
}

const SUMMARY = /^ {2}Total: {5}(\d+)\s+Passed: {4}(\d+)\s+Skipped: {3}(\d+)\s+Duration: /gm
// oxlint-disable-next-line no-control-regex -- that is what a colour is made of
const COLOUR = /\u001b\[[\d;]*m/g

/** From so many files on it pays to strip the whole project once. */
const MANY = 8

/** Processes under way; none of them outlives the runner. */
const running = new Set<ChildProcess>()

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  killChildrenOnExit()
  const files = findFiles(options)
  const unmatched = options.filters.filter((filter) => !files.some((file) => matches(file, filter)))
  if (files.length === 0 || unmatched.length > 0) return refuse(options, unmatched)

  if (files.filter(isOurs).length >= MANY) await stripForAll()
  const isSerial = (file: string) => /\.serial\.(test|slow)\.ts$/.test(file)
  const together = longestFirst(files.filter((file) => !isSerial(file)))
  const results = [
    ...(await runFiles(together, options.jobs, options)),
    ...(await runFiles(files.filter(isSerial), 1, options))
  ]
  keepTimes(results.filter(({ file }) => isOurs(file)))
  summarize(results)
}

function readOptions(args: readonly string[]): Options {
  try {
    return parseOptions(args)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    console.error(`${error.message}\n\n${USAGE}`)
    process.exit(2)
  }
}

function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      slow: { type: 'boolean', default: false },
      timeout: { type: 'string' },
      linger: { type: 'string', default: '10' },
      jobs: { type: 'string', default: String(availableParallelism() + 2) },
      dir: { type: 'string', default: path.join(ROOT, 'test') },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  return {
    slow: values.slow,
    timeoutMs: 1000 * positive('--timeout', values.timeout ?? (values.slow ? '1200' : '240')),
    lingerMs: 1000 * positive('--linger', values.linger),
    jobs: Math.ceil(positive('--jobs', values.jobs)),
    dir: path.resolve(values.dir),
    filters: positionals.map(normalizeFilter)
  }
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (number > 0 && Number.isFinite(number)) return number
  throw new TypeError(`${name} expected a positive number, got "${text}"`)
}

/** `./test/a.test.ts` and an absolute path mean the same file as `test/a.test.ts`. */
function normalizeFilter(filter: string): string {
  const isPath = path.isAbsolute(filter) || filter.startsWith('.')
  return toPosix(isPath ? path.relative(ROOT, path.resolve(filter)) : filter)
}

function toPosix(file: string): string {
  return file.split(path.sep).join('/')
}

function matches(file: string, filter: string): boolean {
  return file.includes(filter)
}

/** Paths relative to the project, in the order of the alphabet. */
function findFiles({ dir, slow, filters }: Options): string[] {
  const ending = slow ? '.slow.ts' : '.test.ts'
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending) && !file.split(path.sep).includes('node_modules'))
    .map((file) => toPosix(path.relative(ROOT, path.join(dir, file))))
    .filter((file) => filters.length === 0 || filters.some((filter) => matches(file, filter)))
    .sort()
}

function refuse({ slow }: Options, unmatched: readonly string[]): void {
  const kind = slow ? '*.slow.ts' : '*.test.ts'
  if (unmatched.length === 0) console.log(`No test file: there is no ${kind}`)
  for (const filter of unmatched) console.log(`No test file: no ${kind} matches "${filter}"`)
  finish(0, Math.max(unmatched.length, 1), 0)
}

/** The runner's own test has its files elsewhere. */
function isOurs(file: string): boolean {
  return !file.startsWith('../')
}

/** Strips all sources once, for every process that is started from here. */
async function stripForAll(): Promise<void> {
  const folder = await stripAll()
  process.env[STRIPPED] = folder
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
}

async function runFiles(
  files: readonly string[],
  jobs: number,
  options: Options
): Promise<Result[]> {
  const queue = [...files]
  const results: Result[] = []
  const worker = async (_: unknown, place: number) => {
    const next = () => (place % 2 === 0 ? queue.shift() : queue.pop())
    for (let file = next(); file !== undefined; file = next()) {
      const ended = await runFile(file, options)
      const result = { file, ...ended, ...judge(ended, options) }
      results.push(result)
      report(result)
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return results
}

function runFile(file: string, { timeoutMs, lingerMs }: Options): Promise<Ended> {
  const started = performance.now()
  const child = spawn(process.execPath, programArguments(file), {
    cwd: ROOT,
    // A group of its own, so that what the test starts can be ended together with it.
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: process.stdout.isTTY ? { ...process.env, FORCE_COLOR: '1' } : process.env
  })
  running.add(child)

  let stopped: Ended['stopped'] = null
  const stop = (why: Ended['stopped']) => {
    stopped ??= why
    killGroup(child)
  }
  const timeout = setTimeout(stop, timeoutMs, 'time-out')
  let linger: NodeJS.Timeout | undefined

  const stdout: Buffer[] = []
  const output: Buffer[] = []
  let tail = ''
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  child.stdout.on('data', (chunk: Buffer) => {
    stdout.push(chunk)
    output.push(chunk)
    tail = (tail + chunk.toString('latin1')).slice(-1000)
    if (summaries(tail).length > 0) linger ??= setTimeout(stop, lingerMs, 'linger')
  })

  return new Promise((resolve, reject) => {
    child.on('error', reject)
    // The leader is gone; what it left in its group would keep the pipes open.
    child.on('exit', () => killGroup(child))
    child.on('close', (code, signal) => {
      clearTimeout(timeout)
      clearTimeout(linger)
      running.delete(child)
      resolve({
        code,
        signal,
        stopped,
        stdout: Buffer.concat(stdout).toString(),
        output: Buffer.concat(output).toString(),
        seconds: (performance.now() - started) / 1000
      })
    })
  })
}

interface Summary {
  readonly total: number
  readonly passed: number
  readonly skipped: number
}

function summaries(stdout: string): Summary[] {
  return [...stdout.replaceAll(COLOUR, '').matchAll(SUMMARY)].map(([, total, passed, skipped]) => ({
    total: Number(total),
    passed: Number(passed),
    skipped: Number(skipped)
  }))
}

function judge(ended: Ended, options: Options): Verdict {
  const found = summaries(ended.stdout)
  const { total, passed, skipped } = found[0] ?? { total: 0, passed: 0, skipped: 0 }
  const reason = whyFailed(ended, found, options)
  const failed = reason === null ? 0 : Math.max(total - passed, 1)
  return { passed, failed, skipped, reason }
}

/** The first of the laws at the top of this file that was broken, or null. */
function whyFailed(ended: Ended, found: readonly Summary[], options: Options): string | null {
  const { code, signal, stopped } = ended
  const [summary] = found
  if (stopped === 'time-out') return `no end after ${options.timeoutMs / 1000} s, killed`
  if (!summary) {
    return `no summary (${ending(code, signal)}): test.run() is missing, or the process ended early`
  }
  if (found.length > 1)
    return `${found.length} summaries: call run() for all suites without waiting between them`
  if (summary.passed < summary.total) return whyTestsFailed(summary, code)
  if (summary.total + summary.skipped === 0) return 'no tests'
  if (stopped === 'linger') {
    return `still running ${options.lingerMs / 1000} s after its last test, killed: a timer, socket or file is left open`
  }
  if (code !== 0) return `all tests passed, but then: ${ending(code, signal)}`
  return null
}

function whyTestsFailed({ total, passed }: Summary, code: number | null): string {
  const count = `${total - passed} of ${total} did not pass`
  // uvu loses these errors and answers 0.
  return code === 0 ? `${count}: a hook threw, or a test threw something that is no Error` : count
}

function ending(code: number | null, signal: string | null): string {
  return signal === null ? `exit code ${code}` : `killed by ${signal}`
}

function report({ file, seconds, passed, skipped, reason, output }: Result): void {
  const time = `${seconds.toFixed(1)} s`.padStart(8)
  if (reason === null) {
    console.log(`ok   ${time}  ${file}  ${passed}${skipped > 0 ? `, ${skipped} skipped` : ''}`)
    return
  }
  console.log(`FAIL ${time}  ${file}  ${reason}\n\n${output.trimEnd()}\n`)
}

function summarize(results: readonly Result[]): void {
  const bad = results.filter(({ reason }) => reason !== null)
  if (bad.length > 0) console.log('\nFailed:')
  for (const { file, reason } of bad) console.log(`  ${file}  ${reason}`)
  const sum = (field: 'passed' | 'failed' | 'skipped') =>
    results.reduce((total, result) => total + result[field], 0)
  console.log()
  finish(sum('passed'), sum('failed'), sum('skipped'))
}

function finish(passed: number, failed: number, skipped: number): void {
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exitCode = failed > 0 ? 1 : 0
}

function killChildrenOnExit(): void {
  process.on('exit', () => running.forEach(killGroup))
  // Children are groups of their own: the terminal's Ctrl-C reaches the runner only.
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  process.on('SIGHUP', () => process.exit(129))
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  if (process.platform === 'win32') {
    spawnSync('taskkill', ['/pid', String(pid), '/t', '/f'])
    return
  }
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody is left in the group.
  }
}

await main()

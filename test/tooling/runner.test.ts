/**
 * test/run.ts against small files that fall into each of uvu's traps. The files are written into a
 * temporary folder and all run in one go; each test then looks at what was said about one of them.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { TYPESCRIPT } from '../support/typescript.ts'

const RUNNER = fileURLToPath(new URL('../run.ts', import.meta.url))
const HEAD = `import { test, suite } from ${JSON.stringify(import.meta.resolve('uvu'))}\n`
const FOREVER = 'setInterval(() => {}, 1000)'
const FAILING = `() => { throw new Error('the reason in full') }`

const FILES = {
  'passing.test.ts': `test('a', () => {}); test('b', async () => {}); test.run()`,
  'failing.test.ts': `test('a', () => {}); test('b', ${FAILING}); test.run()`,
  'empty.test.ts': `test.run()`,
  'forgotten.test.ts': `test('a', () => {})`,
  'skipping.test.ts': `test('a', () => {}); test.skip('b', () => {}); test.run()`,
  'all-skipped.test.ts': `test.skip('a', () => {}); test.run()`,
  'hanging.test.ts': `test('a', () => new Promise(() => ${FOREVER})); test.run()`,
  'unsettled.test.ts': `test('a', () => new Promise(() => {})); test.run()`,
  'leaking.test.ts': `test('a', () => void ${FOREVER}); test.run()`,
  'late-throw.test.ts': `test('a', () => void setTimeout(${FAILING}, 100)); test.run()`,
  'late-reject.test.ts': `test('a', () => void setTimeout(async () => { throw new Error('x') }, 100)); test.run()`,
  'early-exit.test.ts': `test('a', () => process.exit(0)); test.run()`,
  'broken.test.ts': `throw new Error('no test was even made')`,
  'hook.test.ts': `test.before(${FAILING}); test('a', () => {}); test.run()`,
  'no-error.test.ts': `test('a', () => { throw 'a string' }); test.run()`,
  'two-suites.test.ts': `for (const name of ['s', 't']) { const one = suite(name); one('a', () => {}); one.run() }`,
  'run-twice.test.ts': `test('a', () => {}); test.run(); await new Promise((end) => setTimeout(end, 100)); test('b', () => {}); test.run()`,
  'noisy.test.ts': `test('a', () => { console.error('  Total:     9\\n  Passed:    0\\n  Skipped:   0\\n  Duration:  1ms') }); test.run()`,
  'alone.serial.test.ts': `test('a', () => {}); test.run()`,
  'long.slow.ts': `test('a', () => {}); test.run()`
}

interface Run {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
  readonly last: string
}

const runner = suite<{ dir: string; all: Run; slow: Run }>('runner')

runner.before(async (context) => {
  context.dir = mkdtempSync(path.join(tmpdir(), 'runner-'))
  writeFileSync(path.join(context.dir, 'package.json'), '{ "type": "module" }')
  for (const [name, body] of Object.entries(FILES)) {
    writeFileSync(path.join(context.dir, name), HEAD + body)
  }
  context.all = await run(context.dir, '--timeout', '8', '--linger', '2', '--jobs', '4')
})

runner.after(({ dir }) => rmSync(dir, { recursive: true, force: true }))

runner('a file whose tests pass is one line with its count', ({ all }) => {
  assert.match(line(all, 'passing.test.ts'), /^ok +\d+\.\d s .*passing\.test\.ts {2}2$/)
  assert.match(line(all, 'two-suites'), /^ok .* 2$/)
  assert.match(line(all, 'noisy'), /^ok .* 1$/)
})

runner('a failing test is told with the whole output of its file', ({ all }) => {
  assert.match(line(all, 'failing'), /^FAIL .*1 of 2 did not pass$/)
  assert.match(all.output, 'the reason in full')
})

runner('skipped tests are counted, and are not "no tests"', ({ all }) => {
  assert.match(line(all, 'skipping'), /^ok .* 1, 1 skipped$/)
  assert.match(line(all, 'all-skipped'), /^ok .* 0, 1 skipped$/)
})

const refused: ReadonlyArray<readonly [title: string, file: string, reason: RegExp]> = [
  ['a file without tests', 'empty', /no tests$/],
  ['a forgotten test.run()', 'forgotten', /no summary \(exit code 0\)/],
  ['a test that never ends', 'hanging', /no end after 8 s, killed$/],
  ['a promise nobody settles', 'unsettled', /no summary \(exit code 1\)/],
  ['a timer left open', 'leaking', /still running 2 s after its last test/],
  ['a throw after the last test', 'late-throw', /all tests passed, but then: exit code 1$/],
  ['a rejection after the last test', 'late-reject', /all tests passed, but then: exit code 1$/],
  ['an exit in the middle', 'early-exit', /no summary \(exit code \d\)/],
  ['a file that does not load', 'broken', /no summary \(exit code 1\)/],
  ['a throwing hook', 'hook', /1 of 1 did not pass: a hook threw/],
  ['a thrown string', 'no-error', /1 of 1 did not pass: .* no Error$/],
  ['a second run()', 'run-twice', /2 summaries/]
]
for (const [title, file, reason] of refused) {
  runner(`${title} is a failure with its reason`, ({ all }) => {
    assert.match(line(all, `${file}.test.ts`), /^FAIL /)
    assert.match(line(all, `${file}.test.ts`), reason)
  })
}

runner('serial files come last', ({ all }) => {
  const order = [...all.output.matchAll(/^(?:ok|FAIL) .*?([\w-]+)(?:\.serial)?\.test\.ts/gm)]
  assert.is(order.length, Object.keys(FILES).length - 1)
  assert.is(order.at(-1)?.[1], 'alone')
})

runner('the last line counts tests, and a broken file without a failing test as one', ({ all }) => {
  assert.is(all.last, '12 passed, 13 failed, 2 skipped')
  assert.is(all.code, 1)
})

runner('a filter selects; without skips the last line has two numbers', async ({ dir }) => {
  const { code, last, output } = await run(dir, 'passing.test')
  assert.is(last, '2 passed, 0 failed')
  assert.is(code, 0)
  assert.not.match(output, 'failing')
})

runner('--slow runs the slow files and no others', async ({ dir }) => {
  const { code, last } = await run(dir, '--slow')
  assert.is(last, '1 passed, 0 failed')
  assert.is(code, 0)
})

runner('a filter that matches nothing is a failure, also beside one that does', async ({ dir }) => {
  const { code, last, output } = await run(dir, 'passing.test', 'no-such-thing')
  assert.match(output, 'no *.test.ts matches "no-such-thing"')
  assert.is(last, '0 passed, 1 failed')
  assert.is(code, 1)
})

runner('an unknown option is refused before anything runs', async ({ dir }) => {
  const { code, output } = await run(dir, '--slwo')
  assert.is(code, 2)
  assert.match(output, 'Usage:')
})

/** A file with a process of its own, both of which would live for ever; tells their ids in a file. */
const PARENT = (pids: string) => `
  import { spawn } from 'node:child_process'
  import { writeFileSync } from 'node:fs'
  const child = spawn(process.execPath, ['-e', ${JSON.stringify(FOREVER)}], { stdio: 'inherit' })
  writeFileSync(${JSON.stringify(pids)}, JSON.stringify([process.pid, child.pid]))
  test('a', () => new Promise(() => ${FOREVER})); test.run()`

if (process.platform !== 'win32') {
  runner('a time-out ends the processes of the test as well', async () => {
    await withParent(async (dir, pids) => {
      const { output } = await run(dir, '--timeout', '5')
      assert.match(output, 'no end after 5 s')
      await allGone(pids)
    })
  })

  runner('Ctrl-C ends the tests and what they started', async () => {
    await withParent(async (dir, pids) => {
      const ended = run(dir, (interrupt) => void until(() => readPids(pids)).then(interrupt))
      assert.is((await ended).code, 130)
      await allGone(pids)
    })
  })
}

runner.run()

/** Runs the runner over `dir`; a function among the arguments is handed the means to interrupt it. */
function run(
  dir: string,
  ...args: ReadonlyArray<string | ((interrupt: () => void) => void)>
): Promise<Run> {
  const texts = args.filter((arg) => typeof arg === 'string')
  const child = spawn(process.execPath, [...TYPESCRIPT, RUNNER, '--dir', dir, ...texts], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  for (const arg of args) if (typeof arg === 'function') arg(() => child.kill('SIGINT'))
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ code, signal, output, last: output.trimEnd().split('\n').at(-1) ?? '' })
    })
  })
}

/** The line of the report about one file. */
function line({ output }: Run, file: string): string {
  const found = output.split('\n').find((each) => /^(ok|FAIL) /.test(each) && each.includes(file))
  if (found === undefined) throw new Error(`Nothing is said about ${file} in:\n${output}`)
  return found
}

async function withParent(use: (dir: string, pids: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(path.join(tmpdir(), 'runner-'))
  const pids = path.join(dir, 'pids.json')
  writeFileSync(path.join(dir, 'package.json'), '{ "type": "module" }')
  writeFileSync(path.join(dir, 'parent.test.ts'), HEAD + PARENT(pids))
  try {
    await use(dir, pids)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function readPids(file: string): number[] | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as number[]
  } catch {
    return null // not yet written
  }
}

async function allGone(file: string): Promise<void> {
  const pids = readPids(file)
  assert.is(pids?.length, 2)
  await until(() => (pids?.some(isAlive) ? null : true))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Asks until the answer is not null; the runner's own time-out bounds the patience. */
async function until<T>(ask: () => T | null): Promise<T> {
  for (;;) {
    const answer = ask()
    if (answer !== null) return answer
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** The main job, run as a user runs it: what it claims, and that it leaves nothing behind however it ends. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tempFolder, until, type TempFolder } from '../support/devices.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

const MAIN = 'examples/two-devices/main.ts'

/** The example takes 3 s on a quiet machine. */
const PATIENCE = { timeout: 60_000 }

interface Run {
  readonly process: ChildProcess
  readonly temp: TempFolder
  /** Both streams, so far. */
  output(): string
  /** The exit code, once the process has ended and its output is read. */
  readonly ended: Promise<number | null>
}

/** With a folder for temporary files of its own, so that what is left there can be seen. */
async function start(...args: readonly string[]): Promise<Run> {
  const temp = await tempFolder()
  const env = { ...process.env, TMPDIR: temp.path }
  const child = spawn(process.execPath, [...TYPESCRIPT, MAIN, ...args], { env })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(child, 'close').then(() => child.exitCode)
  return { process: child, temp, output: () => output, ended }
}

/** The run up to a text in its output, for instance the heading of a chapter. */
async function startUntil(text: string): Promise<Run> {
  const run = await start()
  await until(() => run.output().includes(text) || run.process.exitCode !== null, PATIENCE)
  return run
}

function pidsIn(output: string): Record<'Laptop' | 'Phone', number> {
  const [, laptop, phone] = /Laptop is process (\d+), Phone is process (\d+)/.exec(output) ?? []
  return { Laptop: Number(laptop), Phone: Number(phone) }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The stores that were left. */
async function storesIn({ path }: TempFolder): Promise<string[]> {
  return (await readdir(path)).filter((name) => name.startsWith('manyhands'))
}

async function assertNothingIsLeft(run: Run): Promise<void> {
  const { Laptop, Phone } = pidsIn(run.output())
  assert.ok(Laptop > 0 && Phone > 0 && Laptop !== Phone, 'two processes were named')
  assert.not(isAlive(Laptop), 'the Laptop has ended')
  assert.not(isAlive(Phone), 'the Phone has ended')
  assert.equal(await storesIn(run.temp), [], 'the stores are removed')
  await run.temp.remove()
}

/** The two exports that a chapter compares: what is printed of each. */
function exportsIn(output: string): string[] {
  return [...output.matchAll(/(?:Laptop|Phone) +sees (\d+ keys; exported: .*)/g)].map(
    ([, text = '']) => text
  )
}

/** The rows of the table in chapter 3. */
function conflictsIn(output: string): string[] {
  const [, rows = ''] = /because\n([^]*?)\n\n/.exec(output) ?? []
  return rows.split('\n')
}

/** One run that nothing disturbs; several tests look at it. */
let whole: Run
test.before(async () => {
  whole = await start()
  await whole.ended
})

test('two devices that edited offline see the same after they met, and again at the end', async () => {
  const output = whole.output()
  assert.is(await whole.ended, 0, output)
  const [a, b, c, d, ...more] = exportsIn(output)
  assert.match(a ?? '', /^488 keys; exported: \d+,\d+ bytes, sha256 [0-9a-f]{16}$/)
  assert.is(a, b, 'after the meeting')
  assert.match(c ?? '', /^493 keys/)
  assert.is(c, d, 'after the live puts')
  assert.equal(more, [])
  assert.is(output.match(/The two exports are equal, byte by byte/g)?.length, 2)
})

test('the conflicts are shown with their reasons, and one is settled on both devices', () => {
  const output = whole.output()
  const conflicts = conflictsIn(output)
  assert.is(conflicts.length, 6, output)
  const count = (why: RegExp) => conflicts.filter((row) => why.test(row)).length
  assert.is(count(/later, by \d+ ms$/), 4)
  assert.is(count(/cities\/(EG\/cairo|NG\/lagos)-.*\(deleted\) +edit beats delete$/), 2)
  assert.match(output, /\b51 keys were written by both: 45 with the same value, 6 with different/)
  assert.is(output.match(/sees Mumbai \(Bombay\).*; conflicts: 1 before, 0 now/g)?.length, 2)
})

test('the Phone sees each live put of the Laptop', () => {
  assert.match(whole.output(), /^ +5 puts, one after the other: ([\d.]+ m?s(, |$)){5}/m)
})

test('what is printed fits on a page of plain text', () => {
  const lines = whole.output().trimEnd().split('\n')
  assert.ok(lines.length <= 45, `${lines.length} lines`)
  const isBad = (line: string) =>
    line.length > 100 || line !== line.trimEnd() || /\p{Cc}/u.test(line)
  assert.equal(lines.filter(isBad), [])
})

test('nothing is left behind', async () => {
  await assertNothingIsLeft(whole)
})

for (const [name, chapter] of [
  ['Laptop', '1. Offline'],
  ['Phone', '2. They meet']
] as const) {
  test(`a ${name} that is killed in chapter "${chapter}" is named, and the rest is cleaned up`, async () => {
    const run = await startUntil(chapter)
    process.kill(pidsIn(run.output())[name], 'SIGKILL')
    assert.is(await run.ended, 1, run.output())
    assert.match(
      run.output(),
      new RegExp(
        `The process of the ${name} ended before its work was done \\(killed by SIGKILL\\)`
      )
    )
    assert.not.match(run.output(), /Done in/)
    await assertNothingIsLeft(run)
  })
}

test('devices that do not meet in time give up with a clear message', async () => {
  const run = await start('--patience', '0.001')
  assert.is(await run.ended, 1, run.output())
  assert.match(run.output(), /The (Laptop|Phone) found no other device within 0\.001 seconds\./)
  await assertNothingIsLeft(run)
})

test('Ctrl-C cleans up', async () => {
  const run = await startUntil('1. Offline')
  run.process.kill('SIGINT')
  assert.is(await run.ended, 130, run.output())
  assert.match(run.output(), /Stopped by SIGINT\./)
  await assertNothingIsLeft(run)
})

test('the devices end by themselves when the main process is killed', async () => {
  const run = await startUntil('Found each other')
  const { Laptop, Phone } = pidsIn(run.output())
  run.process.kill('SIGKILL')
  await until(() => !isAlive(Laptop) && !isAlive(Phone), { timeout: 20_000 })
  await run.ended
  await run.temp.remove()
})

test.run()

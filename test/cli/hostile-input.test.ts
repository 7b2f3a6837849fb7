/** What comes into the command broken, or never comes, and what goes out to a disk that is full: a clear message, nothing guessed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { open, writeFile, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands, type Ended, type Started } from '../support/cli.ts'

const manyhands = await Manyhands.make()
const store = manyhands.path('store')
const run = (...args: readonly string[]) => manyhands.run('--store', store, ...args)

test.before(async () => {
  ok(await run('init'))
  ok(await run('space', 'create', 'Notes'))
})

test.after(() => manyhands.remove())

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

function file(name: string, content: string | Uint8Array): string {
  const path = manyhands.path(name)
  writeFileSync(path, content)
  return path
}

test('import: a line that is not UTF-8 is named and never guessed at, the others are kept', async () => {
  const jsonl = '{"key":"a","value":1}\n{"key":"b\xff","value":1}\n{"key":"c","value":"\xc3\xb6"}\n'
  const csv = 'key,value\na,1\nb\xff,1\nc,"""\xc3\xb6"""\n'
  for (const [name, text, line] of [
    ['latin.jsonl', jsonl, 2],
    ['latin.csv', csv, 3]
  ] as const) {
    const path = file(name, Buffer.from(text, 'latin1'))
    const { code, stderr } = await run('import', path, '--skip-bad', '--sub', name)
    assert.is(code, 1)
    assert.is(stderr, `Line ${line}: the line is not UTF-8\n`)
    const all = ok(await run('export', '--sub', name))
    assert.is(all, '{"key":"a","value":1}\n{"key":"c","value":"ö"}\n')
  }
  const header = file('header.csv', Buffer.from('key\xff,value\na,1\n', 'latin1'))
  const refused = await run('import', header)
  assert.is(refused.code, 7)
  assert.match(refused.stderr, /the line is not UTF-8.*LINE_INVALID/)
})

test('import: of a CSV file with a broken quote, what stands before it is written', async () => {
  const path = file('quote.csv', 'key,value\na,1\nb,2\nc,"x" y\nd,4\n')
  const { code, stderr } = await run('import', path, '--sub', 'quote')
  assert.is(code, 7)
  assert.match(stderr, /Line 4: .*2 lines before it were written/)
  assert.is(ok(await run('list', '--keys', '--sub', 'quote')), 'a\nb\n')
})

test('import: a quote that is not closed is named by its line, and holds no more than a record may', async () => {
  const path = file('open.csv', 'key,value\na,"1"\n\nb,"2\nc,3\nd,4\n')
  const { code, stderr } = await run('import', path, '--sub', 'open')
  assert.is(code, 7)
  assert.match(
    stderr,
    /Line 4: a quote that opens here is not closed. 1 line before it was written/
  )
  const skipped = await run('import', path, '--sub', 'open', '--skip-bad', '--json')
  assert.equal(JSON.parse(skipped.stdout), { written: 1, bad: 1 })
  const long = file('long.csv', `key,value\na,1\nb,"\n${'x\n'.repeat(17 * 1024 * 1024)}`)
  const refused = await run('import', long, '--sub', 'open')
  assert.is(refused.code, 7)
  assert.match(refused.stderr, /Line 3: what begins here is longer than 32 MiB: is a quote open\?/)
})

test('put: no more is read than a value may take', async () => {
  const large = file('large', Buffer.alloc(5 * 1024 * 1024, 'x'))
  for (const args of [
    ['--file', large],
    ['--file', '-'],
    ['--text', '-']
  ]) {
    const stdin = 'x'.repeat(5 * 1024 * 1024)
    const { code, stderr } = await manyhands.runWith({ stdin }, [
      '--store',
      store,
      '--json',
      'put',
      'large',
      ...args
    ])
    assert.is(code, 2)
    assert.is((JSON.parse(stderr) as { error: { code: string } }).error.code, 'VALUE_TOO_LARGE')
  }
  if (process.platform !== 'win32')
    assert.is((await run('put', 'x', '--file', '/dev/zero')).code, 2)
  assert.is((await run('get', 'large')).code, 1)
})

test('import: takes back what export wrote, whatever ends a line elsewhere', async () => {
  const value = 'a\u2028b\u2029c\rd\u0085e\ufeff'
  ok(await run('put', 'ends', '--text', value, '--sub', 'ends'))
  for (const format of ['jsonl', 'csv']) {
    const path = manyhands.path(`ends.${format}`)
    ok(await run('export', '--output', path, '--sub', 'ends'))
    ok(await run('import', path, '--sub', `ends-${format}`))
    const back = JSON.parse(ok(await run('get', 'ends', '--sub', `ends-${format}`))) as unknown
    assert.is(back, value)
  }
})

test('import: a byte order mark and carriage returns are no part of a key', async () => {
  const jsonl = file('mark.jsonl', '\ufeff{"key":"a","value":1}\r\n\r\n{"key":"b","value":2}')
  const csv = file('mark.csv', '\ufeffkey,value\r\na,1\r\nb,2\r\n')
  for (const path of [jsonl, csv]) {
    ok(await run('import', path, '--sub', path.slice(-3)))
    const all = ok(await run('export', '--sub', path.slice(-3)))
    assert.is(all, '{"key":"a","value":1}\n{"key":"b","value":2}\n')
  }
})

test('one Ctrl-C ends a command that waits for its input', async () => {
  if (process.platform !== 'linux') return // where /proc tells that it listens
  for (const args of [
    ['put', 'a', '--text', '-'],
    ['put', 'a', '--file', '-'],
    ['import', '-']
  ]) {
    const started = manyhands.start(['--store', store, ...args], null)
    await interruptible(started)
    started.process.kill('SIGINT')
    assert.is(await endOf(started), 130, args.join(' '))
  }
})

test('one Ctrl-C ends a command that reads a pipe into which nobody writes', async () => {
  const fifo = manyhands.path('fifo')
  execFileSync('mkfifo', [fifo])
  for (const args of [
    ['put', 'a', '--file', fifo],
    ['import', fifo],
    ['--store', manyhands.path('restored'), 'restore', '--from', fifo]
  ]) {
    const started = manyhands.start(['--store', store, ...args])
    const writer = await open(fifo, 'w') // as soon as somebody reads
    started.process.kill('SIGINT')
    assert.is(await endOf(started), 130, args.join(' '))
    assert.ok(await isUnread(writer), 'nobody reads any more')
    await writer.close()
  }
})

test('what is read of a pipe is imported', async () => {
  const fifo = manyhands.path('lines')
  execFileSync('mkfifo', [fifo])
  const started = manyhands.start(['--store', store, 'import', fifo])
  await writeFile(fifo, '{"key":"piped","value":1}\n')
  assert.is(await endOf(started), 0, started.stderr())
  assert.is(ok(await run('get', 'piped')).trim(), '1')
  const again = await run('import', '--atomic', fifo)
  assert.match(again.stderr, /reads the file twice/)
})

/** A pipe that nobody reads refuses what is written; its reader may take a moment to die. */
async function isUnread(writer: FileHandle): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await writer.write('x')
    } catch {
      return true
    }
    await sleep(20)
  }
  return false
}

/** When it catches signals. SIGHUP tells: the others Node catches itself from the start. */
async function interruptible({ process: { pid } }: Started): Promise<void> {
  const SIGHUP = 1n << 0n
  for (;;) {
    const { stdout } = spawnSync('grep', ['SigCgt', `/proc/${pid}/status`])
    const caught = BigInt(
      `0x${
        stdout
          .toString()
          .replace(/\s*SigCgt:\s*/, '')
          .trim() || '0'
      }`
    )
    if ((caught & SIGHUP) !== 0n) return
    await sleep(20)
  }
}

/** Null when it does not end. */
async function endOf({ process, ended }: Started): Promise<number | null> {
  const timer = setTimeout(() => process.kill('SIGKILL'), 20_000)
  const { code } = await ended
  clearTimeout(timer)
  return code
}

test('output onto a full disk is an error with one line, not a crash', async () => {
  if (!existsSync('/dev/full')) return
  ok(await run('put', 'a', '1'))
  for (const args of ['list', 'export', 'export --output /dev/full']) {
    const command = `manyhands --store '${store}' ${args} > /dev/full`
    const { status, stderr } = spawnSync('sh', ['-c', command], { env: manyhands.env() })
    assert.is(status, 2, stderr.toString())
    assert.match(stderr.toString(), /^manyhands: ENOSPC.*\(FILE\)\n$/)
  }
})

test.run()

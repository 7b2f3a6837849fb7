/** Several commands at once on one store, and commands that are interrupted: nothing lost, a clear message. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands, type Ended, type Started } from '../support/cli.ts'
import { until } from '../support/devices.ts'

const manyhands = await Manyhands.make()
const store = manyhands.path('store')
const run = (...args: readonly string[]) => manyhands.run('--store', store, ...args)
const PATIENCE = { timeout: 60_000 }

test.before(async () => {
  ok(await run('init'))
  ok(await run('space', 'create', 'Notes'))
})

test.after(() => manyhands.remove())

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

/** Another value each time, as what changes nothing is not shown. @returns the one that was */
async function putUntil(key: string, isShown: () => boolean): Promise<number> {
  let value = 0
  await until(async () => {
    ok(await run('put', key, String(++value), '--wait', '60'))
    return isShown()
  }, PATIENCE)
  return value
}

/** A watch whose owner has ended shows what is written through it from now on, until Ctrl-C. */
async function takesOver(guest: Started): Promise<void> {
  await until(() => guest.stderr().includes('Watching again'), PATIENCE)
  const before = guest.stdout().length
  await putUntil('later', () => guest.stdout().length > before)
  guest.process.kill('SIGINT')
  assert.is((await guest.ended).code, 130)
}

test('commands that are started together all succeed, one after the other', async () => {
  const wait = ['--wait', '60']
  const puts = [1, 2, 3, 4].map((i) => {
    const args = ['--store', store, 'put', `together/${i}`, String(i), ...wait]
    return manyhands.start(args).ended
  })
  for (const put of await Promise.all(puts)) ok(put)
  assert.is(ok(await run('list', 'together/', '--keys')).split('\n').length, 5)
})

test('a command works through the one that owns the store, and a watch goes on when that ends', async () => {
  const watch = manyhands.start(['--store', store, 'watch', 'live/', '--json'])
  await until(() => existsSync(join(store, 'port')), PATIENCE)
  const guest = manyhands.start(['--store', store, 'watch', '--json'])
  ok(await run('put', 'other', '0'))
  // Until both are watching: a change shows it.
  const value = await putUntil('live/a', () => watch.stdout() !== '' && guest.stdout() !== '')
  assert.is(ok(await run('get', 'live/a')), `${value}\n`)
  watch.process.kill('SIGINT')
  assert.is((await watch.ended).code, 130)
  await takesOver(guest)
  const [first] = watch.stdout().split('\n')
  const change = JSON.parse(first ?? '') as { key: string; current: { value: number } }
  assert.is(change.key, 'live/a')
  assert.ok(change.current.value <= value)
  assert.is(ok(await run('get', 'live/a')), `${value}\n`)
})

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => JSON.stringify({ key: `k${i}`, value: i }))
}

test('import names the bad line, and writes what was before it, the rest, or nothing', async () => {
  const file = manyhands.path('bad.jsonl')
  const lines = numbered(3000)
  lines[1999] = '{"key":"broken'
  writeFileSync(file, lines.join('\n'))
  const count = async (sub: string) =>
    ok(await run('list', '--keys', '--sub', sub)).split('\n').length - 1

  const stopped = await run('import', file, '--sub', 'stop')
  assert.is(stopped.code, 7)
  assert.match(stopped.stderr, /Line 2000: .*1,999 lines before it were written/)
  assert.is(await count('stop'), 1999)

  const atomic = await run('import', file, '--sub', 'atomic', '--atomic')
  assert.is(atomic.code, 7)
  assert.match(atomic.stderr, /Line 2000: .*Nothing was written/)
  assert.is(await count('atomic'), 0)

  const skipped = await run('import', file, '--sub', 'skip', '--skip-bad', '--json')
  assert.is(skipped.code, 1)
  assert.match(skipped.stderr, /^Line 2000: /)
  assert.equal(JSON.parse(skipped.stdout), { written: 2999, bad: 1 })
  assert.is(await count('skip'), 2999)
})

test('every kind of bad line is one', async () => {
  const bad = [
    'nonsense',
    '[]',
    'null',
    '{"key":"a"}',
    '{"value":1}',
    '{"key":5,"value":1}',
    '{"key":"","value":1}',
    `{"key":"${'x'.repeat(5000)}","value":1}`,
    '{"key":"\\ud800","value":1}',
    '{"key":"a","value":{"$bytes":"%"}}',
    '{"key":"a","value":{"__proto__":1}}'
  ]
  const file = manyhands.path('all-bad.jsonl')
  writeFileSync(file, [...bad, '{"key":"good","value":1}'].join('\n'))
  const { code, stdout, stderr } = await run(
    'import',
    file,
    '--sub',
    'kinds',
    '--skip-bad',
    '--json'
  )
  assert.is(code, 1)
  assert.equal(JSON.parse(stdout), { written: 1, bad: bad.length }, stderr)
})

test('what is exported can be imported again, in both formats', async () => {
  const values = [
    '{"key":"a,\\"b\\"\\n","value":{"x":[1,"ä",null]}}',
    '{"key":"b","value":{"$bytes":"AP8K"}}',
    '{"key":"c","value":{"$$bytes":1}}',
    '{"key":"d","value":"1"}'
  ]
  const file = manyhands.path('values.jsonl')
  writeFileSync(file, `${values.join('\n')}\n`)
  ok(await run('import', file, '--sub', 'one'))
  assert.is(ok(await run('export', '--sub', 'one')), readFileSync(file, 'utf8'))
  const csv = manyhands.path('values.csv')
  ok(await run('export', '--sub', 'one', '--output', csv))
  ok(await run('import', csv, '--sub', 'two'))
  assert.is(ok(await run('export', '--sub', 'two')), readFileSync(file, 'utf8'))

  writeFileSync(csv, 'name,email\n"Ann ""A""",ann@x\nBob,bob@x\n')
  ok(await run('import', csv, '--sub', 'people', '--key', 'email'))
  assert.is(ok(await run('get', 'ann@x', '--sub', 'people')), '{"name":"Ann \\"A\\""}\n')
  assert.is(
    ok(await run('export', '--sub', 'people', '--format', 'csv', '--columns', 'name')),
    'key,name\nann@x,"Ann ""A"""\nbob@x,Bob\n'
  )
  const { code, stderr } = await run('import', csv, '--sub', 'people')
  assert.is(code, 2)
  assert.match(stderr, /no column "key", but name, email/)
})

test('Ctrl-C in the middle of an import keeps what was written and says how much', async () => {
  const importing = manyhands.start(['--store', store, 'import', '-', '--sub', 'cut'], undefined)
  importing.process.kill('SIGKILL')
  await importing.ended

  const file = manyhands.path('long.jsonl')
  writeFileSync(file, numbered(200_000).join('\n'))
  const long = manyhands.start(['--store', store, 'import', file, '--sub', 'cut'])
  await until(() => existsSync(join(store, 'port')), PATIENCE)
  const first = () => run('list', '--sub', 'cut', '--limit', '1', '--keys', '--wait', '60')
  await until(async () => ok(await first()) === 'k0\n', PATIENCE)
  long.process.kill('SIGINT')
  const { code, stderr } = await long.ended
  assert.is(code, 130, stderr)
  const written = Number(/Interrupted: ([\d,]+) lines/.exec(stderr)?.[1]?.replaceAll(',', ''))
  assert.ok(written > 0 && written < 200_000, stderr)
  const kept = ok(await run('list', '--sub', 'cut', '--keys')).split('\n').length - 1
  assert.is(kept, written)
})

test('backup goes through the owner of the store and pipes, and Ctrl-C leaves no half archive', async () => {
  const watch = manyhands.start(['--store', store, 'watch'])
  await until(() => existsSync(join(store, 'port')), PATIENCE)
  const archive = manyhands.path('all.tar')
  const { stderr } = await run('backup', archive, '--plain-keys')
  assert.match(stderr, /keys in this archive are open/)
  assert.is(statSync(archive).mode & 0o777, 0o600)
  watch.process.kill('SIGINT')
  await watch.ended
  const keys = ok(await run('list', 'together/', '--keys'))
  const restored = manyhands.path('restored')
  ok(await manyhands.run('--store', restored, 'restore', '--from', archive))
  assert.is(ok(await manyhands.run('--store', restored, 'list', 'together/', '--keys')), keys)
  const again = await manyhands.run('--store', restored, 'restore', '--from', archive)
  assert.is(again.code, 3)
  writeFileSync(archive, readFileSync(archive).subarray(0, 20_000))
  const broken = await manyhands.run('--store', manyhands.path('no'), 'restore', '--from', archive)
  assert.is(broken.code, 7)
  assert.match(broken.stderr, /broken at .*BACKUP_INVALID/)
  assert.not((await readdir(manyhands.temp.path)).some((name) => name.includes('no')))
})

test('a command that is done waits for commands that end, and leaves the store to those that do not', async () => {
  const importing = manyhands.start(['--store', store, 'import', '-', '--sub', 'slow'], null)
  importing.process.stdin?.write('{"key":"a","value":1}\n')
  await until(() => existsSync(join(store, 'port')), PATIENCE)
  const watch = manyhands.start(['--store', store, 'watch', '--json'])
  await putUntil('seen', () => watch.stdout() !== '')
  const history = manyhands.start(['--store', store, 'history', 'seen', '--live'])
  const short = manyhands.start(['--store', store, 'import', '-', '--sub', 'short'], null)
  const lines = Array.from({ length: 501 }, (_, i) => `{"key":"k${i}","value":1}\n`)
  short.process.stdin?.write(lines.join(''))
  await until(async () => ok(await run('list', '--sub', 'short')) !== '', PATIENCE)
  await until(() => history.stdout() !== '', PATIENCE)

  importing.process.stdin?.end()
  await until(() => importing.stderr().includes('Waiting for 1 other command'), PATIENCE)
  short.process.stdin?.end()
  ok(await short.ended)
  ok(await importing.ended)
  assert.is((await history.ended).code, 6, 'what was written between would be missing')
  await takesOver(watch)
  assert.is(ok(await run('list', '--keys', '--sub', 'slow')), 'a\n')
  assert.is(ok(await run('list', '--keys', '--sub', 'short')).split('\n').length, 502)
})

test('an owner that is killed leaves a store that works, and a guest that watches takes it over', async () => {
  const owner = manyhands.start(['--store', store, 'watch'])
  await until(() => existsSync(join(store, 'port')), PATIENCE)
  const guest = manyhands.start(['--store', store, 'watch', '--json'])
  const value = await putUntil('killed', () => guest.stdout() !== '')
  owner.process.kill('SIGKILL')
  await owner.ended
  await takesOver(guest)
  const last = manyhands.start(['--store', store, 'watch'])
  await until(() => existsSync(join(store, 'port')), PATIENCE)
  last.process.kill('SIGKILL')
  await last.ended
  // Its socket is there still, and nobody answers.
  assert.ok(existsSync(join(store, 'port')))
  assert.is(ok(await run('get', 'killed')), `${value}\n`)
  ok(await run('put', 'killed', 'null'))
  assert.is(ok(await run('get', 'killed')), 'null\n')
  ok(await run('doctor', '--repair'))
  assert.not(existsSync(join(store, 'port')))
})

test('a reader that goes away ends backup and export quietly', () => {
  const commands = [
    'export --sub cut | head -n 1',
    'backup - --plain-keys 2>/dev/null | head -c 10'
  ]
  for (const command of commands) {
    const script = `(manyhands --store '${store}' ${command.replace(' |', '; echo $? >&2) |')}`
    const { stdout, stderr } = spawnSync('sh', ['-c', script], { env: manyhands.env() })
    assert.ok(stdout.byteLength > 5, command)
    assert.is(stderr.toString(), '0\n', command)
  }
})

test.run()

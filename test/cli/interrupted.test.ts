/** Ctrl-C at any moment of any command: the documented exit code, a clear word, nothing lost, and the next command works. */
import { existsSync, writeFileSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands, type Ended } from '../support/cli.ts'
import { until } from '../support/devices.ts'

const manyhands = await Manyhands.make()
const store = manyhands.path('store')
const run = (...args: readonly string[]) => manyhands.run('--store', store, ...args)
const KEYS = 2000
const archive = manyhands.path('sound.tar')

test.before(async () => {
  ok(await run('init'))
  ok(await run('space', 'create', 'Notes'))
  writeFileSync(manyhands.path('all.jsonl'), numbered(0))
  ok(await run('import', manyhands.path('all.jsonl')))
  ok(await run('backup', archive, '--plain-keys'))
})

test.after(() => manyhands.remove())

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

function numbered(from: number): string {
  const line = (_: unknown, i: number) => `{"key":"k${i}","value":${from + i}}\n`
  return Array.from({ length: KEYS }, line).join('')
}

async function isWhole(): Promise<void> {
  assert.match(ok(await run('doctor')), /^Notes: sound$/m)
  assert.is(ok(await run('list', '--keys')).split('\n').length - 1, KEYS)
}

/** After so many turns of the event loop: before the store is open, while it opens, in the middle, and perhaps too late. */
const MOMENTS = [0, 100, 400, 2000]

async function interruptedAtAnyMoment(args: readonly string[]): Promise<readonly number[]> {
  const codes: number[] = []
  for (const interrupt of MOMENTS) {
    const { code, stderr } = await manyhands.runWith({ interrupt }, ['--store', store, ...args])
    assert.ok(code === 130 || code === 0, `${args.join(' ')} at ${interrupt}: ${code} ${stderr}`)
    assert.not.match(stderr, /INTERNAL|mistake of manyhands/)
    codes.push(code ?? -1)
  }
  assert.ok(codes.filter((code) => code === 130).length >= 2, `${args.join(' ')}: ${codes.join()}`)
  return codes
}

for (const args of [
  ['doctor', '--repair'],
  ['stats'],
  ['compact'],
  ['export', '--output', manyhands.path('out.jsonl')],
  ['history'],
  ['version', '--at', '2999-01-01']
]) {
  test(`Ctrl-C ends ${args.slice(0, 2).join(' ')} at any moment`, async () => {
    await interruptedAtAnyMoment(args)
    await isWhole()
  })
}

test('Ctrl-C leaves no half archive, and of a restored device nothing', async () => {
  const [half, place] = [manyhands.path('half.tar'), manyhands.path('place')]
  for (const interrupt of MOMENTS) {
    const backup = ['--store', store, 'backup', half, '--plain-keys']
    const { code } = await manyhands.runWith({ interrupt }, backup)
    assert.is(existsSync(half), code === 0)
    await rm(half, { force: true })
    const restore = ['--store', place, 'restore', '--from', archive]
    const restored = await manyhands.runWith({ interrupt }, restore)
    assert.is(existsSync(place), restored.code === 0, restored.stderr)
    await rm(place, { recursive: true, force: true })
  }
  const left = await readdir(manyhands.temp.path)
  assert.equal(
    left.filter((name) => /half|place/.test(name)),
    []
  )
})

test('a purge that was cut short and is run again has cleared everything', async () => {
  ok(await run('put', 'secret', '"swordfish"'))
  ok(await run('del', 'secret'))
  await interruptedAtAnyMoment(['purge', 'secret'])
  ok(await run('purge', 'secret'))
  assert.not.match(ok(await run('history', 'secret')), /swordfish/)
  await isWhole()
})

test('a restore of old values that was cut short is finished by the same command', async () => {
  const before = ok(await run('version')).trim()
  const old = ok(await run('export'))
  writeFileSync(manyhands.path('new.jsonl'), numbered(KEYS))
  ok(await run('import', manyhands.path('new.jsonl')))
  await interruptedAtAnyMoment(['diff', before])
  await interruptedAtAnyMoment(['restore', before])
  ok(await run('restore', before))
  assert.ok(ok(await run('export')) === old)
  await isWhole()
})

test('dropping history that was cut short loses no key', async () => {
  await interruptedAtAnyMoment(['compact', '--drop-history'])
  await isWhole()
})

test('SIGTERM ends sync and watch with their store closed', async () => {
  const sync = ['sync', '--host', '127.0.0.1', '--bootstrap', '127.0.0.1:1']
  for (const args of [sync, ['watch']]) {
    const { process, ended } = manyhands.start(['--store', store, ...args])
    await until(() => existsSync(`${store}/port`), { timeout: 60_000 })
    process.kill('SIGTERM')
    const { code, stderr } = await ended
    assert.is(code, 130, stderr)
    assert.not(existsSync(`${store}/port`))
    assert.not(existsSync(`${store}/running`), 'closed well')
  }
  await isWhole()
})

test.run()

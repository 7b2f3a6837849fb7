/** The command line as people and scripts meet it: what it answers, with which exit code, and what it refuses. */
import { writeFileSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import type { Command } from 'commander'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { processHost } from '../../cli/host.ts'
import { makeProgram } from '../../cli/program.ts'
import { Manyhands, type Ended } from '../support/cli.ts'

const manyhands = await Manyhands.make()
const store = manyhands.path('store')
const run = (...args: readonly string[]) => manyhands.run('--store', store, ...args)

test.after(() => manyhands.remove())

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

test('before there is a store or a space, every command says what to do first', async () => {
  const none = await run('list')
  assert.is(none.code, 3)
  assert.match(none.stderr, /no store in .*\nMake one with: manyhands init/s)
  ok(await run('init', '--name', 'Laptop'))
  assert.match(ok(await run('init')), /there already[^]*Laptop/)
  const lonely = await run('put', 'a', '1')
  assert.is(lonely.code, 4)
  assert.match(lonely.stderr, /no space yet[^]*space create/)
  ok(await run('space', 'create', 'Notes'))
})

test('put, get, list and del, as text, JSON and bytes', async () => {
  ok(await run('put', 'a', '{"x":[1,2.5,null]}'))
  ok(await run('put', 'b', '--text', 'two words'))
  const bytes = Uint8Array.from([0, 255, 10])
  writeFileSync(manyhands.path('in'), bytes)
  ok(await run('put', 'c', '--file', manyhands.path('in')))
  assert.is(ok(await run('get', 'a')), '{"x":[1,2.5,null]}\n')
  assert.is(ok(await run('get', 'b', '--text')), 'two words\n')
  assert.is(ok(await run('get', 'c')), '{"$bytes":"AP8K"}\n')
  ok(await run('get', 'c', '--file', manyhands.path('out')))
  assert.equal(new Uint8Array(readFileSync(manyhands.path('out'))), bytes)
  assert.is(ok(await run('list')), 'a\t{"x":[1,2.5,null]}\nb\t"two words"\nc\t{"$bytes":"AP8K"}\n')
  assert.is(ok(await run('list', '--keys', '--reverse', '--limit', '2')), 'c\nb\n')
  assert.is(ok(await run('list', 'b', '--json', '--keys')), '"b"\n')
  ok(await run('del', 'b'))
  for (const args of [
    ['get', 'b'],
    ['del', 'b']
  ]) {
    const { code, stdout, stderr } = await run(...args)
    assert.equal([code, stdout, stderr], [1, '', 'There is no b.\n'])
  }
  const { code, stdout } = await run('get', 'b', '--json')
  assert.equal([code, stdout], [1, 'null\n'])
})

test('put and del with a condition write only if it holds', async () => {
  const put = (...args: readonly string[]) => run('put', 'if', ...args, '--sub', 'if')
  ok(await put('{"n":1,"m":2}', '--if-absent'))
  const lost = await put('2', '--if-absent')
  assert.equal([lost.code, lost.stderr], [1, 'if has another value: nothing was written.\n'])
  assert.is((await put('2', '--if', '{"n":1}')).code, 1)
  // Fields have no order.
  ok(await put('2', '--if', '{"m":2,"n":1}'))
  assert.is(ok(await put('3', '--if', '2', '--json')), '{"key":"if","written":true}\n')
  const del = (...args: readonly string[]) => run('del', 'if', ...args, '--sub', 'if')
  const kept = await del('--if', '2', '--json')
  assert.equal([kept.code, kept.stdout], [1, '{"key":"if","deleted":false}\n'])
  ok(await del('--if', '3'))
  assert.is((await put('1', '--if', 'null')).code, 1, 'null is a value')
})

test('doctor tells what is damaged, repairs what can be, and ends with the code for it', async () => {
  assert.is(ok(await run('doctor')), 'Notes: sound\n')
  const { spaces } = JSON.parse(ok(await run('doctor', '--repair', '--json'))) as {
    spaces: Record<string, unknown>[]
  }
  const [space = {}] = spaces
  assert.equal([space.name, space.done, space.findings], ['Notes', [], []])
  ok(await run('stats'))
})

test('a sub-database is one of its own', async () => {
  ok(await run('put', 'k', '1', '--sub', 'x', '--sub', 'y'))
  assert.is(ok(await run('get', 'k', '--sub', 'x', '--sub', 'y')), '1\n')
  assert.is((await run('get', 'k', '--sub', 'x')).code, 1)
})

test('--json says who wrote what when, and errors with their code', async () => {
  const entry = JSON.parse(ok(await run('get', 'a', '--json'))) as Record<string, unknown>
  assert.equal(Object.keys(entry).sort(), ['conflicts', 'key', 'seq', 'stamp', 'value', 'writer'])
  const { code, stderr } = await run('put', '', '1', '--json')
  assert.is(code, 2)
  const { error } = JSON.parse(stderr) as { error: Record<string, string> }
  assert.equal([error.code, error.next !== undefined], ['KEY_INVALID', true])
})

test('a wrong call is refused with code 2, and nothing is written', async () => {
  const before = ok(await run('list'))
  const wrong = [
    ['put', 'a'],
    ['put', 'a', 'not json'],
    ['put', 'a', '1', '--file', 'x'],
    ['put', 'a', '--file', manyhands.path('not there')],
    ['put', 'a', '1', '--if', '1', '--if-absent'],
    ['put', 'a', '1', '--if', 'not json'],
    ['list', 'p', '--gt', 'a'],
    ['list', '--gt', 'a', '--gte', 'a'],
    ['list', '--limit', '-1'],
    ['list', '--limt', '1'],
    ['nonsense'],
    ['space', 'leave'],
    ['import', manyhands.path('not there')],
    ['backup', manyhands.path('x.tar')]
  ]
  for (const args of wrong) {
    const { code, stderr, stdout } = await run(...args)
    assert.is(code, 2, `${args.join(' ')}: ${stderr}`)
    assert.is(stdout, '')
    assert.ok(stderr.length > 10 && !stderr.includes('    at '), stderr)
  }
  assert.is(ok(await run('list')), before)
})

/** Every command that does something, with its help. */
function helps(command: Command): [string, string][] {
  if (command.commands.length > 0) return command.commands.flatMap(helps)
  let text = ''
  const width = 80
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => width })
  command.outputHelp()
  return [[command.name(), text]]
}

test('help has examples for every command, and fits into 80 columns', () => {
  const all = helps(makeProgram(() => Promise.resolve(), processHost)).filter(
    ([name]) => name !== 'help'
  )
  assert.ok(all.length > 10)
  for (const [name, help] of all) {
    const [text = '', examples] = help.split('Examples:')
    assert.match(examples ?? '', /^\n {2}\$ /, name)
    for (const line of text.split('\n')) assert.ok(line.length <= 80, line)
  }
})

test('a key cannot do anything to a terminal', async () => {
  const key = 'evil\u001b[2J\nkey'
  ok(await run('put', key, '1', '--sub', 'evil'))
  assert.is(ok(await run('list', '--sub', 'evil')), `${JSON.stringify(key)}\t1\n`)
})

test('with several spaces one has to be named, by its name or its address', async () => {
  const { address } = JSON.parse(ok(await run('space', 'create', 'Other', '--json'))) as {
    address: string
  }
  const { code, stderr } = await run('list')
  assert.is(code, 2)
  assert.match(stderr, /--space NAME[^]*Notes[^]*Other/)
  assert.is((await run('list', '--space', 'Nowhere')).code, 4)
  ok(await run('put', 'o', '1', '--space', 'Other'))
  assert.is(ok(await run('get', 'o', '--space', address)), '1\n')
  ok(await run('space', 'leave', '--space', 'Other', '--yes'))
  assert.is(ok(await run('get', 'a')), '{"x":[1,2.5,null]}\n')
})

test('a reader that goes away ends the command quietly', () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => JSON.stringify({ key: `k${i}`, value: i }))
  const options = { env: { ...manyhands.env(), MANYHANDS_STORE: store }, encoding: 'utf8' } as const
  const imported = spawnSync('manyhands', ['import', '-', '--sub', 'pipe'], {
    ...options,
    input: lines.join('\n')
  })
  assert.is(imported.status, 0, imported.stderr)
  const script = 'set -o pipefail; manyhands list --sub pipe | head -1; echo ${PIPESTATUS[0]}'
  const { stdout, stderr } = spawnSync('bash', ['-c', script], options)
  assert.equal([stdout, stderr], ['k0\t0\n0\n', ''])
})

test('a passphrase comes from a file or the environment', async () => {
  const secret = manyhands.path('secret')
  const file = manyhands.path('passphrase')
  writeFileSync(file, 'open sesame\n')
  const withFile = ['--store', secret, '--passphrase-file', file]
  ok(await manyhands.run(...withFile, 'init'))
  ok(await manyhands.run(...withFile, 'space', 'create', 'S'))
  const { code, stderr } = await manyhands.run('--store', secret, 'space', 'list')
  assert.is(code, 3)
  assert.match(stderr, /PASSPHRASE_REQUIRED/)
})

test.run()

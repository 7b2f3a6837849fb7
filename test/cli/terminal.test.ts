/** What a person sees at a terminal, and what a program reads: colours, bars and widths for the one, plain lines for the other. */
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands, type Ended, type Given } from '../support/cli.ts'

const manyhands = await Manyhands.make()
const store = manyhands.path('store')
const run = (...args: readonly string[]) => manyhands.run('--store', store, ...args)
const LONG = 'x'.repeat(300)

test.before(async () => {
  ok(await run('init', '--name', 'Laptop'))
  ok(await run('space', 'create', 'Notes'))
  ok(await run('put', 'a', '--text', LONG))
  ok(await run('put', 'b', '1'))
})

test.after(() => manyhands.remove())

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

/** Every command that ends by itself, with arguments that it accepts. */
function commands(before: string, link: string, writer: string): readonly string[][] {
  return [
    ['init'],
    ['space', 'list'],
    ['space', 'info'],
    ['space', 'ticket'],
    ['put', 'c', '2'],
    ['get', 'b'],
    ['del', 'c'],
    ['list'],
    ['version'],
    ['history'],
    ['diff', before],
    ['restore', before],
    ['revert', '--writer', writer, '--after', before],
    ['link', 'a'],
    ['open', link],
    ['why', 'a'],
    ['export'],
    ['doctor'],
    ['doctor', '--repair'],
    ['stats'],
    ['purge', 'c'],
    ['compact'],
    ['backup', manyhands.path('all.tar'), '--plain-keys']
  ]
}

async function everyCommand(): Promise<readonly string[][]> {
  const before = ok(await run('version')).trim()
  const link = ok(await run('link', 'a')).trim()
  const { writer } = JSON.parse(ok(await run('space', 'info', '--json'))) as { writer: string }
  return commands(before, link, writer)
}

/** What moves a cursor or changes a colour. */
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/

function isPlain(args: readonly string[], { stdout, stderr }: Ended): void {
  assert.not.match(stdout + stderr, CONTROLS, args.join(' '))
}

test('into a pipe nothing but plain lines is written, by every command', async () => {
  for (const args of await everyCommand()) isPlain(args, await run(...args))
})

test('--json is one value in each line, by every command, at a terminal too', async () => {
  for (const args of await everyCommand()) {
    const ended = await at({ terminal: 120 }, ...args, '--json')
    isPlain(args, { ...ended, stderr: '' }) // what is said to the person may have colours
    for (const line of ended.stdout.split('\n').slice(0, -1)) JSON.parse(line)
    const isSilent = ['export', 'diff'].includes(args[0] ?? '')
    assert.ok(isSilent || ended.stdout !== '', `${args.join(' ')} ${ended.stderr}`)
  }
})

const at = (given: Given, ...args: readonly string[]) =>
  manyhands.runWith(given, ['--store', store, ...args])

test('NO_COLOR and a dumb terminal have no colours, another terminal has', async () => {
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }] as Given['env'][]) {
    for (const command of ['list', 'history', 'doctor']) {
      isPlain(
        [command],
        await at({ terminal: 120, ...(env === undefined ? {} : { env }) }, command)
      )
    }
  }
  assert.match(ok(await at({ terminal: 120 }, 'list')), CONTROLS)
})

test('lines fit into the terminal', async () => {
  const env = { NO_COLOR: '1' }
  for (const width of [60, 120]) {
    for (const command of ['list', 'history']) {
      const lines = ok(await at({ terminal: width, env }, command)).split('\n')
      assert.ok(
        lines.every((line) => line.length <= width),
        lines.find((line) => line.length > width)
      )
    }
  }
})

test('a real terminal of 120 columns shows whole lines, and help that fits', () => {
  if (spawnSync('script', ['--version']).status !== 0) {
    console.log('skipped: there is no script(1) to make a pseudo terminal with')
    return
  }
  const shown = (command: string) => {
    const script = `stty cols 120; manyhands --store '${store}' ${command}`
    const env = { ...manyhands.env(), TERM: 'xterm', SHELL: '/bin/sh' }
    return spawnSync('script', ['-qec', script, '/dev/null'], { env }).stdout.toString()
  }
  // oxlint-disable-next-line no-control-regex
  const plain = (text: string) => text.replaceAll(/\u001b\[[\d;?]*[A-Za-z]/g, '')
  const list = shown('list')
  assert.match(list, CONTROLS, 'coloured')
  const [first = ''] = plain(list).split('\r\n')
  assert.is(first.length, 120)
  assert.ok(first.endsWith('…'))
  for (const line of plain(shown('--help')).split('\r\n')) assert.ok(line.length <= 120, line)
})

test.run()

/** `npm start` as a person runs it: what it prints, that it ends cleanly, and that it keeps what it was asked to keep. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { openDevice } from '../../index.ts'
import { tempFolder, until, type TempFolder } from '../support/devices.ts'
import { textsIn } from '../support/editor.ts'
import { programArguments } from '../support/typescript.ts'

interface Run {
  readonly process: ChildProcess
  readonly temp: TempFolder
  output(): string
  readonly ended: Promise<number | null>
}

async function start(...args: readonly string[]): Promise<Run> {
  const temp = await tempFolder()
  const child = spawn(
    process.execPath,
    [...programArguments('demo-editor/main.ts'), '--no-open', ...args],
    { env: { ...process.env, TMPDIR: temp.path } }
  )
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(child, 'close').then(() => child.exitCode)
  return { process: child, temp, output: () => output, ended }
}

async function startUntilReady(...args: readonly string[]): Promise<Run> {
  const run = await start(...args)
  await until(() => run.output().includes('Ctrl-C') || run.process.exitCode !== null, {
    timeout: 60_000
  })
  assert.match(run.output(), 'Ready after')
  return run
}

function urlsIn(output: string): string[] {
  return [...output.matchAll(/http:\S+/g)].map(([url]) => url)
}

function pidsIn(output: string): number[] {
  return [...output.matchAll(/\(process (\d+)\)/g)].map(([, pid]) => Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The stores that were left. */
async function leftIn({ path }: TempFolder): Promise<string[]> {
  return (await readdir(path)).filter((name) => name.startsWith('manyhands'))
}

async function spacesIn({ path }: TempFolder, name: string): Promise<string[]> {
  await using device = await openDevice({ storage: join(path, name) })
  return device.spaces().map(({ address }) => address)
}

test('npm start: two at once do not clash, Ctrl-C leaves no process, and nothing but what it was told to keep', async () => {
  const storage = await tempFolder()
  const kept = await startUntilReady('--storage', storage.path)
  const temporary = await startUntilReady()
  const runs = [kept, temporary]
  const urls = runs.flatMap((run) => urlsIn(run.output()))
  assert.is(new Set(urls.map((url) => new URL(url).port)).size, 6)
  assert.is(new Set(urls.map((url) => new URL(url).hash)).size, 6, 'each has a token of its own')
  for (const url of urls) assert.is((await fetch(url)).status, 200)
  const pids = runs.flatMap((run) => pidsIn(run.output()))
  assert.is(pids.filter(isAlive).length, 4)

  const late = await start('--storage', storage.path)
  assert.is(await late.ended, 1)
  assert.match(late.output(), /could not start: STORE_LOCKED/)
  assert.is(kept.process.exitCode, null, 'the first goes on')

  temporary.process.kill('SIGINT')
  assert.is(await temporary.ended, 130)
  for (const run of [temporary, late]) assert.equal(await leftIn(run.temp), [])
  // Devices end by themselves when the main process is gone.
  kept.process.kill('SIGKILL')
  await until(() => !pids.some(isAlive))

  const spaces = await Promise.all(['ann', 'ben'].map((name) => spacesIn(storage, name)))
  assert.is(spaces[0]?.length, 1)
  assert.equal(spaces[0], spaces[1], 'both are in one space')
  const { Welcome: greeting = '' } = await textsIn(join(storage.path, 'ann'))
  assert.match(greeting, 'Cut the cable', 'there is something to type into')
  await Promise.all([...runs, late].map(({ temp }) => temp.remove()))
  await storage.remove()
})

test('npm start: a guest with a link that is none says so on its page, and leaves nothing', async () => {
  const run = await startUntilReady('--join', 'manyhands://join/mistyped', '--name', 'Cid')
  assert.match(run.output(), /Cid {3}http:/)
  const [url = ''] = urlsIn(run.output())
  const { port, origin, hash } = new URL(url)
  const socket = new WebSocket(`ws://127.0.0.1:${port}/?token=${hash.slice('#token='.length)}`, {
    origin
  })
  let heard = ''
  socket.on('message', (data: Buffer) => (heard += data.toString()))
  await until(() => heard.includes('Copy the whole invite again'))
  run.process.kill('SIGINT')
  assert.is(await run.ended, 130)
  assert.equal(await leftIn(run.temp), [])
  await run.temp.remove()
})

test('npm start: an option that it does not know is refused, with the ones that it knows', async () => {
  const wrong = [
    ['--colour'],
    ['--storage'],
    ['--storage', ''],
    ['folder'],
    ['--join'],
    ['--name', 'Cid']
  ]
  await Promise.all(
    wrong.map(async (args) => {
      const run = await start(...args)
      assert.is(await run.ended, 2, args.join(' '))
      assert.match(run.output(), 'Usage: npm start')
      await run.temp.remove()
    })
  )
})

test.run()

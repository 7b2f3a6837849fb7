/** A device's store in a folder: who may open it, and what the folder must be. rollback.test.ts has what may be appended to. */
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openStore } from '../../core/native/index.ts'
import { Child } from '../support/child.ts'
import { appendTo, inFolder, suspicion, withStore } from '../support/folder.ts'
import { failure, filesIn, put, SALT } from '../support/store.ts'

const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

// Who owns it

inFolder(
  'lock: a second opener in the same process gets STORE_LOCKED with the pid',
  async (path) => {
    const store = await openStore(path)
    const error = await failure('STORE_LOCKED', () => openStore(path))
    assert.match(error.message, String(process.pid))
    await (await store.ownLog('data', SALT, null)).append([put('a')])
    await store.close()
    await withStore(path, async () => {})
  }
)

inFolder(
  'lock: another process’s store is STORE_LOCKED with its pid, until it is killed',
  async (path) => {
    const child = new Child('store-process.ts', { folder: path, appends: 1, hold: true })
    await child.line('ack')
    const error = await failure('STORE_LOCKED', () => openStore(path))
    assert.match(error.message, new RegExp(`\\b${child.pid}\\b`))
    await child.kill()
    assert.is(await suspicion(path), null)
  }
)

inFolder(
  'lock: two processes that make one store at once: one wins, the other is told',
  async (path) => {
    for (let round = 0; round < 3; round++) {
      const store = `${path}-${round}`
      const both = [0, 1].map(() => new Child('store-process.ts', { folder: store, appends: 2 }))
      await Promise.all(both.map((child) => child.end()))
      const outcomes = both.map(({ lines }) => lines.at(-1)?.split(' ').slice(0, 2).join(' '))
      for (const outcome of outcomes)
        assert.ok(outcome === 'closed' || outcome === 'error STORE_LOCKED')
      assert.ok(outcomes.includes('closed'), both.map(({ errors }) => errors).join())
      assert.is(await suspicion(store), null)
    }
  }
)

inFolder(
  'lock: openers of one new store in one process: each opens it or is told',
  async (path) => {
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => openStore(path)))
    const opened = tries.filter((each) => each.status === 'fulfilled')
    assert.is(opened.length, 1)
    for (const each of tries) {
      if (each.status === 'rejected')
        await failure('STORE_LOCKED', () => Promise.reject(each.reason))
    }
    await opened[0]?.value.close()
  }
)

inFolder('lock: a failed open leaves nothing locked or open behind', async (path) => {
  await appendTo(path, 0, 1)
  const running = join(path, 'running')
  await mkdir(join(running, 'in the way'), { recursive: true })
  await failure('STORE_UNWRITABLE', () => openStore(path), { hasCause: true })
  await rm(running, { recursive: true })
  await appendTo(path, 1, 1)
})

inFolder('a process that opens, writes and closes ends by itself', async (path) => {
  for (const durability of ['os', 'disk']) {
    const child = new Child('store-process.ts', { folder: path, durability, appends: 3 })
    await child.line('closed')
    assert.equal(await child.end(10_000), { code: 0, signal: null })
  }
})

inFolder('a process whose open was refused ends by itself', async (path) => {
  await withStore(path, async () => {
    const child = new Child('store-process.ts', { folder: path })
    await child.line('error STORE_LOCKED')
    assert.equal(await child.end(10_000), { code: 0, signal: null })
  })
})

// What the folder is

inFolder(
  'a folder with something else in it is STORE_FOREIGN, and nothing is written',
  async (path) => {
    const others: readonly [string, string][] = [
      ['notes.txt', 'mine'],
      ['manyhands.json', '{"format":"other","version":1}'],
      ['manyhands.json', 'null'],
      ['manyhands.json', '[]'],
      ['keys.json', '{}']
    ]
    for (const [name, text] of others) {
      await mkdir(path)
      await writeFile(join(path, name), text)
      await failure('STORE_FOREIGN', () => openStore(path))
      const files = await filesIn(path)
      assert.equal([...files.keys()], [name])
      assert.is(b4a.toString(files.get(name) ?? b4a.alloc(0)), text)
      await rm(path, { recursive: true })
    }
  }
)

inFolder('a damaged label is STORE_DAMAGED, and nothing is written', async (path) => {
  await mkdir(path)
  await writeFile(join(path, 'manyhands.json'), '{"form')
  await failure('STORE_DAMAGED', () => openStore(path), { hasCause: true })
  assert.equal(await readdir(path), ['manyhands.json'])
})

inFolder('a newer version is STORE_UNSUPPORTED, of the store and of its files', async (path) => {
  await appendTo(path, 0, 1)
  for (const name of ['manyhands.json', 'keys.json', 'spaces.json']) {
    const file = join(path, name)
    const text = await readFile(file, 'utf8').catch(() => null)
    // A newer version may look different in everything but these two fields.
    const { format } = JSON.parse(text ?? '{}') as { format?: string }
    await writeFile(file, JSON.stringify({ format, version: 2 }))
    await failure('STORE_UNSUPPORTED', () => openStore(path))
    await (text === null ? rm(file) : writeFile(file, text))
  }
  await appendTo(path, 1, 1)
})

inFolder(
  'damaged spaces.json and high-water.json are STORE_DAMAGED, never taken for empty',
  async (path) => {
    await appendTo(path, 0, 1)
    const marks = await readFile(join(path, 'high-water.json'), 'utf8')
    const damages: readonly (readonly [string, string])[] = [
      ...['', '{', 'null', '[]', '5', '{"ab":{"length":1,"treeHash":"00"}}'].map(
        (text) => ['high-water.json', text] as const
      ),
      ['high-water.json', marks.replace('"length": 1', '"length": "1"')],
      ['high-water.json', marks.replace('"length": 1', '"length": -1')],
      ...['', '{', 'null', '{"version":1}', '{"version":1,"spaces":[{}]}'].map(
        (text) => ['spaces.json', text] as const
      )
    ]
    for (const [name, text] of damages) {
      const file = join(path, name)
      const sound = await readFile(file, 'utf8').catch(() => null)
      await writeFile(file, text)
      const error = await failure('STORE_DAMAGED', () => openStore(path))
      assert.match(error.message, name === 'spaces.json' ? 'spaces.json' : 'high-water')
      await (sound === null ? rm(file) : writeFile(file, sound))
    }
    await appendTo(path, 1, 1)
  }
)

inFolder('damaged logs are STORE_DAMAGED, and the store is not left open', async (path) => {
  await appendTo(path, 0, 5)
  const db = join(path, 'logs', 'db')
  const [manifest = ''] = (await readdir(db)).filter((name) => name.startsWith('MANIFEST'))
  const sound = await readFile(join(db, manifest))
  await writeFile(join(db, manifest), b4a.alloc(sound.length, 0xff))
  await failure('STORE_DAMAGED', () => openStore(path), { hasCause: true })
  await writeFile(join(db, manifest), sound)
  await appendTo(path, 5, 1)
})

inFolder('a path that can be no folder is STORE_UNWRITABLE', async (path) => {
  await mkdir(path)
  const file = join(path, 'file')
  await writeFile(file, 'x')
  await symlink(join(path, 'loop'), join(path, 'loop'))
  await symlink(join(path, 'nowhere'), join(path, 'dangling'))
  const paths = [file, join(file, 'below'), join(path, 'loop'), join(path, 'dangling')]
  for (const each of [...paths, join(path, 'n'.repeat(300))]) {
    await failure('STORE_UNWRITABLE', () => openStore(each), { hasCause: true })
  }
  await failure('INVALID_ARGUMENT', () => openStore(`${path}\0`))
})

/** Opens a store as a user without root's powers. @returns the last line the process printed */
async function openAsNobody(folder: string): Promise<string | undefined> {
  const child = new Child('store-process.ts', { folder, appends: 1 }, isRoot ? { uid: NOBODY } : {})
  const { code } = await child.end()
  assert.is(code, 0, child.errors)
  return child.lines.at(-1)
}

inFolder(
  'a folder that may not be written is STORE_UNWRITABLE, and stays as it is',
  async (path) => {
    await mkdir(path, { mode: 0o555 })
    await chmod(join(path, '..'), 0o755)
    assert.match((await openAsNobody(path)) ?? '', /^error STORE_UNWRITABLE/)
    assert.match((await openAsNobody(join(path, 'new'))) ?? '', /^error STORE_UNWRITABLE/)
    assert.equal(await readdir(path), [])
  }
)

inFolder(
  'a store that may not be written any more, or only in part, is STORE_UNWRITABLE',
  async (path) => {
    await chmod(join(path, '..'), 0o755)
    await mkdir(path)
    if (isRoot) await chown(path, NOBODY, NOBODY)
    assert.is(await openAsNobody(path), 'closed')
    for (const part of ['.', 'logs/db', 'keys.json']) {
      const { mode } = await stat(join(path, part))
      await chmod(join(path, part), part === 'keys.json' ? 0o000 : 0o555)
      assert.match((await openAsNobody(path)) ?? '', /^error STORE_UNWRITABLE/, part)
      await chmod(join(path, part), mode & 0o777)
    }
    assert.is(await openAsNobody(path), 'closed')
  }
)

inFolder('whatever step of the first open a crash cut off, the next open works', async (path) => {
  const whole = `${path}-whole`
  await withStore(whole, async () => {})
  const label = await readFile(join(whole, 'manyhands.json'))
  const keys = await readFile(join(whole, 'keys.json'))
  const steps: readonly (readonly [string, Uint8Array | null])[] = [
    ['.', null],
    ['lock', b4a.from('4711')],
    ['manyhands.json.new', label.subarray(0, 9)],
    ['manyhands.json', label],
    ['keys.json.new', keys.subarray(0, 9)],
    ['keys.json', keys],
    ['logs', null],
    ['logs/CORESTORE', b4a.alloc(0)],
    ['logs/db', null]
  ]
  for (let cut = 1; cut <= steps.length; cut++) {
    await rm(path, { recursive: true, force: true })
    for (const [name, bytes] of steps.slice(0, cut)) {
      await (bytes === null ? mkdir(join(path, name)) : writeFile(join(path, name), bytes))
    }
    await appendTo(path, 0, 1)
    assert.is(await suspicion(path), null, `after ${steps[cut - 1]?.[0]}`)
  }
})

inFolder('whenever the first open is killed, the next open works', async (path) => {
  for (let round = 0; round < 6; round++) {
    const store = `${path}-${round}`
    const child = new Child('store-process.ts', { folder: store })
    const seen = ['lock', 'manyhands.json', 'keys.json', 'logs', 'logs/CORESTORE', 'logs/db'][round]
    await untilThere(join(store, seen ?? ''))
    await child.kill()
    await appendTo(store, 1_000_000, 1)
    assert.is(await suspicion(store), null, `killed at ${seen}`)
  }
})

async function untilThere(path: string): Promise<void> {
  const deadline = performance.now() + 20_000
  // As fast as it goes: what is looked for lasts a millisecond.
  while (
    await stat(path).then(
      () => false,
      () => true
    )
  ) {
    assert.ok(performance.now() < deadline, path)
  }
}

inFolder('the folder and everything in it is for its owner alone', async (path) => {
  await appendTo(path, 0, 1)
  for (const name of ['.', 'logs']) assert.is((await stat(join(path, name))).mode & 0o777, 0o700)
  for (const name of await readdir(path)) {
    const { mode } = await stat(join(path, name))
    assert.is(mode & 0o077, 0, name)
  }
})

test.run()

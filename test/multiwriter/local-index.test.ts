/** What an index goes through that a database over it must not show. Random histories: test/sim/seals.test.ts. */
import { readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import c from 'compact-encoding'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LogReader, OwnLog, type OrderedChange, type OrderedStore } from '../../core/index.ts'
import { openIndexStore } from '../../core/native/index.ts'
import { openDevice } from '../../index.ts'
import { LocalIndex, type IndexRebuild } from '../../multiwriter/local-index.ts'
import { iterate } from '../../multiwriter/cursor.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { Union } from '../../multiwriter/union.ts'
import { View, type FoldedKey } from '../../multiwriter/view.ts'
import { WriterList } from '../../multiwriter/writers.ts'
import { collectKeys } from '../support/collect.ts'
import { tempFolder } from '../support/devices.ts'
import { exportSpace } from '../support/export.ts'
import { dbKey, entryOf, forgeLeaf } from '../support/forge.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'

let logs: LogStore
let count = 0

test.before(async () => {
  logs = await openLogStore()
})

test.after(async () => {
  await logs.close()
})

const SPACE = b4a.alloc(32, 7)
const NO_GUARD = {
  before() {},
  after: async () => {},
  beforeClear: async () => {},
  explain: async (error: unknown) => error
}

/** Two logs, their union, and an index store that can be told to fail. */
async function openScene() {
  const name = `log ${count++}`
  const a = new OwnLog(await logs.own(`${name} a`), NO_GUARD)
  const b = new OwnLog(await logs.own(`${name} b`), NO_GUARD)
  const writers = new WriterList([a.core.key, b.core.key])
  const refusals = new Refusals()
  const openLog = async (key: Uint8Array, onchange: () => void) =>
    new LogReader(await logs.remote(key), onchange)
  const union = new Union({ writers, refusals, openLog })
  const store = new FailingStore(await openIndexStore(join(logs.path, 'index', name)))
  const rebuilds: IndexRebuild[] = []
  const progress: number[] = []
  const open = async (space = SPACE) => {
    const index = await LocalIndex.open(store, space, {
      onprogress: (each) => progress.push(each.progress),
      onrebuild: (reason) => rebuilds.push(reason)
    })
    union.useIndex(index)
    return index
  }
  return { a, b, writers, refusals, union, store, rebuilds, progress, open }
}

type Scene = Awaited<ReturnType<typeof openScene>>

/** A store whose writes or reads fail from some moment on, as when the process is killed there. */
class FailingStore implements OrderedStore {
  readonly #store: OrderedStore
  writesLeft = Infinity
  readsLeft = Infinity
  rowsWritten = 0
  /** Called before and after each write reaches the store. */
  onwrite: () => Promise<void> = async () => {}

  constructor(store: OrderedStore) {
    this.#store = store
  }

  get(key: Uint8Array) {
    if (this.readsLeft-- <= 0) throw new Error('a bad sector')
    return this.#store.get(key)
  }

  getMany(keys: readonly Uint8Array[]) {
    return this.#store.getMany(keys)
  }

  async write(changes: readonly OrderedChange[]) {
    if (this.writesLeft-- <= 0) throw new Error('no room')
    this.rowsWritten += changes.length
    await this.onwrite()
    await this.#store.write(changes)
    await this.onwrite()
  }

  cursor(...args: Parameters<OrderedStore['cursor']>) {
    const cursor = this.#store.cursor(...args)
    return {
      nextBatch: async (size: number) => {
        if (this.readsLeft-- <= 0) throw new Error('a bad sector')
        return cursor.nextBatch(size)
      },
      close: () => cursor.close()
    }
  }

  clear() {
    return this.#store.clear()
  }

  bytes() {
    return this.#store.bytes()
  }

  close() {
    return this.#store.close()
  }
}

function putsOf(from: number, to: number, value: string) {
  return Array.from({ length: to - from }, (_, i) => ({
    key: dbKey(`key/${String(from + i).padStart(6, '0')}`),
    value: entryOf(`${value} ${from + i}`, { ms: 1000 + from })
  }))
}

async function follow(index: LocalIndex, union: Union): Promise<View> {
  const view = await union.view()
  await index.follow(view.parts, (core) => union.log(core))
  return view
}

async function linesOf(view: View): Promise<string[]> {
  const lines: string[] = []
  for await (const folded of iterate(view.cursor({}))) lines.push(lineOf(folded))
  return lines
}

function lineOf({ key, value, winner, conflicts }: FoldedKey): string {
  const said = [winner, ...conflicts.map(({ of }) => of)]
  const places = said.map(
    (each) => `${each?.said.writer} ${each?.said.seq} ${each?.path.join('/')}`
  )
  return `${b4a.toString(key)} ${JSON.stringify(value)} ${places.join(', ')}`
}

/** The same view without an index. */
async function slowLines({ union }: Scene, view: View): Promise<string[]> {
  const lengths = view.parts.map(({ core, tree }) => ({ core, length: tree.length }))
  const { parts } = await union.at(lengths)
  const hooks = {
    refusals: new Refusals(),
    observe() {},
    rowsFor: () => null,
    speakersFor: () => null,
    foldOptions: () => ({})
  }
  return linesOf(new View(parts, hooks))
}

async function checkEqual(scene: Scene, view: View): Promise<void> {
  const lines = await linesOf(view)
  assert.ok(lines.length > 0)
  assert.equal(lines, await slowLines(scene, view))
}

test('bytes that a scan gave may be changed: nobody else reads them, by the index or without it', async () => {
  const scene = await openScene()
  const bytesAt = async (view: View) => {
    const values: Uint8Array[] = []
    for await (const { value } of iterate(view.cursor({}))) {
      if (value instanceof Uint8Array) values.push(value)
    }
    return values
  }
  const puts = Array.from({ length: 20 }, (_, i) => ({
    key: dbKey(String(i).padStart(4, '0')),
    value: entryOf(b4a.alloc(100, i))
  }))
  await scene.a.append(puts)
  const check = async (view: View) => {
    for (const value of await bytesAt(view)) value.fill(0xff)
    const again = await bytesAt(view)
    assert.is(again.length, 20)
    again.forEach((value, i) => assert.ok(b4a.equals(value, b4a.alloc(100, i))))
  }
  await check(await scene.union.view())
  const index = await scene.open()
  const view = await follow(index, scene.union)
  assert.ok(view.isIndexed)
  await check(view)
  await index.close()
})

test('an index costs one row per key that changed', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 2000, 'a'))
  const index = await scene.open()
  await follow(index, scene.union)
  scene.store.rowsWritten = 0
  await scene.a.append(putsOf(1000, 1001, 'again'))
  const view = await follow(index, scene.union)
  assert.is(scene.store.rowsWritten, 2, 'a row and a cursor')
  assert.ok(view.isIndexed)
  await checkEqual(scene, view)
  await index.close()
})

test('a view that is older than the index shows what it showed', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 100, 'old'))
  const index = await scene.open()
  const old = await follow(index, scene.union)
  const lines = await linesOf(old)
  const begun = iterate(old.cursor({}))
  await begun.next()
  await scene.b.append(putsOf(50, 150, 'new'))
  assert.equal(
    await linesOf(await follow(index, scene.union)),
    await slowLines(scene, await scene.union.view())
  )
  assert.ok(old.isIndexed, 'what it reads has not moved')
  assert.equal(await linesOf(old), lines)
  await scene.a.append(putsOf(20, 120, 'newer'))
  const current = await follow(index, scene.union)
  assert.ok(current.isIndexed)
  assert.not(old.isIndexed)
  assert.equal(await linesOf(old), lines)
  let rest = 0
  for await (const { value } of begun) {
    assert.match(JSON.stringify(value), /^"old/)
    rest++
  }
  assert.is(rest, 99, 'a stream that had begun goes on')
  const said = await old.get(dbKey('key/000050'))
  assert.is(said.value, 'old 50')
  await index.close()
})

for (const killedAt of [0, 1, 2, 3, 4, 5]) {
  for (const isSealed of [false, true]) {
    const then = isSealed ? ', and a seal was lowered' : ''
    test(`an index that was killed in write ${killedAt} of a large move goes on right${then}`, async () => {
      const scene = await openScene()
      const { a, b, union, store, writers } = scene
      await a.append(putsOf(0, 3000, 'a'))
      const sealAt = a.core.length
      const first = await scene.open()
      await follow(first, union)
      await b.append(putsOf(0, 10_000, 'b'))
      await a.append(putsOf(2000, 12_000, 'a2'))
      store.writesLeft = killedAt
      await follow(first, union)
      store.writesLeft = Infinity
      if (isSealed) writers.seal(a.core.key, sealAt)
      // The one that was killed is not closed.
      const index = await scene.open()
      const view = await follow(index, union)
      assert.ok(view.isIndexed)
      assert.equal(scene.rebuilds, [])
      await checkEqual(scene, view)
      await index.close()
    })
  }
}

test('cores that the index has not reached are read from their trees beside it', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 100, 'a'))
  await scene.b.append(putsOf(50, 150, 'b'))
  const index = await scene.open()
  await follow(index, scene.union)
  await scene.b.append(putsOf(90, 200, 'later'))
  const view = await scene.union.view()
  assert.not(view.isIndexed)
  const lines = await linesOf(view)
  assert.equal(lines, await slowLines(scene, view))
  for (const line of lines) {
    const [key = ''] = line.split(' ')
    assert.is(lineOf(await view.get(b4a.from(key))), line)
  }
  const backwards = []
  for await (const folded of iterate(view.cursor({ reverse: true }))) backwards.push(lineOf(folded))
  assert.equal(backwards.reverse(), lines)
  await index.close()
})

test('a view may be read while the index is moving under it', async () => {
  const scene = await openScene()
  const { a, b, union, store } = scene
  await a.append(putsOf(0, 300, 'a'))
  await b.append(putsOf(200, 900, 'b'))
  const index = await scene.open()
  const old = await follow(index, union)
  const lines = await linesOf(old)
  await a.append(putsOf(100, 900, 'a2'))
  await b.append(putsOf(100, 200, 'b2'))
  const current = await union.view()
  const later = await slowLines(scene, current)
  let reads = 0
  store.onwrite = async () => {
    reads++
    assert.equal(await linesOf(old), lines)
    assert.equal(await linesOf(current), later)
  }
  await follow(index, union)
  assert.is(reads, 6, 'before and after each of two writes, and of one')
  assert.ok(current.isIndexed)
  await index.close()
})

test('progress rises to 1, once per write and log', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 1250, 'a'))
  const index = await scene.open()
  await follow(index, scene.union)
  assert.is(scene.progress.length, 3)
  assert.equal(
    scene.progress,
    scene.progress.toSorted((a, b) => a - b)
  )
  assert.is(scene.progress.at(-1), 1)
  assert.ok(Math.abs((scene.progress[0] ?? 0) - 0.41) < 0.1, `${scene.progress[0]}`)
  await index.close()
})

const ROW = (key: string) => b4a.concat([b4a.from([2]), dbKey(key)])

test('a row that does not parse is read from the logs, and the index is built again', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 100, 'a'))
  const index = await scene.open()
  const view = await follow(index, scene.union)
  await scene.store.write([{ key: ROW('key/000050'), value: b4a.from([1, 2, 255, 3]) }])
  assert.is((await view.get(dbKey('key/000050'))).value, 'a 50')
  assert.not(view.isIndexed)
  await scene.b.append(putsOf(0, 1, 'b'))
  const next = await follow(index, scene.union)
  assert.equal(scene.rebuilds, ['damaged'])
  assert.ok(next.isIndexed)
  await checkEqual(scene, next)
  await index.close()
})

test('a stream over damaged rows goes on from the logs behind its last entry', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 1000, 'a'))
  const index = await scene.open()
  const view = await follow(index, scene.union)
  for (const row of ['key/000000', 'key/000500', 'key/000999']) {
    await scene.store.write([{ key: ROW(row), value: b4a.from([255]) }])
    for (const reverse of [false, true]) {
      const keys = []
      for await (const { key } of iterate(view.cursor({ reverse }))) keys.push(b4a.toString(key))
      assert.is(keys.length, 1000)
      const sorted = keys.toSorted()
      assert.equal(keys, reverse ? sorted.reverse() : sorted)
    }
  }
  await index.close()
})

test('an index of another log under the same key is thrown away', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 100, 'a'))
  const first = await scene.open()
  await follow(first, scene.union)
  // As if the log had been written anew: the cursor's tree hash is another one.
  const cursor = scene.store.cursor({ gte: b4a.from([1]), lt: b4a.from([2]) })
  const [row] = await cursor.nextBatch(10)
  await cursor.close()
  if (row === undefined) throw new Error('an index has cursors')
  const [key, old] = row
  const value = b4a.from(old)
  value[value.byteLength - 1] = (value.at(-1) ?? 0) ^ 1
  await scene.store.write([
    { key, value },
    { key: ROW('key/000050'), value: null }
  ])
  const index = await scene.open()
  const view = await follow(index, scene.union)
  assert.equal(scene.rebuilds, ['log-changed'])
  assert.ok(view.isIndexed)
  await checkEqual(scene, view)
  await index.close()
})

/** As a reading of one core that was cut short leaves the index: its rows stand anywhere, and its cursor says so. */
async function mixRows({ store, a }: Scene): Promise<void> {
  const cursor = store.cursor({ gte: b4a.from([1]), lt: b4a.from([2]) })
  const rows = await cursor.nextBatch(10)
  await cursor.close()
  const [key, value] = rows.find(([key]) => b4a.equals(key.subarray(1), a.core.key)) ?? []
  if (key === undefined || value === undefined) throw new Error('an index has cursors')
  const state = { start: 0, end: value.byteLength, buffer: value }
  c.uint.decode(state)
  const length = c.encode(c.uint, c.uint.decode(state))
  await store.write([
    { key, value: b4a.concat([value, length]) },
    { key: ROW('key/000050'), value: null }
  ])
}

for (const direction of ['forward', 'back'] as const) {
  test(`a core whose rows stand anywhere is compared with its tree, ${direction}, and no other is read`, async () => {
    const scene = await openScene()
    const length = await scene.a.append(putsOf(0, 1000, 'a'))
    await scene.a.append(putsOf(100, 4500, 'later'))
    await scene.b.append(putsOf(100, 300, 'b'))
    const first = await scene.open()
    await follow(first, scene.union)
    await mixRows(scene)
    if (direction === 'back') scene.writers.seal(scene.a.core.key, length)
    else await scene.a.append(putsOf(0, 20, 'latest'))
    if (direction === 'back') scene.store.writesLeft = 1 // killed half-way, once
    const second = await scene.open()
    await follow(second, scene.union)
    scene.store.writesLeft = Infinity
    scene.store.rowsWritten = 0
    const index = await scene.open()
    const view = await follow(index, scene.union)
    assert.equal(scene.rebuilds, [])
    assert.ok(view.isIndexed)
    await checkEqual(scene, view)
    assert.equal(await index.check((core) => scene.union.log(core)), [])
    await index.close()
  })
}

test('an index of another space, or of a newer format, is built again', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 100, 'a'))
  await follow(await scene.open(b4a.alloc(32, 8)), scene.union)
  await scene.store.write([{ key: ROW('key/foreign'), value: b4a.from([0, 0, 1, 1]) }])
  const index = await scene.open()
  await checkEqual(scene, await follow(index, scene.union))
  await scene.store.write([
    { key: b4a.from([0]), value: b4a.concat([b4a.from([3]), SPACE]) },
    { key: ROW('key/newer'), value: b4a.from([0, 0, 1, 1]) }
  ])
  const again = await scene.open()
  const view = await follow(again, scene.union)
  assert.ok(view.isIndexed)
  await checkEqual(scene, view)
  await again.close()
})

test('a store that always fails is left alone in the end, and nobody notices', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 100, 'a'))
  const index = await scene.open()
  scene.store.writesLeft = 0
  for (let i = 0; i < 10; i++) {
    const view = await follow(index, scene.union)
    assert.not(view.isIndexed)
    await checkEqual(scene, view)
  }
  assert.ok(scene.rebuilds.length <= 3, scene.rebuilds.join())
  await index.close()
})

test('a log whose tree is bad is indexed up to the batch before', async () => {
  const scene = await openScene()
  await scene.a.append(putsOf(0, 100, 'a'))
  await scene.b.append(putsOf(50, 60, 'b'))
  const index = await scene.open()
  await follow(index, scene.union)
  await scene.a.core.append(forgeLeaf(scene.a.core.length, ['z', 'y']))
  await scene.b.append(putsOf(60, 70, 'b'))
  await follow(index, scene.union) // finds it
  const view = await follow(index, scene.union)
  assert.ok(view.isIndexed)
  await checkEqual(scene, view)
  assert.equal(scene.rebuilds, [])
  await index.close()
})

const MISTREATED: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  deleted: (folder) => rm(folder, { recursive: true }),
  'cut short': async (folder) => {
    for (const name of await readdir(folder)) await truncate(join(folder, name), 20)
  },
  emptied: async (folder) => {
    for (const name of await readdir(folder)) await truncate(join(folder, name), 0)
  },
  'filled with something else': async (folder) => {
    for (const name of await readdir(folder)) await writeFile(join(folder, name), 'something else')
  },
  'without its tables': async (folder) => {
    for (const name of await readdir(folder)) {
      if (/\.(ldb|log)$/.test(name)) await rm(join(folder, name))
    }
  }
}

for (const [what, mistreat] of Object.entries(MISTREATED)) {
  test(`an index folder that was ${what} costs nothing but time`, async () => {
    const folder = await tempFolder()
    const storage = join(folder.path, 'device')
    const device = await openDevice({ storage })
    const space = await device.createSpace({ mode: 'index' })
    const batch = space.db.batch()
    for (let i = 0; i < 500; i++) batch.put(`key ${i}`, i)
    await batch.flush()
    const before = await exportSpace(space)
    await device.close()
    const [name = ''] = await readdir(join(storage, 'index'))
    await mistreat(join(storage, 'index', name))
    await using again = await openDevice({ storage })
    const same = await again.openSpace(space.address, { mode: 'index' })
    assert.is(await exportSpace(same), before)
    await same.db.put('key 500', 500)
    assert.is((await collectKeys(same.db.createReadStream())).length, 501)
    await again.close()
    await folder.remove()
  })
}

test('a space is read in one way at a time', async () => {
  const folder = await tempFolder()
  await using device = await openDevice({ storage: join(folder.path, 'device') })
  const space = await device.createSpace({ mode: 'stream' })
  assert.is(space.mode, 'stream')
  assert.is(await device.openSpace(space.address), space)
  const failure = await device.openSpace(space.address, { mode: 'index' }).catch((error) => error)
  assert.is(failure.code, 'INVALID_ARGUMENT')
  await space.close()
  const again = await device.openSpace(space.address)
  assert.is(again.mode, 'auto')
  await device.close()
  await folder.remove()
})

test.run()

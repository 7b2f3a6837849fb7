/** What a stored index goes through that nobody who reads by it must notice. Random histories: test/sim/secondary.test.ts. */
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { OrderedChange, OrderedStore, TreeRange } from '../../core/index.ts'
import { openIndexStore } from '../../core/native/index.ts'
import type { Value } from '../../index.ts'
import { openMultiBee, WriterList, type MultiBee } from '../../multiwriter/index.ts'
import { collect } from '../support/collect.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'

const DEFINITION = 4
const INDEX_ROW = 5

let logs: LogStore
let count = 0

test.before(async () => {
  logs = await openLogStore()
})

test.after(() => logs.close())

/** A store that tells what is read and written, and fails from some moment on. */
class WatchedStore implements OrderedStore {
  readonly #store: OrderedStore
  /** Kinds of rows that cursors were opened on. */
  readonly read: number[] = []
  writesLeft = Infinity
  onwrite: () => void = () => {}
  indexBatchesLeft = Infinity

  constructor(store: OrderedStore) {
    this.#store = store
  }

  get(key: Uint8Array) {
    return this.#store.get(key)
  }

  getMany(keys: readonly Uint8Array[]) {
    return this.#store.getMany(keys)
  }

  async write(changes: readonly OrderedChange[]) {
    this.onwrite()
    if (this.writesLeft-- <= 0) throw new Error('no room')
    await this.#store.write(changes)
  }

  cursor(range: TreeRange) {
    const kind = (range.gte ?? range.gt)?.[0] ?? 0
    this.read.push(kind)
    const cursor = this.#store.cursor(range)
    return {
      nextBatch: async (size: number) => {
        if (kind === INDEX_ROW && this.indexBatchesLeft-- <= 0) throw new Error('a bad sector')
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

  /** How many rows of a kind there are. */
  async count(kind: number): Promise<number> {
    const cursor = this.#store.cursor({ gte: b4a.from([kind]), lt: b4a.from([kind + 1]) })
    let rows = 0
    for (;;) {
      const batch = await cursor.nextBatch(1000)
      if (batch.length === 0) break
      rows += batch.length
    }
    await cursor.close()
    return rows
  }
}

interface Scene {
  readonly store: WatchedStore
  readonly root: MultiBee
  /** A sub-database of the same name, with these indexes. */
  readonly people: (...index: string[]) => MultiBee
}

/** One database over one log and an index store; opened again and again. */
async function openScene(name: string, writers?: WriterList): Promise<Scene> {
  const own = await logs.own(name)
  const store = new WatchedStore(await openIndexStore(join(logs.path, 'index', name)))
  const root = await openMultiBee({
    writers: writers ?? [own.key],
    open: (key) => logs.corestore.get({ key }),
    own,
    now: () => 1000,
    index: store,
    mode: 'index'
  })
  return { store, root, people: (...index) => root.sub('people', { index }) }
}

async function inScene(run: (scene: Scene, name: string) => Promise<void>): Promise<void> {
  const name = `scene ${count++}`
  const scene = await openScene(name)
  try {
    await run(scene, name)
  } finally {
    await scene.root.close()
  }
}

async function fill(db: MultiBee, to: number, from = 0): Promise<void> {
  const batch = db.batch()
  for (let i = from; i < to; i++) {
    batch.put(String(i).padStart(5, '0'), { age: i % 100, tags: ['a', `t${i % 7}`] })
  }
  await batch.flush()
}

async function keysBy(db: MultiBee, path: string, options: object = {}): Promise<string[]> {
  return (await collect(db.by(path).createReadStream(options))).map(({ key }) => key)
}

/** As they would come without any stored index. */
async function scanned(db: MultiBee, age: number): Promise<string[]> {
  const entries = await collect(db.createReadStream())
  const isOf = (value: Value) =>
    typeof value === 'object' && value !== null && 'age' in value && value.age === age
  return entries.filter(({ value }) => isOf(value)).map(({ key }) => key)
}

test('an index is built when it is first read, and read from then on', () =>
  inScene(async ({ store, people }) => {
    const db = people('age')
    await fill(db, 300)
    await db.get('00000')
    assert.is(await store.count(INDEX_ROW), 0)
    assert.equal(await keysBy(db, 'age', { gte: 7, lte: 7 }), ['00007', '00107', '00207'])
    assert.is(await store.count(INDEX_ROW), 300)
    store.read.length = 0
    assert.equal(await keysBy(db, 'age', { gte: 7, lte: 7 }), ['00007', '00107', '00207'])
    assert.equal(store.read, [INDEX_ROW], 'nothing else is gone through')
  }))

test('each write of a key leaves exactly the rows of what it says', () =>
  inScene(async ({ store, people, root }) => {
    const db = people('age', 'tags[]')
    await fill(db, 10)
    await keysBy(db, 'age')
    await keysBy(db, 'tags')
    const rows = async () => {
      await db.get('00000') // brings the index to the log
      return store.count(INDEX_ROW)
    }
    assert.is(await rows(), 10 + 20)
    await db.put('00003', { age: 1 })
    assert.is(await rows(), 10 + 18)
    await db.put('00003', { tags: ['x', 'x', 'y', 'z'] })
    assert.is(await rows(), 9 + 21)
    await db.del('00003')
    assert.is(await rows(), 9 + 18)
    await root.put('00003', { age: 1, tags: ['elsewhere'] })
    await db.sub('inner').put('00003', { age: 1 })
    assert.is(await rows(), 9 + 18)
  }))

test('after a restart an index is there, and follows what was written meanwhile', async () => {
  const name = `scene ${count++}`
  const first = await openScene(name)
  await fill(first.people('age'), 50)
  await keysBy(first.people('age'), 'age')
  await fill(first.people('age'), 90, 50) // not followed before it closes
  await first.root.close()
  const second = await openScene(name)
  await second.root.get('x')
  assert.is(await second.store.count(INDEX_ROW), 90, 'maintained before anybody asks for it')
  second.store.read.length = 0
  const db = second.people('age')
  assert.equal(await keysBy(db, 'age', { gte: 60, limit: 2 }), ['00060', '00061'])
  assert.equal(second.store.read, [INDEX_ROW])
  await second.root.close()
})

test('a build that was cut short at any write is finished later, and lacks nothing', async () => {
  for (let writes = 0; writes < 6; writes++) {
    const name = `scene ${count++}`
    const first = await openScene(name)
    await fill(first.people('age'), 3000)
    await first.root.get('x')
    first.store.writesLeft = writes
    assert.is((await keysBy(first.people('age'), 'age')).length, 3000, 'read all the same')
    await first.root.close()
    const second = await openScene(name)
    const db = second.people('age')
    await db.put('00005', { age: 99_999 })
    assert.is((await keysBy(db, 'age', { reverse: true, limit: 1 }))[0], '00005')
    assert.equal(await keysBy(db, 'age', { gte: 6, lte: 6 }), await scanned(db, 6))
    assert.is(await second.store.count(INDEX_ROW), 3000)
    await second.root.close()
  }
})

test('a close while an index is built ends the build, and the next reader finishes it', async () => {
  const name = `scene ${count++}`
  const first = await openScene(name)
  await fill(first.people('age'), 3000)
  await first.root.get('x')
  const closings: Promise<void>[] = []
  let writes = 0
  first.store.onwrite = () => {
    if (++writes === 2) closings.push(first.root.close())
  }
  const reading = keysBy(first.people('age'), 'age').catch(() => null) // the logs may be closed by then
  await reading
  await Promise.all(closings)
  assert.is(writes, 2, 'the definition, and the first rows')
  const second = await openScene(name)
  assert.is((await keysBy(second.people('age'), 'age')).length, 3000)
  assert.is(await second.store.count(INDEX_ROW), 3000)
  await second.root.close()
})

test('where index rows stop to read, the stream goes on without them', () =>
  inScene(async ({ store, people }) => {
    const db = people('age', 'tags[]')
    await fill(db, 200)
    for (const path of ['age', 'tags']) {
      for (const reverse of [false, true]) {
        const expected = await keysBy(db, path, { reverse })
        for (const batches of [0, 1, 2, 3]) {
          store.indexBatchesLeft = batches
          assert.equal(await keysBy(db, path, { reverse }), expected)
          store.indexBatchesLeft = Infinity
          assert.equal(await keysBy(db, path, { reverse, limit: 9 }), expected.slice(0, 9))
        }
      }
    }
    assert.is(
      await store.count(DEFINITION),
      1,
      'the whole index was made again, and one read since'
    )
  }))

test('definitions that do not read are thrown away with the whole index, and made anew', async () => {
  const name = `scene ${count++}`
  const first = await openScene(name)
  await fill(first.people('age'), 20)
  await keysBy(first.people('age'), 'age')
  await first.store.write([{ key: b4a.from([DEFINITION, 0xff]), value: b4a.from([1]) }])
  await first.root.close()
  const second = await openScene(name)
  assert.equal(await keysBy(second.people('age'), 'age', { gte: 3, lte: 3 }), ['00003'])
  assert.is(await second.store.count(DEFINITION), 1)
  await second.root.close()
})

test('a stream that began before a write shows what was there then', () =>
  inScene(async ({ people }) => {
    const db = people('age')
    await fill(db, 300)
    await keysBy(db, 'age')
    const stream = db.by('age').createReadStream({ gte: 5, lte: 6 })
    const { value: first } = await stream.next()
    await db.put('00105', { age: 1 })
    await db.put('00400', { age: 6 })
    await db.del('00206')
    assert.equal(
      [first?.key, ...(await collect(stream)).map(({ key }) => key)],
      ['00005', '00105', '00205', '00006', '00106', '00206']
    )
  }))

test('an index that a newer version of an application does not use any more is dropped in time', async () => {
  const name = `scene ${count++}`
  const session = async (...paths: string[]) => {
    const scene = await openScene(name)
    const db = scene.people(...paths)
    await db.put('a', { age: 1, size: 2, tags: [] })
    for (const path of paths) assert.equal(await keysBy(db, path), ['a'])
    const rows = [await scene.store.count(DEFINITION), await scene.store.count(INDEX_ROW)]
    await scene.root.close()
    return rows
  }
  assert.equal(await session('age', 'size'), [2, 2])
  for (let i = 0; i < 5; i++) assert.equal(await session('age'), [2, 2])
  assert.equal(await session('size'), [2, 2], 'the older version is started once more')
  for (let i = 0; i < 8; i++) assert.equal(await session('age'), [2, 2])
  assert.equal(await session('age'), [1, 1])
  assert.equal(await session(), [1, 1], 'who asks for none drops none')
  assert.equal(await session('size', 'age'), [2, 2])
})

test('an entry that lost, and one behind a seal, do not show', async () => {
  const core = await logs.own(`scene ${count}`)
  const other = await logs.own(`other ${count}`)
  const writers = new WriterList([core.key, other.key])
  const stranger = await openMultiBee({
    writers: [other.key],
    open: (key) => logs.corestore.get({ key }),
    own: other,
    now: () => 5000 // later than ours: it wins
  })
  const scene = await openScene(`scene ${count++}`, writers)
  const db = scene.people('age')
  await keysBy(db, 'age')
  await db.put('ann', { age: 1 })
  await stranger.sub('people').put('ann', { age: 2 })
  await stranger.sub('people').put('bob', { age: 3 })
  assert.equal(await keysBy(db, 'age'), ['ann', 'bob'])
  assert.equal(await keysBy(db, 'age', { lt: 2 }), [])
  assert.is(await scene.store.count(INDEX_ROW), 3, 'as a candidate it is there')
  writers.seal(other.key, 0)
  assert.equal(await keysBy(db, 'age'), ['ann'])
  assert.equal(await keysBy(db, 'age', { lt: 2 }), ['ann'])
  writers.seal(other.key, Infinity)
  assert.equal(await keysBy(db, 'age', { gte: 2 }), ['ann', 'bob'])
  await scene.root.close()
  await stranger.close()
})

test.run()

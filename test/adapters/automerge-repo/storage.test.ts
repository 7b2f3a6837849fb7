/** What automerge-repo stores in a space: on two devices, in pieces, and among what others put there. */
import * as Automerge from '@automerge/automerge'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodePath } from '../../../adapters/automerge-repo/keys.ts'
import { MAX_BYTES, PIECE_BYTES } from '../../../adapters/automerge-repo/stored.ts'
import { SpaceStorageAdapter } from '../../../adapters/automerge-repo/index.ts'
import type { Value } from '../../../index.ts'
import type { Space } from '../../../multiwriter/index.ts'
import { openTwoDevices, until } from '../../support/devices.ts'

const SNAPSHOT = (hash: string) => ['doc', 'snapshot', hash]
const INCREMENTAL = (hash: string) => ['doc', 'incremental', hash]
const ID = ['storage-adapter-id']

/** A part of a document that Automerge can read, of about so many bytes that do not compress. */
function part(bytes = 1): Uint8Array {
  const content = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += 65_536) {
    crypto.getRandomValues(content.subarray(at, at + 65_536))
  }
  return Automerge.save(Automerge.from({ content }))
}

async function twoStorages() {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  const [a, b] = [new SpaceStorageAdapter(spaceA), new SpaceStorageAdapter(spaceB)]
  let cut = two.connect()
  await until(() => spaceA.writers().length === 2 && spaceB.writers().length === 2)
  return {
    ...two,
    storages: [a, b] as const,
    cut: () => cut(),
    heal: () => void (cut = two.connect()),
    close: () => two.close()
  }
}

/** Both have all that the other wrote. */
async function inStep(...spaces: readonly Space[]): Promise<void> {
  const lengths = (space: Space) =>
    space
      .writers()
      .map(({ writer, length }) => `${writer} ${length}`)
      .sort()
      .join()
  await until(() => new Set(spaces.map(lengths)).size === 1)
}

const keysOf = async (storage: SpaceStorageAdapter, prefix: string[] = ['doc']) =>
  (await storage.loadRange(prefix)).map(({ key }) => key.at(-1))

test('what one device stored, the other loads: in the order of writing, as plain bytes', async () => {
  const { spaceA, spaceB, storages, close } = await twoStorages()
  const [a, b] = storages
  const parts = [part(), part(), part()]
  await Promise.all(parts.slice(0, 2).map((each, i) => a.save(INCREMENTAL(`z${9 - i}`), each)))
  await inStep(spaceA, spaceB)
  await b.save(SNAPSHOT('a'), parts[2] ?? part())
  await inStep(spaceA, spaceB)
  for (const storage of storages) {
    const chunks = await storage.loadRange(['doc'])
    assert.equal(
      chunks.map(({ key }) => key.at(-1)),
      ['z9', 'z8', 'a']
    )
    assert.equal(
      chunks.map(({ data }) => data),
      parts
    )
    for (const { data } of chunks)
      assert.is(Object.getPrototypeOf(data), Uint8Array.prototype, 'no Buffer')
    assert.is(storage.refused, 0)
  }
  await close()
})

test('what is stored together stands in the order of the calls, however long each takes to prepare', async () => {
  const { storages, close } = await twoStorages()
  const [storage] = storages
  await storage.save(SNAPSHOT('large'), new Uint8Array(60 * PIECE_BYTES))
  const large = new Uint8Array(60 * PIECE_BYTES).fill(1) // which is compared with what is there
  await Promise.all([
    storage.save(SNAPSHOT('large'), large),
    storage.save(INCREMENTAL('b'), part()),
    storage.save(INCREMENTAL('a'), part())
  ])
  assert.equal(await keysOf(storage), ['large', 'b', 'a'])
  await close()
})

test('each device has its own storage id and sync states, and takes none that another wrote', async () => {
  const { spaceA, spaceB, storages, close } = await twoStorages()
  const [a, b] = storages
  await a.save(ID, new Uint8Array([1]))
  await a.save(['doc', 'sync-state', 'x'], new Uint8Array([2]))
  await inStep(spaceA, spaceB)
  assert.is(await b.load(ID), undefined)
  assert.equal(await b.loadRange([]), [])
  await b.save(ID, new Uint8Array([3]))
  await inStep(spaceA, spaceB)
  assert.equal([await a.load(ID), await b.load(ID)], [new Uint8Array([1]), new Uint8Array([3])])
  const forged = spaceB.db.sub<Uint8Array, Value>('automerge-repo', { keyEncoding: 'binary' })
  await forged.put(encodePath([spaceA.writer, 'head', ...ID]), [0, 1, new Uint8Array([9])])
  await inStep(spaceA, spaceB)
  assert.is(await a.load(ID), undefined)
  assert.is(a.refused, 1)
  await close()
})

test('a device that compacts removes what it had loaded; what another stored meanwhile stays', async () => {
  const { spaceA, spaceB, storages, cut, heal, close } = await twoStorages()
  const [a, b] = storages
  await a.save(INCREMENTAL('1'), part())
  await inStep(spaceA, spaceB)
  cut()
  await a.save(SNAPSHOT('a'), part())
  await a.remove(INCREMENTAL('1'))
  await b.save(INCREMENTAL('2'), part())
  await b.save(SNAPSHOT('b'), part())
  await b.remove(INCREMENTAL('1'))
  heal()
  await inStep(spaceA, spaceB)
  for (const storage of storages)
    assert.equal(new Set(await keysOf(storage)), new Set(['2', 'a', 'b']))
  await close()
})

test('the same part stored by two devices stands there once, and another one at its key replaces it', async () => {
  const { spaceA, spaceB, storages, close } = await twoStorages()
  const [a, b] = storages
  const [one, other] = [part(), part()]
  await a.save(INCREMENTAL('1'), one)
  await inStep(spaceA, spaceB)
  await b.save(INCREMENTAL('1'), one.slice())
  assert.is(spaceB.writers().find(({ isOwn }) => isOwn)?.length, 0, 'nothing was written')
  await b.save(INCREMENTAL('1'), other)
  await inStep(spaceA, spaceB)
  assert.equal(await a.load(INCREMENTAL('1')), other)
  await close()
})

test('large parts stand in pieces, which go with them', async () => {
  const { spaceA, spaceB, storages, cut, heal, close } = await twoStorages()
  const [a, b] = storages
  const large = part(3 * PIECE_BYTES + 5)
  await a.save(SNAPSHOT('1'), large)
  await a.save(['own', 'thing'], new Uint8Array(PIECE_BYTES + 1).fill(3))
  await inStep(spaceA, spaceB)
  assert.equal(await b.load(SNAPSHOT('1')), large)
  cut()
  // Both replace it, unknown to each other: one of them shows, whole.
  const others = [part(2 * PIECE_BYTES), part(2 * PIECE_BYTES)]
  await Promise.all(storages.map((each, i) => each.save(SNAPSHOT('1'), others[i] ?? large)))
  heal()
  await inStep(spaceA, spaceB)
  const shown = await a.load(SNAPSHOT('1'))
  assert.ok(others.some((each) => Buffer.compare(each, shown ?? large) === 0))
  assert.equal(await b.load(SNAPSHOT('1')), shown)
  await a.removeRange([])
  let left = 0
  const all = spaceA.db.sub<Uint8Array, Value>('automerge-repo', { keyEncoding: 'binary' })
  for await (const _ of all.createReadStream()) left++
  assert.is(left, 0, 'no piece is left')
  await inStep(spaceA, spaceB)
  assert.equal(await b.loadRange([]), [])
  await close()
})

test('more than a channel carries is not stored', async () => {
  const { storages, close } = await twoStorages()
  const [a] = storages
  const error = await a.save(SNAPSHOT('1'), new Uint8Array(MAX_BYTES + 1)).catch((e: unknown) => e)
  assert.instance(error, RangeError)
  assert.equal(await a.loadRange([]), [])
  await close()
})

test('hostile: what another device put there and no repo stores is refused, and the rest loads', async () => {
  const { spaceA, spaceB, storages, close } = await twoStorages()
  const [a, b] = storages
  const good = part()
  await b.save(INCREMENTAL('good'), good)
  const raw = spaceB.db.sub<Uint8Array, Value>('automerge-repo', { keyEncoding: 'binary' })
  const head = (hash: string) => encodePath(['', 'head', ...INCREMENTAL(hash)])
  const truncated = good.slice(0, -2)
  const tail = new Uint8Array([...good, 1, 2, 3])
  const flipped = good.with(good.byteLength - 3, (good.at(-3) ?? 0) ^ 1)
  const values = [
    'text',
    7,
    [],
    [1],
    [-1, 1, new Uint8Array(1)],
    [0, 5, new Uint8Array(1)],
    [0, 0.5, new Uint8Array(1)],
    [0, 1e15],
    [0, 2 * PIECE_BYTES],
    [0, 1, new Uint8Array(1), 2],
    new Uint8Array(5),
    { number: 1 },
    [0, 3, new Uint8Array([1, 2, 3])],
    [0, truncated.byteLength, truncated],
    [0, tail.byteLength, tail],
    [0, flipped.byteLength, flipped]
  ]
  for (const [i, value] of values.entries()) await raw.put(head(`bad${i}`), value)
  await raw.put(new Uint8Array([0, 0x68, 0xff]), [0, 1, new Uint8Array(1)])
  await raw.put(encodePath(['', 'head', 'doc', 'sync-state', 'x']), [0, 1, new Uint8Array(1)])
  await inStep(spaceA, spaceB)
  assert.equal(await a.loadRange(['doc']), [{ key: INCREMENTAL('good'), data: good }])
  assert.ok(a.refused >= 6, `${a.refused}`)
  const mismatch = spaceA.refusals().find(({ reason }) => reason === 'encoding-mismatch')
  assert.ok((mismatch?.count ?? 0) >= 9, `${mismatch?.count}`)
  await close()
})

test('what a repo stores after its space is closed is dropped and counted; nothing that its timers do ends the process', async () => {
  const { spaceA, storages, close } = await twoStorages()
  const [a] = storages
  const [stored, other] = [part(), part()]
  await a.save(SNAPSHOT('heads'), stored)
  const under = a.save(SNAPSHOT('cut off'), other)
  const closing = spaceA.close()
  await Promise.all([under, a.save(SNAPSHOT('later'), other), closing])
  await a.save(['doc', 'sync-state', 'x'], other)
  assert.ok(
    a.late >= 1 && a.late <= 2,
    'what only spares the next meeting some words is not counted'
  )
  await close()
})

test.run()

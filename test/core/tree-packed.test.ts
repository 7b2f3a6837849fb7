/** Writing keys that come in no order: what a put costs must not jump where the leaves are more than memory holds. */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TreeContext } from '../../core/tree/context.ts'
import { PackedLeaves } from '../../core/tree/packed.ts'
import { TreeSnapshot } from '../../core/tree/snapshot.ts'
import { TreeWriter, type TreePut } from '../../core/tree/writer.ts'
import { seededRandom } from '../support/random.ts'
import { drain, openLogStore, type LogStore } from '../support/tree.ts'

/** Far fewer than the tests' trees have. */
const FEW_NODES = 8

let store: LogStore
let logs = 0

test.before(async () => {
  store = await openLogStore()
})

test.after(async () => {
  await store.close()
})

async function newLog(maxNodes = FEW_NODES) {
  const core = await store.own(`packed-${logs++}`)
  return { core, writer: new TreeWriter(core, { maxNodes }) }
}

/** Scattered: neighbours in number are far apart in order. */
function keyOf(number: number): Uint8Array {
  const spread = Math.imul(number, 0x9e3779b1) >>> 0
  return b4a.from(`key-${spread.toString(16).padStart(8, '0')}`)
}

function putsOf(from: number, count: number, fill = 1): TreePut[] {
  return Array.from({ length: count }, (_, i) => ({
    key: keyOf(from + i),
    value: b4a.alloc(20, fill)
  }))
}

/** What a tree should hold, in key order. */
function sorted(puts: Iterable<TreePut>): string[] {
  return [...puts].map(show).sort()
}

function show({ key, value }: TreePut): string {
  return `${b4a.toString(key)} ${value.byteLength}x${value[0]}`
}

/** Counts the blocks that are read of a core from now on. */
function countReads(core: Hypercore): { blocks: number } {
  const counted = { blocks: 0 }
  const { storage } = core.core.state
  const read = storage.read.bind(storage)
  storage.read = () => {
    const batch = read()
    const getBlock = batch.getBlock.bind(batch)
    batch.getBlock = (seq) => {
      counted.blocks++
      return getBlock(seq)
    }
    return batch
  }
  return counted
}

async function lookUpAndAppend(writer: TreeWriter, puts: readonly TreePut[]): Promise<void> {
  for (const { key } of puts) await writer.snapshot().get(key)
  await writer.append(puts)
}

/** So many batches that their blocks do not all stay decoded. */
async function fill(writer: TreeWriter): Promise<void> {
  for (let i = 0; i < 4000; i += 10) await writer.append(putsOf(i, 10))
}

test('writing scattered keys reads no blocks, however many leaves memory has no room for', async () => {
  const { core, writer } = await newLog()
  await fill(writer)
  const reads = countReads(core)
  const before = writer.context.packed?.recalled ?? 0
  for (let i = 4000; i < 4500; i += 50) await lookUpAndAppend(writer, putsOf(i, 50))
  await writer.append(putsOf(4500, 1))
  assert.ok(reads.blocks < 50, `501 puts read ${reads.blocks} blocks`)
  assert.ok((writer.context.packed?.recalled ?? 0) > before + 100, 'the leaves did not fit')
  const expected = sorted(putsOf(0, 4501))
  assert.equal((await drain(writer.snapshot().cursor(), [256])).map(show), expected)
  const reader = new TreeSnapshot(new TreeContext(core), core.length)
  assert.equal((await drain(reader.cursor(), [256])).map(show), expected)
})

test('a key that is written again reads the block of its old value, not those of its neighbours', async () => {
  const { core, writer } = await newLog()
  await fill(writer)
  const reads = countReads(core)
  for (let i = 0; i < 500; i += 50) await lookUpAndAppend(writer, putsOf(i, 50, 2))
  assert.ok(reads.blocks <= 500, `500 puts read ${reads.blocks} blocks`)
  const expected = sorted([...putsOf(0, 500, 2), ...putsOf(500, 3500)])
  assert.equal((await drain(writer.snapshot().cursor(), [256])).map(show), expected)
})

for (const seed of [1, 2, 3]) {
  test(`leaves that come and go hold what was put: new, again, unchanged and large, seed ${seed}`, async () => {
    const random = seededRandom(seed)
    const { core, writer } = await newLog(1 + random.below(6))
    const all = new Map<string, TreePut>()
    for (let batch = 0; batch < 60; batch++) {
      const size = random.below(4) === 0 ? 1 : 1 + random.below(200)
      const puts = Array.from({ length: size }, () => {
        const bytes = random.below(40) === 0 ? 1500 : 1 + random.below(30)
        return { key: keyOf(random.below(3000)), value: b4a.alloc(bytes, random.below(3)) }
      })
      const distinct = new Map(puts.map((put) => [b4a.toString(put.key), put]))
      await writer.append([...distinct.values()])
      for (const [id, put] of distinct) all.set(id, put)
      const { key } = puts[0]!
      const found = await writer.snapshot().get(key)
      assert.equal(found?.value, all.get(b4a.toString(key))?.value)
    }
    assert.ok((writer.context.packed?.recalled ?? 0) > 0)
    const expected = sorted(all.values())
    assert.equal((await drain(writer.snapshot().cursor(), [7, 100])).map(show), expected)
    const reader = new TreeSnapshot(new TreeContext(core), core.length)
    assert.equal((await drain(reader.cursor(), [256])).map(show), expected)
  })
}

test('older trees can be read through the writer when their leaves were packed and replaced', async () => {
  const { core, writer } = await newLog()
  for (let i = 0; i < 4000; i += 100) await writer.append(putsOf(i, 100))
  const { length } = core
  for (let i = 0; i < 4000; i += 100) await writer.append(putsOf(i, 100, 2))
  const older = new TreeSnapshot(writer.context, length)
  assert.equal((await drain(older.cursor(), [256])).map(show), sorted(putsOf(0, 4000)))
})

test('packed leaves take no more bytes than they may', async () => {
  const { writer } = await newLog(64)
  for (let i = 0; i < 4000; i += 100) await writer.append(putsOf(i, 100))
  const packed = new PackedLeaves(16_384)
  let most = 0
  for (const [id, leaf] of (await leavesOf(writer)).entries()) {
    packed.keep(id, leaf)
    most = Math.max(most, packed.bytes)
  }
  assert.ok(most > 8192 && most <= 16_384, `${most} bytes`)
  assert.is(packed.recall(writer.context, 0), null)
  packed.clear()
  assert.is(packed.bytes, 0)
})

/** The nodes below the root: the test's tree is two levels high. */
async function leavesOf(writer: TreeWriter) {
  await drain(writer.snapshot().cursor(), [256])
  const root = writer.context.createTreeNode(0, writer.snapshot().length - 1, 0, false, null).value
  assert.ok(root !== null)
  const leaves = Array.from({ length: root.children.length }, (_, i) => root.children.get(i).value)
  return leaves.filter((leaf) => leaf !== null)
}

test.run()

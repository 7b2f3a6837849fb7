import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isManyhandsError } from '../../errors.ts'
import { wholeBatches } from '../../core/tree/batches.ts'
import { TreeContext } from '../../core/tree/context.ts'
import type { TreeRange } from '../../core/tree/cursor.ts'
import { LogReader } from '../../core/tree/log.ts'
import { TreeSnapshot } from '../../core/tree/snapshot.ts'
import { TreeWriter, type TreePut } from '../../core/tree/writer.ts'
import { until } from '../support/devices.ts'
import { drain, openLogStore, SlowTree, type LogStore } from '../support/tree.ts'
import { within } from '../support/within.ts'

let store: LogStore
let logs = 0

test.before(async () => {
  store = await openLogStore()
})

test.after(async () => {
  await store.close()
})

const text = (value: string) => b4a.from(value)

async function newLog() {
  const core = await store.own(`log-${logs++}`)
  return { core, writer: new TreeWriter(core) }
}

/** Few keys, so that puts meet; values mostly small, some around the limit above which they stand in blocks of their own. */
const keyOf = fc.integer({ min: 0, max: 400 }).map((n) => text(`key-${String(n).padStart(3, '0')}`))
const sizeOf = fc.oneof(
  { weight: 20, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1020, max: 1028 }) },
  { weight: 1, arbitrary: fc.integer({ min: 2000, max: 200_000 }) }
)
const putOf: fc.Arbitrary<TreePut> = fc
  .tuple(keyOf, sizeOf, fc.integer({ min: 0, max: 255 }))
  .map(([key, size, fill]) => ({ key, value: b4a.alloc(size, fill) }))
const batchOf = fc
  .oneof(
    { weight: 4, arbitrary: fc.array(putOf, { minLength: 1, maxLength: 8 }) },
    { weight: 1, arbitrary: fc.array(putOf, { minLength: 100, maxLength: 300 }) }
  )
  .map(distinct)
const boundOf = fc.option(fc.oneof(keyOf, fc.constantFrom(text(''), text('key-1'), text('zzz'))), {
  nil: undefined
})
const rangeOf: fc.Arbitrary<TreeRange> = fc
  .record({ gt: boundOf, gte: boundOf, lt: boundOf, lte: boundOf, reverse: fc.boolean() })
  .map(({ gt, gte, lt, lte, reverse }) => ({
    reverse,
    ...(gt === undefined ? {} : { gt }),
    ...(gte === undefined ? {} : { gte }),
    ...(lt === undefined ? {} : { lt }),
    ...(lte === undefined ? {} : { lte })
  }))

function distinct(puts: readonly TreePut[]): TreePut[] {
  return [...new Map(puts.map((put) => [b4a.toString(put.key), put])).values()]
}

function same(actual: readonly TreePut[], expected: readonly TreePut[]): void {
  const show = ({ key, value }: TreePut) => `${b4a.toString(key)} ${value.byteLength}x${value[0]}`
  assert.equal(actual.map(show), expected.map(show))
}

test('a tree reads as the sorted array of what was put, at every length, in every range', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(batchOf, { minLength: 1, maxLength: 8 }),
      fc.array(rangeOf, { minLength: 4, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 4 }),
      async (batches, ranges, sizes) => {
        const { core, writer } = await newLog()
        const states = [{ length: 0, tree: new SlowTree() }]
        const tree = new SlowTree()
        for (const puts of batches) {
          assert.is(await writer.append(puts), core.length)
          for (const put of puts) tree.put(put)
          states.push({ length: core.length, tree: tree.copy() })
        }
        const context = new TreeContext(core)
        for (const { length, tree } of states) {
          assert.is(await wholeBatches(context, length), length)
          await checkSame(new TreeSnapshot(context, length), tree, ranges, sizes)
        }
        await checkSame(writer.snapshot(), tree, ranges, sizes)
        await core.close()
      }
    ),
    { numRuns: 60 }
  )
})

async function checkSame(
  snapshot: TreeSnapshot,
  tree: SlowTree,
  ranges: readonly TreeRange[],
  sizes: readonly number[]
): Promise<void> {
  for (const range of ranges) {
    same(await drain(snapshot.cursor(range), sizes), tree.range(range))
  }
  for (let n = 0; n < 400; n += 23) {
    const key = text(`key-${String(n).padStart(3, '0')}`)
    const cold = await snapshot.get(key)
    const warm = await snapshot.get(key)
    assert.equal(cold?.value ?? null, tree.get(key))
    assert.equal(warm, cold)
    assert.is(await snapshot.get(text(`key-${n}-absent`)), null)
  }
}

test('a length inside a batch is rounded down to the last whole batch', async () => {
  const { core, writer } = await newLog()
  const ends = [0]
  for (let i = 0; i < 4; i++) {
    const puts = Array.from({ length: 1500 }, (_, n) => putNumber(i * 1500 + n))
    ends.push(await writer.append(puts))
  }
  assert.ok(core.length > 12, 'batches of several blocks')
  const context = new TreeContext(core)
  for (let length = 0; length <= core.length; length++) {
    const whole = ends.filter((end) => end <= length).at(-1) ?? 0
    assert.is(await wholeBatches(context, length), whole, `length ${length}`)
  }
})

test('a log is read up to the limit, rounded down', async () => {
  const { core, writer } = await newLog()
  await writer.append([putNumber(1)])
  const first = core.length
  await writer.append(Array.from({ length: 900 }, (_, n) => putNumber(n + 2)))
  const reader = new LogReader(await store.remote(core.key), () => {})
  assert.is((await reader.snapshot(Infinity)).length, core.length)
  assert.is((await reader.snapshot(core.length - 1)).length, first)
  assert.is((await drain((await reader.snapshot(first)).cursor())).length, 1)
  assert.is((await reader.snapshot(0)).length, 0)
  assert.is(await (await reader.snapshot(0)).get(putNumber(1).key), null)
  await reader.close()
})

function putNumber(n: number, value = `value ${n}`): TreePut {
  return { key: text(`n-${String(n).padStart(6, '0')}`), value: text(value) }
}

test('20,000 keys in scattered batches: get, scan both ways, and a warm get that is synchronous', async () => {
  const { core, writer } = await newLog()
  const total = 20_000
  // 7919 is prime: every key once, far apart within a batch.
  const order = Array.from({ length: total }, (_, i) => (i * 7919) % total)
  for (let i = 0; i < total; i += 1000)
    await writer.append(order.slice(i, i + 1000).map((n) => putNumber(n)))
  const context = new TreeContext(core)
  const snapshot = new TreeSnapshot(context, core.length)
  const forward = await drain(snapshot.cursor(), [256])
  const backward = await drain(snapshot.cursor({ reverse: true }), [256])
  assert.is(forward.length, total)
  forward.forEach(({ key, value }, n) => {
    if (!b4a.equals(key, putNumber(n).key) || !b4a.equals(value, putNumber(n).value))
      assert.unreachable(`key ${n}`)
  })
  assert.equal(
    backward.map(({ key }) => b4a.toString(key)),
    forward.map(({ key }) => b4a.toString(key)).reverse()
  )
  const { key, value } = putNumber(12_345)
  await snapshot.get(key)
  const warm = snapshot.get(key)
  assert.not.instance(warm, Promise)
  assert.equal((await warm)?.value, value)
  const inMemory = writer.snapshot().get(putNumber(order.at(-1) ?? 0).key)
  assert.not.instance(inMemory, Promise, 'what was just written is in memory')
})

test('reads during a write see the tree before or after it, never between', async () => {
  const { core, writer } = await newLog()
  const puts = (value: string) => Array.from({ length: 600 }, (_, n) => putNumber(n, value))
  await writer.append(puts('round 0'))
  for (let round = 1; round <= 10; round++) {
    let isWritten = false
    const writing = writer.append(puts(`round ${round}`)).then(() => (isWritten = true))
    const seen = new Set<string>()
    do {
      const reads = [
        drain(writer.snapshot().cursor(), [100]),
        drain(writer.snapshot().cursor({ reverse: true }), [7])
      ]
      for (const entries of await Promise.all(reads)) {
        assert.is(entries.length, 600)
        const values = new Set(entries.map(({ value }) => b4a.toString(value)))
        assert.is(values.size, 1, `one state: ${[...values].join()}`)
        for (const value of values) seen.add(value)
      }
      await new Promise(setImmediate) // warm reads take no turn of their own
    } while (!isWritten)
    await writing
    for (const value of seen)
      assert.ok([`round ${round - 1}`, `round ${round}`].includes(value), value)
    assert.is(
      b4a.toString((await writer.snapshot().get(putNumber(3).key))?.value ?? b4a.alloc(0)),
      `round ${round}`
    )
  }
  assert.ok(core.length > 0)
})

test('a failed append changes nothing and leaves the writer usable', async () => {
  const { core, writer } = await newLog()
  await writer.append(Array.from({ length: 500 }, (_, n) => putNumber(n, 'before')))
  const { length } = core
  for (let i = 0; i < 3; i++) {
    const append = core.append.bind(core)
    core.append = () => Promise.reject(new Error('disk on fire'))
    const failed = await writer
      .append([putNumber(7, 'lost'), putNumber(9999, 'lost')])
      .catch((error: Error) => error)
    core.append = append
    assert.instance(failed, Error)
    assert.is(core.length, length + i)
    assert.is(
      b4a.toString((await writer.snapshot().get(putNumber(7).key))?.value ?? b4a.alloc(0)),
      'before'
    )
    await writer.append([putNumber(1000 + i, 'after')])
  }
  const entries = await drain(new TreeSnapshot(new TreeContext(core), core.length).cursor())
  assert.is(entries.length, 503)
  assert.not.ok(entries.some(({ value }) => b4a.toString(value) === 'lost'))
})

test('the largest blocks an honest writer makes are read: longest keys, largest values', async () => {
  const { core, writer } = await newLog()
  const longest = Array.from({ length: 400 }, (_, n) => ({
    key: b4a.concat([putNumber(n).key, b4a.alloc(4100, 'k')]),
    value: b4a.alloc(1024, 1)
  }))
  const largest = Array.from({ length: 3 }, (_, n) => ({
    key: text(`z-${n}`),
    value: b4a.alloc(4 * 1024 * 1024 + 512, n)
  }))
  await writer.append([...longest, ...largest])
  const entries = await drain(new TreeSnapshot(new TreeContext(core), core.length).cursor())
  same(entries, new SlowTree([...longest, ...largest]).range())
})

test('a put of the value that is there already appends nothing', async () => {
  const { core, writer } = await newLog()
  await writer.append([putNumber(1)])
  const { length } = core
  assert.is(await writer.append([putNumber(1)]), length)
  await writer.append([putNumber(2)])
  assert.is((await drain(writer.snapshot().cursor())).length, 2)
})

test('the last keys are those of the last batch, also above values in blocks of their own', async () => {
  const { writer } = await newLog()
  assert.equal(await writer.lastKeys(), [])
  await writer.append([putNumber(1)])
  await writer.append([{ key: text('big'), value: b4a.alloc(100_000, 1) }])
  assert.equal(
    (await writer.lastKeys()).map((key) => b4a.toString(key)),
    ['big']
  )
})

test('the blocks of one turn come in one storage read', async () => {
  const { core, writer } = await newLog()
  const total = 20_000
  for (let i = 0; i < total; i += 1000)
    await writer.append(Array.from({ length: 1000 }, (_, n) => putNumber(((i + n) * 7919) % total)))
  const session = await store.remote(core.key)
  const reads = countReads(session.core.state.storage)
  const context = new TreeContext(session)
  await drain(new TreeSnapshot(context, core.length).cursor(), [256])
  assert.ok(reads.blocks >= core.length / 2, `${reads.blocks} blocks of ${core.length} were read`)
  assert.ok(reads.flushes * 2 < reads.blocks, `${reads.flushes} reads for ${reads.blocks} blocks`)
  reads.restore()
  await session.close()
})

interface Storage {
  read(): { getBlock(seq: number): Promise<Uint8Array | null>; tryFlush(): void }
}

function countReads(storage: Storage) {
  const read = storage.read.bind(storage)
  const counts = { flushes: 0, blocks: 0, restore: () => void (storage.read = read) }
  storage.read = () => {
    const rx = read()
    const getBlock = rx.getBlock.bind(rx)
    counts.flushes++
    rx.getBlock = (seq) => {
      counts.blocks++
      return getBlock(seq)
    }
    return rx
  }
  return counts
}

test('a block that is not here is BLOCK_UNAVAILABLE, with `wait: false` at once and with a time-out then', async () => {
  const { core, writer } = await newLog()
  await writer.append(Array.from({ length: 3000 }, (_, n) => putNumber(n)))
  const context = new TreeContext(core)
  const beyond = new TreeSnapshot(context, core.length + 5)
  const outcomes = [
    beyond.get(putNumber(1).key, { wait: false }),
    Promise.resolve(beyond.cursor({}, { wait: false }).nextBatch(1))
  ]
  for (const outcome of await Promise.allSettled(outcomes.map(async (each) => each))) {
    const error: unknown = outcome.status === 'rejected' ? outcome.reason : null
    assert.ok(isManyhandsError(error, 'BLOCK_UNAVAILABLE'), String(error))
  }
  const other = await openLogStore(2)
  const reader = new TreeSnapshot(new TreeContext(await other.remote(core.key)), core.length)
  const late = await within(
    5000,
    Promise.resolve(reader.get(putNumber(1).key, { timeout: 50 })).catch((error: unknown) => error)
  )
  assert.ok(isManyhandsError(late, 'BLOCK_UNAVAILABLE'), String(late))
  await other.close()
})

test('a cursor closed while a batch is pending settles it and gives no more', async () => {
  const { core, writer } = await newLog()
  await writer.append(Array.from({ length: 3000 }, (_, n) => putNumber(n)))
  const other = await openLogStore(3)
  const remote = await other.remote(core.key)
  const cursor = new TreeSnapshot(new TreeContext(remote), core.length).cursor()
  const pending = Promise.resolve(cursor.nextBatch(10)).then(
    (entries) => entries.length,
    () => 0
  )
  cursor.close()
  cursor.close()
  assert.is(await within(5000, pending), 0)
  await other.close()

  const warm = writer.snapshot().cursor()
  assert.is((await warm.nextBatch(5)).length, 5)
  warm.close()
  assert.equal(await warm.nextBatch(5), [])
})

test('a reader hears of every append and of nothing after its close', async () => {
  const { core, writer } = await newLog()
  let changes = 0
  const reader = new LogReader(await store.remote(core.key), () => changes++)
  await writer.append([putNumber(1)])
  await until(() => changes > 0)
  assert.is(reader.length, 1)
  await reader.close()
  const before = changes
  await writer.append([putNumber(2)])
  assert.is(changes, before)
})

test('the root of a large batch has a block to itself, and a leaf shares its block with what fits', async () => {
  const { core, writer } = await newLog()
  const entry = (i: number, fill: number) => ({
    key: text(`key-${String(i).padStart(12, '0')}`),
    value: b4a.alloc(100, fill)
  })
  await writer.append(Array.from({ length: 5000 }, (_, i) => entry(i, 1)))
  const sizes = await Promise.all(
    Array.from({ length: core.length }, async (_, seq) => (await core.get(seq))?.byteLength ?? 0)
  )
  assert.ok((sizes.at(-1) ?? 0) < 8 * 1024, `the root's block: ${sizes.at(-1)} bytes`)
  assert.ok(Math.max(...sizes) < 38 * 1024, `the largest: ${Math.max(...sizes)} bytes`)
  const before = core.length
  // Some of each leaf: several leaves to a block.
  await writer.append(Array.from({ length: 500 }, (_, i) => entry(i * 10, 2)))
  assert.ok(core.length - before < 8, `${core.length - before} blocks`)
})

test('who hears of an append of ours has the new tree in memory', async () => {
  const { core, writer } = await newLog()
  await writer.append(Array.from({ length: 1000 }, (_, i) => putNumber(i)))
  const found: unknown[] = []
  const reader = new LogReader(core, () => found.push(writer.snapshot().get(putNumber(7).key)), {
    writer
  })
  const { key } = putNumber(7)
  for (const fill of [1, 2, 3]) await writer.append([{ key, value: b4a.alloc(8, fill) }])
  assert.equal(
    found,
    [1, 2, 3].map((fill, i) => ({ key, value: b4a.alloc(8, fill), seq: core.length - 3 + i }))
  )
  await reader.close()
})

test.run()

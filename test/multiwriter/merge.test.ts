import fc from 'fast-check'
import { Readable } from 'node:stream'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
// @ts-expect-error: CommonJS without type declarations
import UntypedUnionStream from 'sorted-union-stream'
import { iterate, type Cursor } from '../../multiwriter/cursor.ts'
import { mergeSorted, type Group } from '../../multiwriter/merge.ts'
import { mergeSlowly } from '../oracle/merge.ts'

interface Item {
  readonly key: number
  readonly from: number
}

type Order = (a: Item, b: Item) => number

const rising: Order = (a, b) => a.key - b.key
const falling: Order = (a, b) => b.key - a.key

/** A source over a list that keeps count of what is done with it. */
class Probe implements Cursor<Item> {
  readonly asked: number[] = []
  given = 0
  closes = 0
  #isPending = false
  #isEnded = false
  readonly #items: readonly Item[]
  readonly #options: ProbeOptions

  constructor(items: readonly Item[], options: ProbeOptions = {}) {
    this.#items = items
    this.#options = options
  }

  nextBatch(size: number): readonly Item[] | Promise<readonly Item[]> {
    assert.not(this.#isPending, 'called before the previous call had settled')
    assert.not(this.#isEnded, 'called after the end')
    assert.is(this.closes, 0, 'called after close')
    const { mostAtOnce = Infinity, isAsync = false, before = () => {} } = this.#options
    this.asked.push(size)
    before(this)
    const batch = this.#items.slice(this.given, this.given + Math.min(size, mostAtOnce))
    this.given += batch.length
    this.#isEnded = batch.length === 0
    return isAsync ? this.#later(batch) : batch
  }

  close(): void | Promise<void> {
    this.closes++
    return this.#options.isAsync ? Promise.resolve() : undefined
  }

  async #later(batch: readonly Item[]): Promise<readonly Item[]> {
    this.#isPending = true
    await tick()
    this.#isPending = false
    return batch
  }
}

interface ProbeOptions {
  readonly mostAtOnce?: number
  readonly isAsync?: boolean
  /** Runs inside each call, before anything is given. */
  readonly before?: (probe: Probe) => void
}

/** A source whose batches come when the test says so. */
class Gate implements Cursor<Item> {
  calls = 0
  closes = 0
  #open: { give: (batch: readonly Item[]) => void; fail: (error: Error) => void } | undefined

  nextBatch(): Promise<readonly Item[]> {
    this.calls++
    return new Promise((give, fail) => (this.#open = { give, fail }))
  }

  close(): void {
    this.closes++
  }

  give(...keys: number[]): void {
    this.#open!.give(list(...keys))
  }

  fail(error: Error): void {
    this.#open!.fail(error)
  }
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const list = (...keys: number[]): Item[] => keys.map((key) => ({ key, from: 0 }))

/** `count` keys from `start`, `step` apart. */
const keysFrom = (start: number, step: number, count: number): Item[] =>
  Array.from({ length: count }, (_, i) => ({ key: start + i * step, from: start }))

async function readAll<T>(cursor: Cursor<T>, size = 256): Promise<T[]> {
  const all: T[] = []
  for (;;) {
    const batch = await cursor.nextBatch(size)
    if (batch.length === 0) return all
    assert.ok(batch.length <= size, 'a batch is never larger than asked')
    all.push(...batch)
  }
}

const keysOf = (groups: readonly Group<Item>[]): number[] => groups.map((g) => g.items[0]!.key)

async function errorOf(run: () => unknown): Promise<Error> {
  try {
    await run()
  } catch (error) {
    assert.instance(error, Error)
    return error as Error
  }
  throw new Error('expected a rejection')
}

const closesOf = (sources: readonly { closes: number }[]): number[] => sources.map((s) => s.closes)

/** Over few keys, so that most are shared; some over many, longer than a batch; some empty. */
const someLists = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: someKeys(120, 90) },
      { weight: 2, arbitrary: someKeys(5000, 600) },
      { weight: 1, arbitrary: fc.constant<number[]>([]) }
    ),
    { maxLength: 12, size: 'max' }
  )
  .map((lists) => lists.map((keys, from) => keys.map((key) => ({ key, from }))))

function someKeys(max: number, maxLength: number): fc.Arbitrary<number[]> {
  return fc.uniqueArray(fc.integer({ min: 0, max }), { maxLength, size: 'max' })
}

test('merge: equals concatenate, sort, group, whatever the batches, the limit and the direction', async () => {
  await fc.assert(
    fc.asyncProperty(
      someLists,
      fc.boolean(),
      fc.option(fc.nat(150), { nil: Infinity }),
      fc.integer({ min: 1, max: 300 }),
      fc.infiniteStream(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.boolean())),
      async (lists, isReverse, limit, size, batches) => {
        const compare = isReverse ? falling : rising
        const sorted = lists.map((items) => items.toSorted(compare))
        const probes = sorted.map((items) => {
          const [mostAtOnce, isAsync] = batches.next().value
          return new Probe(items, { mostAtOnce, isAsync })
        })
        const groups = await readAll(mergeSorted(probes, { compare, limit }), size)
        assert.equal(groups, mergeSlowly(sorted, compare, limit))
        assert.ok(
          probes.every((probe) => probe.closes === 1),
          'every source is closed once'
        )
      }
    ),
    { numRuns: 400 }
  )
})

type Tagged = { readonly item: Item; readonly source: number }[]
type UnionOptions = {
  compare: (a: Tagged, b: Tagged) => number
  map: (a: Tagged | null, b: Tagged | null) => Tagged
}
const UnionStream: new (left: Readable, right: Readable, options: UnionOptions) => Readable =
  UntypedUnionStream

function unionStream(lists: readonly (readonly Item[])[]): Readable {
  const streams = lists.map((items, source) =>
    Readable.from(items.map((item) => [{ item, source }]))
  )
  return streams.reduce(
    (left, right) =>
      new UnionStream(left, right, {
        compare: (a, b) => rising(a[0]!.item, b[0]!.item),
        map: (a, b) => [...(a ?? []), ...(b ?? [])]
      })
  )
}

/** Short and few: it calls itself once per item and level, and 400 items of 3 sources overflow it. */
const fewLists = fc
  .array(someKeys(120, 60), { minLength: 2, maxLength: 5 })
  .map((lists) => lists.map((keys, from) => keys.map((key) => ({ key, from }))))

test('merge: equals sorted-union-stream, chained', async () => {
  await fc.assert(
    fc.asyncProperty(fewLists, async (lists) => {
      const sorted = lists.map((items) => items.toSorted(rising))
      const expected: Group<Item>[] = []
      for await (const tagged of unionStream(sorted) as AsyncIterable<Tagged>) {
        expected.push({ items: tagged.map((t) => t.item), sources: tagged.map((t) => t.source) })
      }
      const probes = sorted.map((items) => new Probe(items))
      assert.equal(await readAll(mergeSorted(probes, { compare: rising })), expected)
    }),
    { numRuns: 60 }
  )
})

test('merge: what stands at one key is one group, in the order of the sources', async () => {
  const lists = [list(2, 4), list(1, 2, 3), list(), list(2, 3)]
  const groups = await readAll(
    mergeSorted(
      lists.map((items) => new Probe(items)),
      { compare: rising }
    )
  )
  assert.equal(
    groups.map(({ items, sources }) => [items[0]!.key, ...sources]),
    [
      [1, 1],
      [2, 0, 1, 3],
      [3, 1, 3],
      [4, 0]
    ]
  )
})

test('merge: no source and only empty sources give the end at once', async () => {
  assert.equal(mergeSorted<Item>([], { compare: rising }).nextBatch(1), [])
  const probes = [new Probe([]), new Probe([]), new Probe([])]
  assert.equal(await readAll(mergeSorted(probes, { compare: rising })), [])
  assert.equal(closesOf(probes), [1, 1, 1])
})

test('merge: 1, 2, 3, 8, 255, 256 and 1000 sources', async () => {
  for (const count of [1, 2, 3, 8, 255, 256, 1000]) {
    const lists = Array.from({ length: count }, (_, i) => keysFrom(i, count - (i % 3), 40))
    const probes = lists.map((items, i) => new Probe(items, { isAsync: i % 2 === 0 }))
    const groups = await readAll(mergeSorted(probes, { compare: rising }))
    assert.equal(groups, mergeSlowly(lists, rising))
    assert.ok(probes.every((probe) => probe.closes === 1))
  }
})

test('merge: sources that all hold the same keys give one full group per key', async () => {
  const probes = Array.from({ length: 8 }, () => new Probe(keysFrom(0, 1, 1000)))
  const groups = await readAll(mergeSorted(probes, { compare: rising }))
  assert.is(groups.length, 1000)
  for (const { sources } of groups) assert.equal(sources, [0, 1, 2, 3, 4, 5, 6, 7])
})

test('merge: compares at most ceil(log2 k) times per item and a little for refills', async () => {
  for (const [count, depth] of [
    [1, 1],
    [2, 1],
    [8, 3],
    [256, 8]
  ] as const) {
    let compared = 0
    const compare: Order = (a, b) => (compared++, rising(a, b))
    const probes = Array.from({ length: count }, (_, i) => new Probe(keysFrom(i, count, 500)))
    await readAll(mergeSorted(probes, { compare }))
    const most = count * 500 * depth + count * 10
    assert.ok(compared <= most, `${count} sources: ${compared} comparisons, ${most} allowed`)
  }
})

test('back-pressure: nothing is pulled before the consumer asks', async () => {
  const probes = [new Probe(list(1)), new Probe(list(2))]
  const groups = iterate(mergeSorted(probes, { compare: rising }))
  await tick()
  assert.equal(
    probes.map((probe) => probe.asked),
    [[], []]
  )
  await groups.next()
  assert.equal(
    probes.map((probe) => probe.asked),
    [[16], [16]]
  )
  await groups.return!()
})

test('back-pressure: a source is pulled only when all that it gave was handed out', async () => {
  await fc.assert(
    fc.asyncProperty(
      someLists,
      fc.integer({ min: 1, max: 300 }),
      fc.boolean(),
      async (lists, size, isAsync) => {
        const handedOut = lists.map(() => 0)
        const probes = lists.map((items, source) => {
          const before = (probe: Probe): void => assert.is(probe.given, handedOut[source])
          return new Probe(items.toSorted(rising), { isAsync, before })
        })
        const merge = mergeSorted(probes, { compare: rising })
        for (;;) {
          const groups = await merge.nextBatch(size)
          if (groups.length === 0) break
          for (const { sources } of groups) for (const source of sources) handedOut[source]!++
        }
        assert.equal(
          handedOut,
          lists.map((items) => items.length)
        )
      }
    )
  )
})

test('back-pressure: ten entries of 100,000 cost one batch of 16 per source', async () => {
  const probes = [0, 1].map((start) => new Probe(keysFrom(start, 2, 50_000)))
  let taken = 0
  for await (const _ of iterate(mergeSorted(probes, { compare: rising }))) if (++taken === 10) break
  assert.equal(
    probes.map((probe) => probe.asked),
    [[16], [16]]
  )
})

test('back-pressure: a quiet source is not pulled again because a busy one is', async () => {
  const busy = new Probe(keysFrom(0, 1, 5000))
  const quiet = new Probe(keysFrom(6000, 1, 100))
  const merge = mergeSorted([busy, quiet], { compare: rising })
  for (let taken = 0; taken < 5000;) taken += (await merge.nextBatch(100)).length
  assert.equal(quiet.asked, [16])
  await merge.close()
})

test('batches: a source is asked for 16, then twice as much each time, up to 256', async () => {
  const probe = new Probe(keysFrom(0, 1, 2000))
  await readAll(mergeSorted([probe], { compare: rising }), 1)
  assert.equal(probe.asked, [16, 32, 64, 128, 256, 256, 256, 256, 256, 256, 256, 256])
})

test('batches: known groups do not wait for a slow source', async () => {
  const gate = new Gate()
  const merge = mergeSorted([new Probe(list(1, 2, 3, 9)), gate], { compare: rising })
  const first = merge.nextBatch(100)
  gate.give(2, 4)
  assert.equal(keysOf(await first), [1, 2, 3, 4])
  assert.is(gate.calls, 1, 'the refill waits for somebody to ask')
  const second = merge.nextBatch(100)
  gate.give()
  assert.equal(keysOf(await second), [9])
})

test('limit: no source is asked for more than may still be given', async () => {
  const probe = new Probe(keysFrom(0, 1, 1000))
  await readAll(mergeSorted([probe], { compare: rising, limit: 5 }))
  assert.equal(probe.asked, [5])

  const longer = new Probe(keysFrom(0, 1, 1000))
  await readAll(mergeSorted([longer], { compare: rising, limit: 60 }))
  assert.equal(longer.asked, [16, 32, 12])
})

test('limit: counts groups, not items', async () => {
  const probes = Array.from({ length: 4 }, () => new Probe(keysFrom(0, 1, 100)))
  const groups = await readAll(mergeSorted(probes, { compare: rising, limit: 20 }))
  assert.is(groups.length, 20)
  assert.is(groups[19]!.items.length, 4)
})

test('limit: 0 pulls nothing and closes every source', async () => {
  const probes = [new Probe(list(1)), new Probe(list(1))]
  assert.equal(await readAll(mergeSorted(probes, { compare: rising, limit: 0 })), [])
  assert.equal(
    probes.map((probe) => probe.asked),
    [[], []]
  )
  assert.equal(closesOf(probes), [1, 1])
})

test('limit: what is not a number of groups is refused', () => {
  for (const limit of [-1, 1.5, NaN]) {
    assert.throws(() => mergeSorted([], { compare: rising, limit }), /"limit" expected/)
  }
})

test('refill: all sources that have run dry are pulled at once', async () => {
  const gates = Array.from({ length: 8 }, () => new Gate())
  const merge = mergeSorted(gates, { compare: rising })
  const first = merge.nextBatch(256)
  assert.ok(gates.every((gate) => gate.calls === 1))
  for (const gate of gates) gate.give(1, 2)
  assert.equal(keysOf(await first), [1, 2])

  // All of them have given their last item in the same group.
  const second = merge.nextBatch(256)
  assert.ok(gates.every((gate) => gate.calls === 2))
  for (const gate of gates) gate.give()
  assert.equal(await second, [])
})

test('promises: synchronous sources are merged without any', () => {
  const probes = Array.from({ length: 8 }, (_, i) => new Probe(keysFrom(i, 8, 2000)))
  const merge = mergeSorted(probes, { compare: rising })
  let items = 0
  for (;;) {
    const groups = merge.nextBatch(256)
    assert.ok(Array.isArray(groups), 'an array, not a promise')
    if (Array.isArray(groups) && groups.length === 0) break
    if (Array.isArray(groups)) items += groups.length
  }
  assert.is(items, 16_000)
  assert.ok(
    probes.every((probe) => probe.closes === 1),
    'the end closes synchronously too'
  )
})

test('promises: asynchronous sources cost at most one wait per refill, none per item', async () => {
  const lists = Array.from({ length: 8 }, (_, i) => keysFrom(i, 8, 2000))
  const probes = lists.map((items) => new Probe(items, { isAsync: true }))
  const merge = mergeSorted(probes, { compare: rising })
  let waits = 0
  for (;;) {
    let groups = merge.nextBatch(64)
    if (!Array.isArray(groups)) {
      waits++
      groups = await groups
    }
    if (groups.length === 0) break
  }
  const pulls = probes.reduce((sum, probe) => sum + probe.asked.length, 0)
  assert.ok(waits <= pulls + 1, `${waits} waits, ${pulls} pulls`)
  assert.ok(waits < 16_000 / 50)
})

test('close: leaving a loop closes every source once', async () => {
  const probes = [0, 1, 2].map((start) => new Probe(keysFrom(start, 3, 100), { isAsync: true }))
  const merge = mergeSorted(probes, { compare: rising })
  for await (const { items } of iterate(merge)) if (items[0]!.key === 20) break
  assert.equal(closesOf(probes), [1, 1, 1])
  await merge.close()
  assert.equal(closesOf(probes), [1, 1, 1])
  assert.equal(await merge.nextBatch(1), [])
})

test('close: an iterator that was never started closes every source too', async () => {
  const probes = [new Probe(list(1)), new Probe(list(2))]
  const groups = iterate(mergeSorted(probes, { compare: rising }))
  assert.equal(await groups.return!(), { done: true, value: undefined })
  assert.equal(closesOf(probes), [1, 1])
  assert.equal(await groups.next(), { done: true, value: undefined })
  assert.equal(
    probes.map((probe) => probe.asked),
    [[], []]
  )
})

test('close: while a batch is pending it ends that batch, whatever becomes of it', async () => {
  for (const outcome of ['gives', 'fails']) {
    const gates = [new Gate(), new Gate()]
    const groups = iterate(mergeSorted(gates, { compare: rising }))
    const pending = groups.next()
    await groups.return!()
    assert.equal(closesOf(gates), [1, 1], 'return does not wait for the sources')
    gates[0]!.give(1)
    if (outcome === 'gives') gates[1]!.give(2)
    else gates[1]!.fail(new Error('closed'))
    assert.equal(await pending, { done: true, value: undefined })
    assert.equal(closesOf(gates), [1, 1])
  }
})

test('close: a batch that is pending in the merge itself becomes the end', async () => {
  for (const outcome of ['gives', 'fails']) {
    const gate = new Gate()
    const merge = mergeSorted([gate, new Probe(list(5))], { compare: rising })
    const pending = merge.nextBatch(1)
    await merge.close()
    if (outcome === 'gives') gate.give(1)
    else gate.fail(new Error('closed'))
    assert.equal(await pending, [])
    assert.is(gate.closes, 1)
  }
})

test('close: a source that fails to close keeps no other one open, and the failure is told', async () => {
  for (const isAsync of [false, true]) {
    const probes = [new Probe(list(1)), new Probe(list(2)), new Probe(list(3))]
    probes[1]!.close = () => {
      probes[1]!.closes++
      if (isAsync) return Promise.reject(new Error('stuck'))
      throw new Error('stuck')
    }
    const merge = mergeSorted(probes, { compare: rising })
    assert.is((await errorOf(() => readAll(iterateBack(iterate(merge))))).message, 'stuck')
    assert.equal(closesOf(probes), [1, 1, 1])
  }
})

/** A cursor again, so that the failure has to come through the iterator. */
function iterateBack<T>(items: AsyncIterator<T>): Cursor<T> {
  return {
    async nextBatch() {
      const result = await items.next()
      return result.done === true ? [] : [result.value]
    },
    close() {}
  }
}

test('failure: of a source closes every source once and is delivered once', async () => {
  const failures: ((probe: Probe) => Cursor<Item>['nextBatch'])[] = [
    () => () => {
      throw new Error('lost')
    },
    () => () => Promise.reject(new Error('lost')),
    // The second batch fails, after groups have been given.
    (probe) => {
      const nextBatch = probe.nextBatch.bind(probe)
      return (size) => (size === 16 ? nextBatch(size) : Promise.reject(new Error('lost')))
    }
  ]
  for (const failure of failures) {
    const probes = [0, 1, 2].map((start) => new Probe(keysFrom(start, 3, 100), { isAsync: true }))
    probes[1]!.nextBatch = failure(probes[1]!)
    const merge = mergeSorted(probes, { compare: rising })
    assert.is((await errorOf(() => readAll(merge))).message, 'lost')
    assert.equal(closesOf(probes), [1, 1, 1])
    assert.equal(await merge.nextBatch(1), [], 'it stays closed')
    await merge.close()
    assert.equal(closesOf(probes), [1, 1, 1])
  }
})

test('failure: does not wait for the other sources, and theirs are not delivered', async () => {
  const gates = [new Gate(), new Gate(), new Gate()]
  const groups = iterate(mergeSorted(gates, { compare: rising }))
  const pending = groups.next()
  gates[2]!.fail(new Error('first'))
  assert.is((await errorOf(() => pending)).message, 'first')
  assert.equal(closesOf(gates), [1, 1, 1])
  gates[0]!.fail(new Error('second'))
  gates[1]!.give(1)
  await tick()
  assert.equal(await groups.next(), { done: true, value: undefined })
})

test('failure: of the comparison closes every source and is a rejection', async () => {
  const probes = [new Probe(list(1)), new Probe(list(2))]
  const merge = mergeSorted(probes, {
    compare: () => {
      throw new Error('no order')
    }
  })
  const batch = merge.nextBatch(1)
  assert.is((await errorOf(() => batch)).message, 'no order')
  assert.equal(closesOf(probes), [1, 1])
})

test('order: keys that do not rise are refused, naming the source', async () => {
  const many = keysFrom(0, 1, 300)
  const cases: [string, Item[][], number][] = [
    ['a key twice', [list(1, 5), list(2, 2, 3)], 1],
    ['a falling key', [list(1, 9), list(2, 3), list(4, 3, 8)], 2],
    ['alone', [list(1, 2, 2)], 0],
    ['the last one left', [list(1), list(2, 3, 1)], 1],
    ['within a shared key', [list(4, 4), list(4, 6)], 0],
    ['after a shared key', [list(4, 6), list(4, 4)], 1],
    ['at the start of a batch', [many.with(16, list(3)[0]!), keysFrom(1000, 1, 9)], 0],
    ['the same key at the start of a batch', [list(0, 99), many.with(16, list(15)[0]!)], 1],
    ['at the start of a batch, after a shared key', [many, many.with(16, list(7)[0]!)], 1],
    ['at the start of a batch, alone', [many.with(48, list(47)[0]!)], 0]
  ]
  for (const [name, lists, source] of cases) {
    for (const size of [1, 256]) {
      const probes = lists.map((items) => new Probe(items))
      const error = await errorOf(() => readAll(mergeSorted(probes, { compare: rising }), size))
      assert.match(error.message, `Source ${source} is out of order`, name)
      assert.ok(
        probes.every((probe) => probe.closes === 1),
        name
      )
    }
  }
})

test('order: no disorder passes: either it is refused or the result is that of the twin', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 8 }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 4 }),
      async (keys, mostAtOnce) => {
        const lists = keys.map((k) => list(...k))
        const probes = lists.map((items) => new Probe(items, { mostAtOnce }))
        const outcome = readAll(mergeSorted(probes, { compare: rising }))
        const isSorted = keys.every((k) => k.every((key, i) => i === 0 || k[i - 1]! < key))
        if (isSorted) assert.equal(await outcome, mergeSlowly(lists, rising))
        else assert.match((await errorOf(() => outcome)).message, /^Source \d is out of order/)
      }
    ),
    { numRuns: 1000 }
  )
})

test('misuse: a call before the previous one has settled is refused and harms nothing', async () => {
  const gate = new Gate()
  const merge = mergeSorted([gate], { compare: rising })
  const first = merge.nextBatch(4)
  assert.match((await errorOf(() => merge.nextBatch(4))).message, 'before the previous call')
  gate.give(1, 2)
  assert.equal(keysOf(await first), [1, 2])
  await merge.close()
})

test('misuse: a size that is not a positive integer is refused', async () => {
  const merge = mergeSorted([new Probe(list(1))], { compare: rising })
  for (const size of [0, -1, 1.5, NaN]) {
    assert.instance(await errorOf(() => merge.nextBatch(size)), TypeError)
  }
  assert.is((await readAll(merge)).length, 1)
})

test('iterate: reads any cursor in growing batches and closes it at the end', async () => {
  const probe = new Probe(keysFrom(0, 1, 100))
  const keys: number[] = []
  for await (const { key } of iterate(probe)) keys.push(key)
  assert.equal(
    keys,
    Array.from({ length: 100 }, (_, i) => i)
  )
  assert.equal(probe.asked, [16, 32, 64, 128])
  assert.is(probe.closes, 1)
})

test('iterate: calls that overlap take their turns', async () => {
  const items = iterate(new Probe(keysFrom(0, 1, 50), { isAsync: true, mostAtOnce: 7 }))
  const results = await Promise.all(Array.from({ length: 52 }, () => items.next()))
  assert.equal(
    results.map(({ value }) => value?.key),
    [...keysFrom(0, 1, 50).map(({ key }) => key), undefined, undefined]
  )
})

test('iterate: no call overtakes another, whenever it comes', async () => {
  const gate = new Gate()
  const items = iterate(gate)
  const calls = [items.next(), items.next()]
  gate.give(...Array.from({ length: 12 }, (_, i) => i))
  // One call in each microtask around the moment at which the batch arrives.
  while (calls.length < 12) {
    await Promise.resolve()
    calls.push(items.next())
  }
  const keys = (await Promise.all(calls)).map(({ value }) => value?.key)
  assert.equal(keys, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
})

test('iterate: a failure reaches one of the overlapping calls, the others get the end', async () => {
  const gate = new Gate()
  const items = iterate(gate)
  const calls = [items.next(), items.next(), items.next()]
  gate.fail(new Error('lost'))
  const outcomes = await Promise.allSettled(calls)
  assert.equal(
    outcomes.map(({ status }) => status),
    ['rejected', 'fulfilled', 'fulfilled']
  )
  assert.is(gate.closes, 1)
})

test.run()

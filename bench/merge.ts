/**
 * The merge alone: how many entries per second go from k sorted lists in memory to groups by key.
 *
 * One key in ten stands in two sources. Every competitor has to deliver the groups. What it is
 * measured against: `sorted-union-stream`, nested as a chain and as a balanced tree, with a group
 * per item made beforehand (so it allocates only for shared keys); and the heap that one writes
 * first, which awaits each item. Keys are numbers (the cost of the machinery) or bytes compared by
 * `b4a` (as in real life).
 */
import b4a from 'b4a'
import { createRequire } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import { iterate, type Cursor } from '../multiwriter/cursor.ts'
import { mergeSorted, type Group } from '../multiwriter/merge.ts'
import {
  formatRate,
  race,
  report,
  type BenchOptions,
  type Competitor,
  type Table
} from './harness.ts'

/** Several times what the fastest local store delivers: no scan shall wait for the merge. */
const GOAL = { sources: 8, rate: 3e6 }

const SOURCES = [2, 8, 32, 256]

interface Item<K> {
  readonly key: K
  readonly value: number
}

interface Kind<K> {
  readonly name: string
  readonly keyOf: (i: number) => K
  readonly compare: (a: Item<K>, b: Item<K>) => number
}

const numbers: Kind<number> = {
  name: 'number keys',
  keyOf: (i) => i,
  compare: (a, b) => a.key - b.key
}

const bytes: Kind<Uint8Array> = {
  name: 'byte keys',
  keyOf: (i) => b4a.from(`contacts/${String(i).padStart(10, '0')}`),
  compare: (a, b) => b4a.compare(a.key, b.key)
}

export default async function bench(options: BenchOptions): Promise<void> {
  const tables: Table[] = []
  const verdicts: string[] = []
  for (const count of SOURCES) {
    const plain = await raceOver(numbers, count, options)
    const real = await raceOver(bytes, count, options)
    tables.push(plain, real)
    if (count === GOAL.sources) verdicts.push(verdictOn(plain), verdictOn(real))
  }
  await report('merge', options, {
    tables,
    notes: [...verdicts, ...overflowsIn(tables)],
    packages: ['sorted-union-stream', 'streamx', 'b4a']
  })
}

function raceOver<K>(kind: Kind<K>, count: number, { quick }: BenchOptions): Promise<Table> {
  const lists = spread(kind, count, quick ? 40_000 : 200_000)
  const entries = lists.reduce((sum, list) => sum + list.length, 0)
  const competitors = competitorsOver(lists, kind.compare).map(({ name, read }) => ({
    name,
    run: async () => expectAll(entries, await read())
  }))
  return race(`${count} sources, ${kind.name}`, competitors, {
    baseline: NAIVE,
    units: entries,
    unit: 'entries',
    rounds: quick ? 3 : 7,
    atLeast: quick ? 0.05 : 0.3
  })
}

const OURS = 'mergeSorted'
const NAIVE = 'awaited heap'

interface Reader {
  readonly name: Competitor['name']
  /** Gives back the number of entries seen. */
  readonly read: () => Promise<number>
}

function competitorsOver<K>(lists: Item<K>[][], compare: Kind<K>['compare']): Reader[] {
  const merge = (cursorOf: (list: Item<K>[]) => Cursor<Item<K>>): Cursor<Group<Item<K>>> =>
    mergeSorted(lists.map(cursorOf), { compare })
  const grouped = lists.map((list, at) => list.map((item) => ({ items: [item], sources: [at] })))
  return [
    { name: OURS, read: () => readBatches(merge(syncCursor)) },
    { name: `${OURS}, promised batches`, read: () => readBatches(merge(asyncCursor)) },
    { name: `${OURS}, for await`, read: () => readEach(iterate(merge(syncCursor))) },
    { name: NAIVE, read: () => readEach(mergeAwaiting(lists, compare)) },
    { name: 'sorted-union-stream, chain', read: () => readUnion(chain(grouped, compare)) },
    { name: 'sorted-union-stream, tree', read: () => readUnion(balance(grouped, compare)) }
  ]
}

/** `entries` keys dealt at random to `count` lists, one in ten of them to two lists. */
function spread<K>({ keyOf }: Kind<K>, count: number, entries: number): Item<K>[][] {
  const lists: Item<K>[][] = Array.from({ length: count }, () => [])
  const random = generator(1)
  for (let i = 0; i < entries; i++) {
    const at = random() % count
    lists[at]!.push({ key: keyOf(i), value: i })
    // Keys of their own: equal bytes in one buffer would compare too fast.
    if (i % 10 === 0) lists[(at + 1) % count]!.push({ key: keyOf(i), value: i })
  }
  return lists
}

/** A linear congruential generator: the same lists in every run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 8
  }
}

function expectAll(expected: number, seen: number): void {
  if (seen !== expected) throw new Error(`saw ${seen} of ${expected} entries`)
}

function syncCursor<T>(list: readonly T[]): Cursor<T> {
  let at = 0
  return {
    nextBatch(size) {
      const batch = list.slice(at, at + size)
      at += batch.length
      return batch
    },
    close() {}
  }
}

function asyncCursor<T>(list: readonly T[]): Cursor<T> {
  const cursor = syncCursor(list)
  return { nextBatch: async (size) => cursor.nextBatch(size), close: () => cursor.close() }
}

async function readBatches<T>(groups: Cursor<Group<T>>): Promise<number> {
  let seen = 0
  for (;;) {
    const batch = groups.nextBatch(256)
    const ready = 'then' in batch ? await batch : batch
    if (ready.length === 0) return seen
    for (const { items } of ready) seen += items.length
  }
}

async function readEach<T>(groups: AsyncIterable<Group<T>>): Promise<number> {
  let seen = 0
  for await (const { items } of groups) seen += items.length
  return seen
}

/** The heap one writes first: an async iterator per source, one promise per item. */
async function* mergeAwaiting<T>(
  lists: readonly (readonly T[])[],
  compare: (a: T, b: T) => number
): AsyncGenerator<Group<T>> {
  const heap: Head<T>[] = []
  for (const [source, list] of lists.entries()) {
    const items = iterateOneByOne(list)
    const first = await items.next()
    if (first.done !== true) heap.push({ item: first.value, source, items })
  }
  const isBelow = (a: Head<T>, b: Head<T>): boolean => {
    const order = compare(a.item, b.item)
    return order < 0 || (order === 0 && a.source < b.source)
  }
  for (let at = heap.length >> 1; at >= 0; at--) siftDown(heap, at, isBelow)

  while (heap.length > 0) {
    const group = { items: [heap[0]!.item], sources: [heap[0]!.source] }
    await advanceTop(heap, isBelow)
    while (heap.length > 0 && compare(heap[0]!.item, group.items[0]!) === 0) {
      group.items.push(heap[0]!.item)
      group.sources.push(heap[0]!.source)
      await advanceTop(heap, isBelow)
    }
    yield group
  }
}

interface Head<T> {
  item: T
  readonly source: number
  readonly items: AsyncIterator<T>
}

async function* iterateOneByOne<T>(list: readonly T[]): AsyncGenerator<T> {
  yield* list
}

type IsBelow<T> = (a: Head<T>, b: Head<T>) => boolean

async function advanceTop<T>(heap: Head<T>[], isBelow: IsBelow<T>): Promise<void> {
  const top = heap[0]!
  const next = await top.items.next()
  if (next.done !== true) {
    top.item = next.value
  } else {
    const last = heap.pop()!
    if (heap.length === 0) return
    heap[0] = last
  }
  siftDown(heap, 0, isBelow)
}

function siftDown<T>(heap: Head<T>[], start: number, isBelow: IsBelow<T>): void {
  for (let at = start; ;) {
    let least = at
    for (const child of [2 * at + 1, 2 * at + 2]) {
      if (child < heap.length && isBelow(heap[child]!, heap[least]!)) least = child
    }
    if (least === at) return
    ;[heap[at], heap[least]] = [heap[least]!, heap[at]!]
    at = least
  }
}

/** As much of a streamx stream as is used here. */
interface Stream<T> {
  on(event: 'data', listener: (data: T) => void): void
  on(event: 'end' | 'close', listener: () => void): void
  on(event: 'error', listener: (error: Error) => void): void
  destroy(): void
}

interface UnionOptions<T> {
  readonly compare: (a: T, b: T) => number
  readonly map: (a: T | null, b: T | null) => T | null
}

/** `sorted-union-stream` wants streamx streams, and the very streamx it comes with. */
const require = createRequire(import.meta.url)
const Union: new <T>(
  left: Stream<T>,
  right: Stream<T>,
  options: UnionOptions<T>
) => Stream<T> = require('sorted-union-stream')
const { Readable }: { Readable: { from: <T>(list: readonly T[]) => Stream<T> } } = createRequire(
  require.resolve('sorted-union-stream')
)('streamx')

function unionOptions<T>(compare: (a: T, b: T) => number): UnionOptions<Group<T>> {
  return {
    compare: (a, b) => compare(a.items[0]!, b.items[0]!),
    map(a, b) {
      if (a === null || b === null) return a ?? b
      return { items: [...a.items, ...b.items], sources: [...a.sources, ...b.sources] }
    }
  }
}

function chain<T>(grouped: Group<T>[][], compare: (a: T, b: T) => number): Stream<Group<T>> {
  const options = unionOptions(compare)
  return grouped
    .map((groups) => Readable.from(groups))
    .reduce((left, right) => new Union(left, right, options))
}

function balance<T>(grouped: Group<T>[][], compare: (a: T, b: T) => number): Stream<Group<T>> {
  if (grouped.length === 1) return Readable.from(grouped[0]!)
  const middle = grouped.length >> 1
  const left = balance(grouped.slice(0, middle), compare)
  const right = balance(grouped.slice(middle), compare)
  return new Union(left, right, unionOptions(compare))
}

/**
 * Its overflow is thrown from a microtask, where no `catch` reaches: it is caught where the process
 * would die, and the trap stays until the wreck, which goes on throwing, is cleared away.
 */
async function readUnion<T>(union: Stream<Group<T>>): Promise<number> {
  let trap: (error: Error) => void = () => {}
  try {
    return await new Promise<number>((resolve, reject) => {
      let seen = 0
      trap = reject
      process.on('uncaughtException', trap)
      union.on('data', ({ items }) => (seen += items.length))
      union.on('end', () => resolve(seen))
      union.on('error', reject)
    })
  } catch (error) {
    union.destroy()
    await setTimeout(100)
    throw error
  } finally {
    process.off('uncaughtException', trap)
  }
}

function verdictOn({ title, rows }: Table): string {
  const median = rows.find(({ name }) => name === OURS)?.rates?.median ?? 0
  const verdict = median >= GOAL.rate ? 'met' : 'MISSED'
  return `goal of ${formatRate(GOAL.rate)} entries/s, ${title}: ${verdict}, ${formatRate(median)}/s`
}

/** In a fresh process it overflows earlier: code that is compiled takes less of the stack. */
function overflowsIn(tables: readonly Table[]): string[] {
  const overflows = tables.flatMap(({ title, rows }) =>
    rows.filter(({ note }) => note?.includes('call stack')).map(({ name }) => `${name} (${title})`)
  )
  return overflows.length === 0 ? [] : [`overflows the stack: ${overflows.join('; ')}`]
}

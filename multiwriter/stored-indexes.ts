/**
 * Secondary indexes kept in the store of the local index (local-index.ts), beside the rows that they stand on.
 *
 * An index row says: at this key some core's entry has this value. It does not say that it shows: reading looks the key up and
 * folds it, by the same code as everywhere. What shows at a path stands in one entry whole (an index orders what has no fields), so
 * no merge can show what no row names. So index rows are a pure function of the row of their key, whatever the fold,
 * and are written in one batch with it.
 *
 * An index is made when it is first read: from then on every write maintains it, and all rows are gone through once; only then it
 * is marked as built. Cut short, it lacks rows but has no wrong ones, and is gone through again. One that a sub-database has not
 * been asked for, while it was asked for others, in so many sessions in a row is dropped.
 *
 *     definition  0x04, prefix length u16, prefix of the sub-database, path   number uint, built u8, missed uint
 *     index row   0x05, number u32, indexed value, key behind the prefix      empty
 *
 * Costs one row per different value among all cores' entries at a key.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { unpackEntry, valueAlone, type Value } from '../crdt/index.ts'
import type { OrderedChange, OrderedRow, OrderedStore, TreeRange } from '../core/index.ts'
import { SetHash } from './check-index.ts'
import { iterate, type Cursor } from './cursor.ts'
import { indexedValues, parseIndexPaths, type IndexPath } from './index-path.ts'
import { orderedLength } from './ordered-value.ts'

const DEFINITION = 0x04
const INDEX_ROW = 0x05

/** The longest prefix is 1026 bytes. */
const PREFIX_LENGTH_BYTES = 2
const NUMBER_BYTES = 4

/** Rows gone through, or deleted, between two writes. */
const ROWS_PER_WRITE = 1024

/** An application of an older version may still be started now and then. */
const MAX_MISSED = 8

/** What is indexed: a path of the entries of one sub-database. */
export interface IndexDefinition {
  /** What all keys of the sub-database begin with. */
  readonly prefix: Uint8Array
  readonly path: IndexPath
}

/** A key under one of the values that some core says it has. */
export interface IndexRow {
  readonly bytes: Uint8Array
  readonly key: Uint8Array
}

/** The row of a key: what every core says there, as entries. */
export interface RowEntries {
  readonly key: Uint8Array
  readonly entries: readonly Uint8Array[]
}

interface Stored extends IndexDefinition {
  readonly number: number
  readonly isBuilt: boolean
  /** Sessions in a row that used the sub-database's indexes, but not this one. */
  readonly missed: number
}

/** A comparison of the indexes with the rows of keys, all of which are shown to `expect` first. */
export interface IndexesCheck {
  expect(key: Uint8Array, entries: readonly Uint8Array[]): void
  differences(signal?: AbortSignal): Promise<readonly string[]>
  close(): Promise<void>
}

export class StoredIndexes {
  readonly #store: OrderedStore
  #stored: readonly Stored[]
  /** Sub-databases whose indexes were used since opening. */
  readonly #used = new Set<string>()

  static async open(store: OrderedStore): Promise<StoredIndexes> {
    const stored: Stored[] = []
    const range = { gte: b4a.from([DEFINITION]), lt: b4a.from([DEFINITION + 1]) }
    for await (const rows of batchesOf(store, range))
      stored.push(...rows.map(([key, value]) => decodeDefinition(key, value)))
    return new StoredIndexes(store, stored)
  }

  /** @param stored none, for a store that is empty */
  constructor(store: OrderedStore, stored: readonly Stored[] = []) {
    this.#store = store
    this.#stored = stored
  }

  get isEmpty(): boolean {
    return this.#stored.length === 0
  }

  /** What changes in the indexes when a row does; to be written with it. */
  changes(
    key: Uint8Array,
    before: readonly Uint8Array[],
    after: readonly Uint8Array[]
  ): readonly OrderedChange[] {
    return this.#stored.flatMap((stored) => {
      if (!startsWith(key, stored.prefix)) return []
      const [was, is] = [rowsOf(stored, key, before), rowsOf(stored, key, after)]
      const gone = [...was].filter(([id]) => !is.has(id))
      const come = [...is].filter(([id]) => !was.has(id))
      return [
        ...gone.map(([, row]): OrderedChange => ({ key: row, value: null })),
        ...come.map(([, row]): OrderedChange => ({ key: row, value: EMPTY }))
      ]
    })
  }

  /** Whether an index can be read as it stands. */
  isReady(definition: IndexDefinition): boolean {
    return this.#used.has(idOf(definition)) && this.#find(definition)?.isBuilt === true
  }

  /**
   * Makes an index ready. Nothing else may be written meanwhile.
   * @param rows every row of a range
   * @returns false when it was stopped
   */
  async prepare(
    definition: IndexDefinition,
    rows: (range: TreeRange) => AsyncIterable<readonly RowEntries[]>,
    isStopped: () => boolean
  ): Promise<boolean> {
    await this.#countMissed(definition)
    const stored = this.#find(definition) ?? this.#next(definition)
    if (!stored.isBuilt) {
      await this.#save({ ...stored, missed: 0 })
      const range = { gte: stored.prefix, lt: after(stored.prefix) }
      for await (const batch of rows(range)) {
        if (isStopped()) return false
        await this.#store.write(
          batch.flatMap(({ key, entries }) =>
            [...rowsOf(stored, key, entries).values()].map((row) => ({ key: row, value: EMPTY }))
          )
        )
      }
    }
    if (!stored.isBuilt || stored.missed > 0)
      await this.#save({ ...stored, isBuilt: true, missed: 0 })
    this.#used.add(idOf(definition))
    return true
  }

  /** Keys in the order of the values in a range, and of the keys; as of now. */
  cursor(definition: IndexDefinition, range: TreeRange): Cursor<IndexRow> {
    const stored = this.#find(definition)
    if (stored === null) throw new Error('The index is not there')
    const cursor = this.#store.cursor(rangeOf(headOf(stored), range))
    return {
      nextBatch: async (size) =>
        (await cursor.nextBatch(size)).map(([key]) => decodeIndexRow(stored, key)),
      close: () => cursor.close()
    }
  }

  /** Compares the rows of all built indexes, as of now, with those that rows of keys make. */
  checker(): IndexesCheck {
    const built = this.#stored
      .filter(({ isBuilt }) => isBuilt)
      .map((stored) => ({
        stored,
        cursor: this.#store.cursor(rangeOf(headOf(stored), {})),
        expected: new SetHash()
      }))
    return {
      expect(key, entries) {
        for (const { stored, expected } of built) {
          if (!startsWith(key, stored.prefix)) continue
          for (const row of rowsOf(stored, key, entries).values()) expected.add(row)
        }
      },
      async differences(signal) {
        const told: string[] = []
        for (const { stored, cursor, expected } of built) {
          const found = new SetHash()
          for await (const [row] of iterate(cursor)) {
            signal?.throwIfAborted()
            found.add(row)
          }
          if (!found.equals(expected)) told.push(indexDifference(stored, found, expected))
        }
        return told
      },
      async close() {
        for (const { cursor } of built) await cursor.close()
      }
    }
  }

  #find({ prefix, path }: IndexDefinition): Stored | null {
    const isIt = (each: Stored) => each.path.text === path.text && b4a.equals(each.prefix, prefix)
    return this.#stored.find(isIt) ?? null
  }

  #next({ prefix, path }: IndexDefinition): Stored {
    const number = 1 + Math.max(0, ...this.#stored.map((each) => each.number))
    return { prefix, path, number, isBuilt: false, missed: 0 }
  }

  /** Once per session: all indexes of the sub-database are taken as missed, until they are used. */
  async #countMissed({ prefix }: IndexDefinition): Promise<void> {
    const id = b4a.toString(prefix, 'hex')
    if (this.#used.has(id)) return
    for (const stored of this.#stored.filter((each) => b4a.equals(each.prefix, prefix))) {
      if (stored.missed >= MAX_MISSED) await this.#drop(stored)
      else await this.#save({ ...stored, missed: stored.missed + 1 })
    }
    this.#used.add(id)
  }

  async #save(stored: Stored): Promise<void> {
    await this.#store.write([encodeDefinition(stored)])
    const others = this.#stored.filter(({ number }) => number !== stored.number)
    this.#stored = [...others, stored]
  }

  /** What is cut short here is an index that is not built. */
  async #drop(stored: Stored): Promise<void> {
    await this.#save({ ...stored, isBuilt: false })
    for await (const rows of batchesOf(this.#store, rangeOf(headOf(stored), {})))
      await this.#store.write(rows.map(([key]) => ({ key, value: null })))
    await this.#store.write([{ key: encodeDefinition(stored).key, value: null }])
    this.#stored = this.#stored.filter(({ number }) => number !== stored.number)
  }
}

function indexDifference({ path }: Stored, found: SetHash, expected: SetHash): string {
  const name = `The index of ${JSON.stringify(path.text)}`
  if (found.size === expected.size) return `${name} has other rows than the keys make`
  return `${name} has ${found.size} rows, where the keys make ${expected.size}`
}

/** Index rows of what all cores say at a key, by their bytes. */
function rowsOf(
  stored: Stored,
  key: Uint8Array,
  entries: readonly Uint8Array[]
): ReadonlyMap<string, Uint8Array> {
  const rows = new Map<string, Uint8Array>()
  const own = key.subarray(stored.prefix.byteLength)
  for (const entry of entries) {
    for (const { bytes } of indexedValues(valueOf(entry), stored.path)) {
      const row = b4a.concat([headOf(stored), bytes, own])
      rows.set(b4a.toString(row, 'latin1'), row)
    }
  }
  return rows
}

/** Null, which has no fields, for what cannot be read: then reading does not show it either. */
function valueOf(entry: Uint8Array): Value {
  const unpacked = unpackEntry(entry, NO_CORE, Number.MAX_SAFE_INTEGER, () => true)
  return unpacked.ok ? valueAlone(unpacked.entry) : null
}

/** Whose entry it is, and where it stands, matters to its heads only. */
const NO_CORE = new Uint8Array(32)

const EMPTY = new Uint8Array(0)

/** A sub-database, and an index of it. */
function idOf({ prefix, path }: IndexDefinition): string {
  return `${b4a.toString(prefix, 'hex')} ${path.text}`
}

function headOf({ number }: Stored): Uint8Array {
  const head = b4a.alloc(1 + NUMBER_BYTES)
  head[0] = INDEX_ROW
  new DataView(head.buffer, head.byteOffset).setUint32(1, number)
  return head
}

/** @throws Error on bytes that are no index row */
function decodeIndexRow({ prefix }: Stored, row: Uint8Array): IndexRow {
  const rest = row.subarray(1 + NUMBER_BYTES)
  const length = orderedLength(rest)
  if (length === null) throw new Error('Not an index row')
  return { bytes: rest.subarray(0, length), key: b4a.concat([prefix, rest.subarray(length)]) }
}

/** Bounds are values: all rows of one value begin with it, and no other row does. */
function rangeOf(head: Uint8Array, { gt, gte, lt, lte, reverse = false }: TreeRange): TreeRange {
  const from = gt !== undefined ? after(gt) : (gte ?? EMPTY)
  const to = lte !== undefined ? after(lte) : lt
  return {
    gte: b4a.concat([head, from]),
    lt: to === undefined ? after(head) : b4a.concat([head, to]),
    reverse
  }
}

/** The first bytes behind all those that begin with these. */
function after(bytes: Uint8Array): Uint8Array {
  const next = b4a.from(bytes)
  for (let i = next.byteLength - 1; i >= 0; i--) {
    const byte = next[i] ?? 0
    next[i] = (byte + 1) & 0xff
    if (byte < 0xff) return next
  }
  throw new Error('Nothing comes behind')
}

function encodeDefinition({ prefix, path, number, isBuilt, missed }: Stored): OrderedChange {
  const head = b4a.alloc(1 + PREFIX_LENGTH_BYTES)
  head[0] = DEFINITION
  new DataView(head.buffer, head.byteOffset).setUint16(1, prefix.byteLength)
  const state: State = { start: 0, end: 1, buffer: null }
  for (const each of [number, missed]) c.uint.preencode(state, each)
  state.buffer = b4a.alloc(state.end)
  c.uint.encode(state, number)
  c.uint8.encode(state, isBuilt ? 1 : 0)
  c.uint.encode(state, missed)
  return { key: b4a.concat([head, prefix, b4a.from(path.text)]), value: state.buffer }
}

/** @throws Error on bytes that are no definition */
function decodeDefinition(key: Uint8Array, value: Uint8Array): Stored {
  const start = 1 + PREFIX_LENGTH_BYTES
  const end = start + new DataView(key.buffer, key.byteOffset).getUint16(1)
  const [path] = parseIndexPaths([b4a.toString(key.subarray(end))])
  if (path === undefined) throw new Error('Not an index definition')
  const state = { start: 0, end: value.byteLength, buffer: value }
  const number = c.uint.decode(state)
  const isBuilt = c.uint8.decode(state) === 1
  return {
    prefix: b4a.from(key.subarray(start, end)),
    path,
    number,
    isBuilt,
    missed: c.uint.decode(state)
  }
}

function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return (
    key.byteLength > prefix.byteLength && b4a.equals(key.subarray(0, prefix.byteLength), prefix)
  )
}

/** The rows of a range, so many at a time. */
export async function* batchesOf(
  store: OrderedStore,
  range: TreeRange
): AsyncGenerator<readonly OrderedRow[]> {
  const cursor = store.cursor(range)
  try {
    for (;;) {
      const rows = await cursor.nextBatch(ROWS_PER_WRITE)
      if (rows.length === 0) return
      yield rows
    }
  } finally {
    await cursor.close()
  }
}

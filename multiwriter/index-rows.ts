/**
 * What stands in the store of a local index, and its bytes:
 *
 *     header   0x00                  format version u8, space 32 B
 *     cursor   0x01, core key 32 B   number uint, length uint, tree hash 32 B, [the length it is moving to, uint; its own: read anew]
 *     row      0x02, key of the bee  per core: number uint, seq uint, length uint, entry
 *     and secondary indexes          stored-indexes.ts
 *
 * Numbers stand for cores, so that a row names each in a byte or two. Derived data: bytes that do not parse throw, and who reads
 * them builds the index again.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import z32 from 'z32'
import type {
  OrderedChange,
  OrderedCursor,
  OrderedStore,
  TreeEntry,
  TreeRange
} from '../core/index.ts'
import type { Cursor } from './cursor.ts'
import { batchesOf, type RowEntries } from './stored-indexes.ts'

/** 2: index rows of entries that hold fields. */
export const VERSION = 2
export const HEADER_KEY = b4a.from([0x00])
const CURSOR = b4a.from([0x01])
export const ROW = b4a.from([0x02])
const ROW_END = b4a.from([0x03])

/** Where a core stands in the rows. */
export interface Place {
  /** What stands for the core in rows. */
  readonly number: number
  readonly length: number
  /**
   * Where a move that was cut short was going: rows stand between the two lengths. Its own length: they stand anywhere, and
   * have to be compared with the tree.
   */
  readonly movingTo: number | null
  /** At the greater of the lengths: it names the blocks up to both. */
  readonly treeHash: Uint8Array
}

/** Null when the store holds no index of this format and space. */
export async function readPlaces(
  store: OrderedStore,
  space: Uint8Array
): Promise<Map<string, Place> | null> {
  const header = await store.get(HEADER_KEY)
  if (header?.[0] !== VERSION || !b4a.equals(header.subarray(1), space)) return null
  const places = new Map<string, Place>()
  const cursor = store.cursor({ gte: CURSOR, lt: ROW })
  try {
    for (;;) {
      const rows = await cursor.nextBatch(256)
      if (rows.length === 0) return places
      for (const [key, value] of rows) places.set(z32.encode(key.subarray(1)), decodePlace(value))
    }
  } finally {
    await cursor.close()
  }
}

export function encodeCursor(core: Uint8Array, place: Place): OrderedChange {
  const { number, length, treeHash, movingTo } = place
  const state: State = { start: 0, end: treeHash.byteLength, buffer: null }
  const numbers = movingTo === null ? [number, length] : [number, length, movingTo]
  for (const each of numbers) c.uint.preencode(state, each)
  state.buffer = b4a.alloc(state.end)
  c.uint.encode(state, number)
  c.uint.encode(state, length)
  c.fixed32.encode(state, treeHash)
  if (movingTo !== null) c.uint.encode(state, movingTo)
  return { key: b4a.concat([CURSOR, core]), value: state.buffer }
}

function decodePlace(bytes: Uint8Array): Place {
  const state = { start: 0, end: bytes.byteLength, buffer: bytes }
  const number = c.uint.decode(state)
  const length = c.uint.decode(state)
  const treeHash = c.fixed32.decode(state)
  return {
    number,
    length,
    treeHash,
    movingTo: state.start < state.end ? c.uint.decode(state) : null
  }
}

/** What one core says at a row's key. */
export interface Item {
  readonly number: number
  readonly seq: number
  readonly value: Uint8Array
}

function encodeRow(items: readonly Item[]): Uint8Array {
  const state: State = { start: 0, end: 0, buffer: null }
  for (const { number, seq, value } of items) {
    c.uint.preencode(state, number)
    c.uint.preencode(state, seq)
    c.uint8array.preencode(state, value)
  }
  state.buffer = b4a.allocUnsafe(state.end)
  for (const { number, seq, value } of items) {
    c.uint.encode(state, number)
    c.uint.encode(state, seq)
    c.uint8array.encode(state, value)
  }
  return state.buffer
}

/** The usual row: one core says something. Null for every other. @throws Error on bytes that are no row */
export function onlyItem(bytes: Uint8Array): Item | null {
  const state = { start: 0, end: bytes.byteLength, buffer: bytes }
  const only = decodeItem(state)
  return state.start === state.end ? only : null
}

/** @throws Error on bytes that are no row */
export function decodeRow(bytes: Uint8Array | undefined): Item[] {
  if (bytes === undefined) return []
  const state = { start: 0, end: bytes.byteLength, buffer: bytes }
  const items: Item[] = []
  while (state.start < state.end) items.push(decodeItem(state))
  return items
}

function decodeItem(state: State & { buffer: Uint8Array }): Item {
  const number = c.uint.decode(state)
  const seq = c.uint.decode(state)
  const length = c.uint.decode(state)
  const { buffer, start } = state
  state.start += length
  if (state.start > state.end) throw new Error('A row ends too soon')
  // Not the Buffer that it may be: dearer to make, and never needed.
  return { number, seq, value: new Uint8Array(buffer.buffer, buffer.byteOffset + start, length) }
}

const EMPTY = new Uint8Array(0)

/**
 * A row with what a core says now in place of what it said; null where nobody says anything any more. The others' items are
 * carried over as they are. @throws Error on bytes that are no row
 */
export function rowWith(row: Uint8Array, number: number, said: Omit<Item, 'number'> | null) {
  const { start, end } = placeIn(row, number)
  const added = said === null ? EMPTY : encodeRow([{ number, seq: said.seq, value: said.value }])
  const length = row.byteLength - (end - start) + added.byteLength
  if (length === 0) return null
  const bytes = b4a.allocUnsafe(length)
  bytes.set(row.subarray(0, start))
  bytes.set(row.subarray(end), start)
  bytes.set(added, length - added.byteLength)
  return bytes
}

/** Where a core's item stands in a row; at its end, where there is none. */
function placeIn(row: Uint8Array, number: number): { start: number; end: number } {
  const state = { start: 0, end: row.byteLength, buffer: row }
  while (state.start < state.end) {
    const { start } = state
    const isIt = c.uint.decode(state) === number
    c.uint.decode(state)
    const length = c.uint.decode(state)
    state.start += length
    if (state.start > state.end) throw new Error('A row ends too soon')
    if (isIt) return { start, end: state.start }
  }
  return { start: row.byteLength, end: row.byteLength }
}

export const NO_ROW = EMPTY

export function entryOf({ value }: Item): Uint8Array {
  return value
}

/** @throws Error on bytes that are no row */
export function entriesIn(row: Uint8Array): readonly Uint8Array[] {
  return decodeRow(row).map(entryOf)
}

/** @throws Error on bytes that are no row */
export async function* rowBatches(
  store: OrderedStore,
  range: TreeRange
): AsyncGenerator<readonly RowEntries[]> {
  for await (const rows of batchesOf(store, rowRange(range))) {
    yield rows.map(([key, value]) => ({
      key: key.subarray(1),
      entries: entriesIn(value)
    }))
  }
}

/** What the rows say of one core. @param inStore what fails in it is the store's damage */
export function entriesOf(
  cursor: OrderedCursor,
  number: number,
  inStore: <T>(task: () => Promise<T>) => Promise<T>
): Cursor<TreeEntry> {
  return {
    nextBatch: (size) =>
      inStore(async () => {
        for (;;) {
          const rows = await cursor.nextBatch(size)
          const entries = rows.flatMap(([key, bytes]) =>
            decodeRow(bytes)
              .filter((item) => item.number === number)
              .map(({ seq, value }) => ({ key: key.subarray(1), seq, value }))
          )
          if (rows.length === 0 || entries.length > 0) return entries
        }
      }),
    close: () => cursor.close()
  }
}

/** Where the rows of a range of keys stand. */
export function rowRange({ gt, gte, lt, lte, reverse = false }: TreeRange): TreeRange {
  const row = (key: Uint8Array) => b4a.concat([ROW, key])
  const lower = gt !== undefined ? { gt: row(gt) } : { gte: gte === undefined ? ROW : row(gte) }
  const upper =
    lt !== undefined ? { lt: row(lt) } : lte !== undefined ? { lte: row(lte) } : { lt: ROW_END }
  return { ...lower, ...upper, reverse }
}

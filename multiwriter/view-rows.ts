/**
 * What the local index says for one view: groups of entries, as a merge of the trees gives them, each with the part of the view
 * that it is from. Rows and trees are read together here, and where the rows do not read, the trees go on alone.
 */
import b4a from 'b4a'
import type { OrderedStore, TreeEntry, TreeRange } from '../core/index.ts'
import { mapCursor, type Cursor } from './cursor.ts'
import { decodeRow, onlyItem, ROW, rowRange, type Item } from './index-rows.ts'
import { mergeSorted, type Group } from './merge.ts'
import type { IndexDefinition, IndexRow } from './stored-indexes.ts'

/** What the rows say for one view, while `isCurrent`. */
export interface Rows {
  isCurrent(): boolean
  /** Parts of the view whose cores do not stand in the rows at its lengths: what the rows say of these is left out. */
  readonly stale: readonly number[]
  /** The entries at a key, and which part of the view each is from; null when the row cannot be read. */
  get(key: Uint8Array): Group<TreeEntry> | null | Promise<Group<TreeEntry> | null>
  /** As of now. Rejects when a row cannot be read. */
  cursor(range: TreeRange): Cursor<RowGroup>
  /**
   * Keys by the values that some core's entry has there, in a range of encoded values; as of now. The first time, the index is
   * built. Null when it cannot be read, or does not stand for all cores of the view.
   */
  indexed(definition: IndexDefinition, range: TreeRange): Promise<Cursor<IndexRow> | null>
}

export interface RowGroup extends Group<TreeEntry> {
  readonly key: Uint8Array
}

/** By number: which part of the view, in a list of its own for groups of one. Cores that are not read by the rows have none. */
export type Sources = readonly (readonly number[] | undefined)[]

/** What a row says. @param distrust told when the row cannot be read: then null */
export function groupAt(
  store: OrderedStore,
  key: Uint8Array,
  sources: Sources,
  distrust: () => null
): RowGroup | null | Promise<RowGroup | null> {
  try {
    const row = store.get(b4a.concat([ROW, key]))
    if (!(row instanceof Promise)) return groupOf(key, row, sources)
    return row.then((bytes) => groupOf(key, bytes, sources)).catch(distrust)
  } catch {
    return distrust()
  }
}

/** What the rows of a range say. @param inStore what fails in it is the store's damage */
export function groupsIn(
  store: OrderedStore,
  range: TreeRange,
  sources: Sources,
  inStore: <T>(task: () => Promise<T>) => Promise<T>
): Cursor<RowGroup> {
  const cursor = store.cursor(rowRange(range))
  return {
    async nextBatch(size) {
      for (;;) {
        const groups = await inStore(async () => {
          const rows = await cursor.nextBatch(size)
          return rows.map(([key, value]) => groupOf(key.subarray(1), value, sources))
        })
        // Keys that only stale cores have are not the rows' to tell; none at all would mean the end.
        const told = groups.filter(({ items }) => items.length > 0)
        if (told.length > 0 || groups.length === 0) return told
      }
    },
    close: () => cursor.close()
  }
}

function groupOf(key: Uint8Array, row: Uint8Array | undefined, sources: Sources): RowGroup {
  const only = row === undefined ? null : onlyItem(row)
  const from = only === null ? undefined : sources[only.number]
  if (only !== null && from !== undefined)
    return { key, items: [{ key, seq: only.seq, value: only.value }], sources: from }
  return placedIn(key, decodeRow(row), sources)
}

/** In the order of the parts, as a merge of their trees gives them. */
function placedIn(key: Uint8Array, said: readonly Item[], sources: Sources): RowGroup {
  const items: TreeEntry[] = []
  const parts: number[] = []
  for (const { number, seq, value } of said) {
    const part = sources[number]?.[0]
    if (part === undefined) continue
    const at = parts.findLastIndex((before) => before < part) + 1
    items.splice(at, 0, { key, seq, value })
    parts.splice(at, 0, part)
  }
  return { key, items, sources: parts }
}

/** Groups of different parts at one key become one group. */
export function mergeGroups(
  [only, ...others]: readonly [Cursor<RowGroup>, ...Cursor<RowGroup>[]],
  { reverse = false }: TreeRange
): Cursor<RowGroup> {
  if (others.length === 0) return only
  const direction = reverse ? -1 : 1
  const merged = mergeSorted<RowGroup>([only, ...others], {
    compare: (a, b) => direction * b4a.compare(a.key, b.key)
  })
  return mapCursor(merged, ({ items }) => items.reduce(joinGroups))
}

/** In the order of the parts. */
function joinGroups(a: RowGroup, b: RowGroup): RowGroup {
  const placed = [...placedItems(a), ...placedItems(b)].sort((x, y) => x.source - y.source)
  return {
    key: a.key,
    items: placed.map(({ item }) => item),
    sources: placed.map(({ source }) => source)
  }
}

function placedItems({ items, sources }: RowGroup) {
  return items.map((item, i) => ({ item, source: sources[i] ?? 0 }))
}

/** Goes on by another cursor where the first one fails. */
export class FallbackCursor<T extends { readonly key: Uint8Array }> implements Cursor<T> {
  #cursor: Cursor<T>
  #fallback: ((last: Uint8Array | null) => Cursor<T>) | null
  #last: Uint8Array | null = null

  constructor(cursor: Cursor<T>, fallback: (last: Uint8Array | null) => Cursor<T>) {
    this.#cursor = cursor
    this.#fallback = fallback
  }

  async nextBatch(size: number): Promise<readonly T[]> {
    try {
      const batch = await this.#cursor.nextBatch(size)
      this.#last = batch.at(-1)?.key ?? this.#last
      return batch
    } catch (error) {
      if (this.#fallback === null) throw error
      await this.#cursor.close()
      this.#cursor = this.#fallback(this.#last)
      this.#fallback = null
      return this.nextBatch(size)
    }
  }

  close(): void | Promise<void> {
    this.#fallback = null
    return this.#cursor.close()
  }
}

/**
 * An ordered key-value store of this device, for what can be derived again: the local index. LevelDB in Node; the same shape fits
 * IndexedDB. One contract suite for all of them: test/contract/ordered-store.ts.
 */
import type { TreeRange } from './tree/cursor.ts'

/** `value: null` deletes. */
export interface OrderedChange {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** A key and its value. */
export type OrderedRow = readonly [key: Uint8Array, value: Uint8Array]

/** Rows in key order, as of when the cursor was made. */
export interface OrderedCursor {
  /** At most `size` next rows; [] at the end. */
  nextBatch(size: number): Promise<readonly OrderedRow[]>
  close(): Promise<void>
}

/** Anything may reject when the store is damaged: then `clear` makes it anew. What is read is the reader's own bytes. */
export interface OrderedStore {
  get(key: Uint8Array): Uint8Array | undefined | Promise<Uint8Array | undefined>
  getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]>
  /** All of it or nothing, in order with other writes. Survives a killed process; a power cut may take the last ones. */
  write(changes: readonly OrderedChange[]): Promise<void>
  cursor(range: TreeRange): OrderedCursor
  /** Deletes everything, readable or not. Cursors that are open fail. */
  clear(): Promise<void>
  /** About how much it takes on the disk. */
  bytes(): Promise<number>
  close(): Promise<void>
}

/**
 * Finding a place among a node's keys, some of which may be open (inflate.ts). The keys at hand narrow the way first; then the
 * rest is halved, fetching one key at a time.
 */
import type { KeyPointer } from 'hyperbee2/lib/tree.js'

export interface SortedKeys {
  readonly length: number
  /** In reading order. */
  get(index: number): KeyPointer
}

/** True of all keys up to some place, and of none behind it. */
export type IsBefore = (key: Uint8Array) => boolean

/** The first place whose key is not before, or null where that cannot be said without fetching a key. */
export function findHere(keys: SortedKeys, isBefore: IsBefore): number | null {
  let start = 0
  let end = keys.length
  while (start < end) {
    const middle = (start + end) >> 1
    const { key } = keys.get(middle)
    if (key === null) return null
    if (isBefore(key)) start = middle + 1
    else end = middle
  }
  return start
}

/** The same, fetching what it takes. The key at the place found, if there is one, is open no more. */
export async function find(
  keys: SortedKeys,
  isBefore: IsBefore,
  open: (pointer: KeyPointer) => Promise<void>
): Promise<number> {
  for (;;) {
    const { start, end } = narrow(keys, isBefore)
    if (start >= end) return start
    await open(keys.get((start + end) >> 1))
  }
}

/** Between which keys at hand the place is. */
function narrow(keys: SortedKeys, isBefore: IsBefore): { start: number; end: number } {
  let start = 0
  for (let i = 0; i < keys.length; i++) {
    const { key } = keys.get(i)
    if (key === null) continue
    if (!isBefore(key)) return { start, end: i }
    start = i + 1
  }
  return { start, end: keys.length }
}

/** A key that has been opened. */
export function keyOf({ key }: KeyPointer): Uint8Array {
  if (key === null) throw new RangeError('A key was read before it was opened')
  return key
}

/**
 * The keys at which two views of one union may differ, in key order: what differs between the two trees of each log, merged.
 * Subtrees that a log's trees share are passed over, so it costs about what was written between, in either direction of time. Of a
 * log of which other keys count in the two, everything is given.
 *
 * Where a log's trees cannot be compared (one is bad), the keys that stand in either view are given from there on: reading them
 * refuses what is to be refused.
 */
import b4a from 'b4a'
import { TreeDiff, TreeRefusal, type ReadOptions, type TreeRange } from '../core/index.ts'
import type { Cursor } from './cursor.ts'
import { mergeSorted, type Group } from './merge.ts'
import { isReadAlike, type Part } from './part.ts'
import type { View } from './view.ts'

/** Each key once, rising, whatever `range.reverse` says. */
export function changedKeys(
  one: View,
  other: View,
  range: TreeRange,
  options: ReadOptions
): Cursor<Uint8Array> {
  return new ChangedKeys(one, other, { ...range, reverse: false }, options)
}

interface Keyed {
  readonly key: Uint8Array
}

class ChangedKeys implements Cursor<Uint8Array> {
  readonly #views: readonly [View, View]
  readonly #range: TreeRange
  readonly #options: ReadOptions
  #merged: Cursor<Group<Keyed>>
  #last: Uint8Array | null = null
  #isClosed = false

  constructor(one: View, other: View, range: TreeRange, options: ReadOptions) {
    this.#views = [one, other]
    this.#range = range
    this.#options = options
    this.#merged = merged(diffs(one, other, range, options))
  }

  async nextBatch(size: number): Promise<readonly Uint8Array[]> {
    const groups = await this.#nextGroups(size)
    const keys = groups.map(({ items }) => items[0]?.key ?? NO_KEY)
    this.#last = keys.at(-1) ?? this.#last
    return keys
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#merged.close()
  }

  async #nextGroups(size: number): Promise<readonly Group<Keyed>[]> {
    try {
      return await this.#merged.nextBatch(size)
    } catch (error) {
      if (!(error instanceof TreeRefusal) || this.#isClosed) throw error
    }
    const rest = restOf(this.#range, this.#last)
    this.#merged = merged(this.#views.map((view) => view.cursor(rest, this.#options)))
    return this.#merged.nextBatch(size)
  }
}

/** A group is never empty. */
const NO_KEY = new Uint8Array(0)

function merged(cursors: readonly Cursor<Keyed>[]): Cursor<Group<Keyed>> {
  return mergeSorted(cursors, { compare: (a, b) => b4a.compare(a.key, b.key) })
}

/** One cursor per log that is not read alike in both views. */
function diffs(
  one: View,
  other: View,
  range: TreeRange,
  options: ReadOptions
): readonly Cursor<Keyed>[] {
  const parts = new Map<string, [Part | null, Part | null]>()
  for (const part of one.parts) parts.set(part.writer, [part, null])
  for (const part of other.parts) {
    parts.set(part.writer, [parts.get(part.writer)?.[0] ?? null, part])
  }
  return [...parts.values()].flatMap(([a, b]) => {
    if (a === null || b === null) return (a ?? b)?.tree.cursor(range, options) ?? []
    const [older, newer] = a.tree.length < b.tree.length ? [a, b] : [b, a]
    // Anything of it may count now that did not.
    if (older.prefixes !== newer.prefixes)
      return [older, newer].map(({ tree }) => tree.cursor(range, options))
    if (isReadAlike(a, b)) return []
    return new TreeDiff(older.tree, newer.tree, range, options)
  })
}

function restOf(range: TreeRange, last: Uint8Array | null): TreeRange {
  if (last === null) return range
  const { lt, lte } = range
  return { gt: last, ...(lt === undefined ? {} : { lt }), ...(lte === undefined ? {} : { lte }) }
}

/** A view as it would be with some keys written over: what a batch shows of itself before it is flushed. */
import b4a from 'b4a'
import type { Cursor } from './cursor.ts'
import { mergeSorted } from './merge.ts'
import type { FoldedKey } from './view.ts'

/** @param over in the cursor's order; stands in the place of what the cursor has at these keys */
export function overlay(
  cursor: Cursor<FoldedKey>,
  over: readonly FoldedKey[],
  isReverse: boolean
): Cursor<FoldedKey> {
  const direction = isReverse ? -1 : 1
  const merged = mergeSorted([cursor, listCursor(over)], {
    compare: (a, b) => direction * b4a.compare(a.key, b.key)
  })
  return {
    async nextBatch(size) {
      const groups = await merged.nextBatch(size)
      // The list comes second.
      return groups.flatMap(({ items }) => items.slice(-1))
    },
    close: () => merged.close()
  }
}

function listCursor<T>(items: readonly T[]): Cursor<T> {
  let next = 0
  return {
    nextBatch: (size) => items.slice(next, (next += size)),
    close() {
      next = items.length
    }
  }
}

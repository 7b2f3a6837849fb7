/** The slow twin of `mergeSorted`: concatenate, sort, group. It shares nothing with it but types. */
import type { Group } from '../../multiwriter/merge.ts'

export function mergeSlowly<T>(
  lists: readonly (readonly T[])[],
  compare: (a: T, b: T) => number,
  limit = Infinity
): Group<T>[] {
  const all = lists.flatMap((list, source) => list.map((item) => ({ item, source })))
  // The sort is stable: what is equal stays in the order of the sources.
  all.sort((a, b) => compare(a.item, b.item))

  const groups: { items: T[]; sources: number[] }[] = []
  for (const { item, source } of all) {
    const group = groups.at(-1)
    if (group !== undefined && compare(group.items[0]!, item) === 0) {
      group.items.push(item)
      group.sources.push(source)
    } else {
      groups.push({ items: [item], sources: [source] })
    }
  }
  return groups.slice(0, limit)
}

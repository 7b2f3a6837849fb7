/** Numbers of which only greater ones are written over: of those written at the same time any may win, and the rest are conflicts. */
import type { Entry } from '../../multiwriter/index.ts'

/** The greatest number that a key shows; 0 for none. */
export function greatest<K, V>(entry: Entry<K, V> | null): number {
  if (entry === null) return 0
  return Math.max(...[entry.value, ...entry.conflicts.map(({ value }) => value)].map(Number))
}

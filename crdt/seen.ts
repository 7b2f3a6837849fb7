/** What a write has seen: per core the greatest position that it knew at its place. */
import b4a from 'b4a'
import { compareCores, MAX_SEEN, NOTHING_SEEN, type Head, type Position } from './head.ts'
import { compareHeads } from './register.ts'
import { comparePositions, type TypedEntry } from './typed-entry.ts'

/**
 * The `seen` of a write by `own` that knows these heads at its place, all of them: the positions of other cores, and what those
 * and the author's own had seen. Sorted by core. Beyond MAX_SEEN, what is known at second hand is left out first, then the oldest.
 */
export function seenBy(heads: readonly Head[], own: Uint8Array): readonly Position[] {
  const items: Position[] = []
  for (const { position, seen } of heads) {
    if (!isOf(position, own)) items.push(position)
    for (const item of seen) if (!isOf(item, own)) items.push(item)
  }
  if (items.length === 0) return NOTHING_SEEN
  const known = greatestOfEach(items)
  return known.length <= MAX_SEEN ? known : mostImportant(known, heads, own)
}

/** Sorted by core. */
function greatestOfEach(items: Position[]): readonly Position[] {
  items.sort(comparePositions)
  return items.filter((item, i) => {
    const next = items[i + 1]
    return next === undefined || !isOf(next, item.core)
  })
}

/** Of the cores known at first hand, newest first, and then the others, as many as may be. */
function mostImportant(
  known: readonly Position[],
  heads: readonly Head[],
  own: Uint8Array
): readonly Position[] {
  const newestFirst = [...heads].sort((a, b) => compareHeads(b, a))
  const firstHand = newestFirst.map(({ position }) => position)
  const items = [...firstHand, ...newestFirst.flatMap(({ seen }) => seen)]
  const cores = new Set(items.filter((item) => !isOf(item, own)).map(coreOf))
  const kept = new Set([...cores].slice(0, MAX_SEEN))
  return known.filter((item) => kept.has(coreOf(item)))
}

function coreOf({ core }: Position): string {
  return b4a.toString(core, 'hex')
}

function isOf({ core }: Position, own: Uint8Array): boolean {
  return core === own || compareCores(core, own) === 0
}

/** True if who wrote `head` knew what stands at `position`, the position's own writer included. */
export function hasSeen(head: Head, position: Position): boolean {
  if (isOf(head.position, position.core)) return head.position.seq >= position.seq
  return head.seen.some((item) => item.seq >= position.seq && isOf(item, position.core))
}

/** The head of an entry, with all that any part of it had seen. */
export function knowledgeOf(entry: TypedEntry): Head {
  if (entry.type !== 'value') return entry.head
  const { position, stamp, seen } = entry.head
  const lists = [...new Set([seen, ...entry.registers.map((register) => register.seen)])]
  if (lists.length === 1) return entry.head
  return { position, stamp, seen: greatestOfEach(lists.flat()) }
}

/** What a write has seen: per core the greatest position that it knew at its place. */
import b4a from 'b4a'
import {
  compareCores,
  isSameCore,
  MAX_SEEN,
  NOTHING_SEEN,
  seenOf,
  type Head,
  type Position
} from './head.ts'
import { compareHeads } from './register.ts'
import { comparePositions, type TypedEntry } from './typed-entry.ts'

/**
 * The `seen` of a write by `own` that knows these heads at its place, all of them: the positions of other cores, and what those
 * and the author's own had seen. Sorted by core. Beyond MAX_SEEN, what is known at second hand is left out first, then the oldest.
 */
export function seenBy(heads: readonly Head[], own: Uint8Array): readonly Position[] {
  // The newest first: mostly it had seen all the others, and then they add nothing.
  let known = withHead(NOTHING_SEEN, newestOf(heads), own)
  for (const head of heads) known = withHead(known, head, own)
  if (seenOf(known, own) >= 0) known = known.filter((item) => !isSameCore(item.core, own))
  return known.length <= MAX_SEEN ? known : mostImportant(known, heads, own)
}

function newestOf(heads: readonly Head[]): Head | undefined {
  let newest = heads[0]
  for (const head of heads)
    if (newest !== undefined && compareHeads(head, newest) > 0) newest = head
  return newest
}

function withHead(
  known: readonly Position[],
  head: Head | undefined,
  own: Uint8Array
): readonly Position[] {
  if (head === undefined) return known
  const { position, seen } = head
  const all = joined(known, seen)
  const isKnown = isSameCore(position.core, own) || seenOf(all, position.core) >= position.seq
  return isKnown ? all : joined(all, [position])
}

/** Two lists sorted by core as one, with the greatest of each core: the first itself, where the second adds nothing. */
function joined(a: readonly Position[], b: readonly Position[]): readonly Position[] {
  if (a.length === 0) return b
  return isWithin(b, a) ? a : merged(a, b)
}

function isWithin(some: readonly Position[], all: readonly Position[]): boolean {
  let at = 0
  for (const { core, seq } of some) {
    let order = 1
    for (; at < all.length && order > 0; at++) order = compareCores(core, all[at]?.core ?? core)
    if (order !== 0 || (all[at - 1]?.seq ?? -1) < seq) return false
  }
  return true
}

function merged(a: readonly Position[], b: readonly Position[]): readonly Position[] {
  const all = [...a, ...b].sort(comparePositions)
  return all.filter((item, i) => {
    const next = all[i + 1]
    return next === undefined || !isSameCore(next.core, item.core)
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
  const cores = new Set(items.filter((item) => !isSameCore(item.core, own)).map(coreOf))
  const kept = new Set([...cores].slice(0, MAX_SEEN))
  return known.filter((item) => kept.has(coreOf(item)))
}

function coreOf({ core }: Position): string {
  return b4a.toString(core, 'hex')
}

/** True if who wrote `head` knew what stands at `position`, the position's own writer included. */
export function hasSeen(head: Head, position: Position): boolean {
  const { core, seq } = position
  return (isSameCore(head.position.core, core) ? head.position.seq : seenOf(head.seen, core)) >= seq
}

/** The head of an entry, with all that any part of it had seen. */
export function knowledgeOf(entry: TypedEntry): Head {
  if (entry.type !== 'value') return entry.head
  const { position, stamp, seen } = entry.head
  const lists = [...new Set([seen, ...entry.registers.map((register) => register.seen)])]
  if (lists.length === 1) return entry.head
  return { position, stamp, seen: lists.reduce(joined) }
}

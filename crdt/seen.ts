/** What a write has seen: per core the greatest position that it knew at its place. */
import b4a from 'b4a'
import { MAX_SEEN, NOTHING_SEEN, type Head, type Position } from './head.ts'
import { compareHeads } from './register.ts'
import type { TypedEntry } from './typed-entry.ts'

/**
 * The `seen` of a write by `own` that knows these heads at its place, all of them: the positions of other cores, and what those
 * and the author's own had seen. Sorted by core. Beyond MAX_SEEN, what is known at second hand is left out first, then the oldest.
 */
export function seenBy(heads: readonly Head[], own: Uint8Array): readonly Position[] {
  if (heads.every((head) => head.seen.length === 0 && isOf(head.position, own))) return NOTHING_SEEN
  const first = new Map<string, Position>()
  const second = new Map<string, Position>()
  for (const { position, seen } of [...heads].sort((a, b) => compareHeads(b, a))) {
    if (!isOf(position, own)) raise(first, position)
    for (const item of seen) if (!isOf(item, own)) raise(second, item)
  }
  for (const [id, item] of second) {
    if (first.has(id) || first.size < MAX_SEEN) raise(first, item)
  }
  return [...first.values()].slice(0, MAX_SEEN).sort((a, b) => b4a.compare(a.core, b.core))
}

function isOf({ core }: Position, own: Uint8Array): boolean {
  return core === own || b4a.equals(core, own)
}

function raise(seen: Map<string, Position>, item: Position): void {
  const id = b4a.toString(item.core, 'hex')
  const known = seen.get(id)
  if (known === undefined || known.seq < item.seq) seen.set(id, item)
}

/** True if who wrote `head` knew what stands at `position`, the position's own writer included. */
export function hasSeen(head: Head, position: Position): boolean {
  if (b4a.equals(head.position.core, position.core)) return head.position.seq >= position.seq
  return head.seen.some((item) => item.seq >= position.seq && b4a.equals(item.core, position.core))
}

/** The head of an entry, with all that any part of it had seen. */
export function knowledgeOf(entry: TypedEntry): Head {
  if (entry.type !== 'value') return entry.head
  const { position, stamp, seen } = entry.head
  const lists = [...new Set([seen, ...entry.registers.map((register) => register.seen)])]
  if (lists.length === 1) return entry.head
  const greatest = new Map<string, Position>()
  for (const item of lists.flat()) raise(greatest, item)
  const all = [...greatest.values()].sort((a, b) => b4a.compare(a.core, b.core))
  return { position, stamp, seen: all }
}

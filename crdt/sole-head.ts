/**
 * The usual key of many writers: the last write had seen all the others, and nobody has seen that write yet. Then it alone counts,
 * and the fold (register.ts) need not be asked who covers whom. It gives what that would give (test/crdt/sole-head.test.ts).
 */
import type { FieldRegister } from './typed-entry.ts'
import type { PlacedEntry } from './fields.ts'
import { compareCores, isSameCore, seenOf, type Head } from './head.ts'
import { compareHeads, type AdmittedLength } from './register.ts'

/** Null where there is none, or where fields, other types or several entries of one core are to be seen. */
export function soleHead<S extends PlacedEntry>(
  given: readonly S[],
  admitted: AdmittedLength
): S | null {
  let last: S | null = null
  let head: Head | null = null
  for (let i = 0; i < given.length; i++) {
    const said = given[i]
    const whole = wholeOf(said)
    if (said === undefined || whole === null || !isRising(given[i - 1], said)) return null
    if (head !== null && compareHeads(whole, head) <= 0) continue
    last = said
    head = whole
  }
  return head !== null && given.every((said) => said === last || isCovered(said, head, admitted))
    ? last
    : null
}

/** What an entry says, where that is one value without fields, or its deletion. */
function wholeOf(said: PlacedEntry | undefined): FieldRegister | null {
  if (said?.entry.type !== 'value') return null
  const { registers } = said.entry
  const [only] = registers
  return only !== undefined && registers.length === 1 && only.path.length === 0 ? only : null
}

function isRising(before: PlacedEntry | undefined, said: PlacedEntry): boolean {
  return before === undefined || compareCores(before.core, said.core) < 0
}

/** By an ordinary cover, and in no circle: what nobody has seen is in none. */
function isCovered(said: PlacedEntry, head: Head, admitted: AdmittedLength): boolean {
  const whole = wholeOf(said)
  if (whole === null) return false
  const { position, seen } = whole
  if (seenOf(seen, head.position.core) >= head.position.seq) return false
  if (isSameCore(position.core, head.position.core)) return position.seq < head.position.seq
  const at = seenOf(head.seen, position.core)
  return at >= position.seq && at < admitted(position.core)
}

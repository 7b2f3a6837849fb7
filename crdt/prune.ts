/**
 * Pruning without coordination: what a device may leave out of its own entry, so that no reader ever sees a difference, whatever
 * seals may still come. A register goes when another covers it for good: the cover is final, no seal may fall below it, and it
 * has seen all that the register had seen, so whatever that kept down stays down: for every reader, so what it had seen is final
 * as well (a cover that names more than a reader holds is weak there, where the register's own might not be). A tombstone goes
 * when it is final, with all that it had seen, and nobody has anything left at its path: what it deleted is gone from every
 * length at which a reader may stand, and who writes there from now on has seen it. Rows, dots and baselines never go: they
 * count, however many have seen them.
 */
import b4a from 'b4a'
import { foldFields, type Mark, type Place, type PlacedEntry } from './fields.ts'
import type { Position } from './head.ts'
import { comparePaths, pathToId, startsWith } from './paths.ts'
import { judgeRegisters, type AdmittedLength } from './register.ts'
import { hasRoomBelow, type FieldRegister, type TypedEntry } from './typed-entry.ts'

export interface PruneGrounds {
  readonly admitted: AdmittedLength
  /** What stands here is acknowledged, as far as this device holds, by all whose word a seal cannot undercut. */
  readonly isFinal: (position: Position) => boolean
}

/**
 * The own entry without what may go: the very same object where nothing may, null where the whole entry may be deleted.
 * @param others what every other core says at the key: all that is held, and it said so already where it is final. So no seal
 * that may come finds other types there, nor anything for a tombstone to delete that is not there now.
 */
export function pruneEntry(
  own: PlacedEntry,
  others: readonly PlacedEntry[],
  grounds: PruneGrounds
): TypedEntry | null {
  const { entry } = own
  // Where types meet, what the heads of entries had seen decides between them.
  if (entry.type !== 'value' || others.some((other) => other.entry.type !== 'value')) return entry
  const { places } = foldFields([own, ...others], grounds.admitted, 'add-wins')
  const registers = places.flatMap((place): readonly FieldRegister[] => {
    const mark = place.marks.find(({ said }) => said === own)
    if (mark === undefined || mayGo(mark, place, grounds)) return []
    const { path, position, stamp, seen, value } = mark
    return [{ path, position, stamp, seen, value }]
  })
  if (registers.length === 0) return null
  return registers.length === entry.registers.length ? entry : { ...entry, registers }
}

function mayGo(
  own: Mark<PlacedEntry>,
  { marks }: Place<PlacedEntry>,
  { admitted, isFinal }: PruneGrounds
): boolean {
  if (marks.length === 1) return own.value === null && [own.position, ...own.seen].every(isFinal)
  return judgeRegisters(marks, admitted).covers.some(
    ({ from, to, kind }) =>
      to === own && kind === 'ordinary' && isFinal(from.position) && replaces(from, own, isFinal)
  )
}

/** What one had seen, the other had seen, too, and for good; its own core's blocks it knows without saying. */
function replaces(
  from: Mark<PlacedEntry>,
  own: Mark<PlacedEntry>,
  isFinal: PruneGrounds['isFinal']
): boolean {
  const known = [from.position, ...from.seen.filter(isFinal)]
  return own.seen.every(
    ({ core, seq }) =>
      b4a.equals(core, own.position.core) ||
      known.some((item) => item.seq >= seq && b4a.equals(item.core, core))
  )
}

/**
 * The own entry with what a pruning left out put back, each register where and when it was written; null where there is nothing
 * to put back. What its author wrote since at a path, above or below it has taken its place.
 * @param now what stands there, null for nothing
 * @param before what stood there before the pruning, and `after` what it left of that
 * @param since the block of the pruning
 */
export function restoreEntry(
  now: TypedEntry | null,
  before: TypedEntry,
  after: TypedEntry | null,
  since: number
): TypedEntry | null {
  if (before.type !== 'value' || (now !== null && now.type !== 'value')) return null
  const left = new Set(registersOf(after).map(({ path }) => pathToId(path)))
  const standing = registersOf(now)
  const back = before.registers.filter(
    (register) =>
      !left.has(pathToId(register.path)) &&
      standing.every((other) => hasRoomBeside(register, other, since))
  )
  if (back.length === 0) return null
  const registers = [...standing, ...back].sort((a, b) => comparePaths(a.path, b.path))
  return { type: 'value', head: (now ?? before).head, registers }
}

function registersOf(entry: TypedEntry | null): readonly FieldRegister[] {
  return entry?.type === 'value' ? entry.registers : []
}

function hasRoomBeside(register: FieldRegister, other: FieldRegister, since: number): boolean {
  const isBelow = startsWith(register.path, other.path)
  const isAbove = startsWith(other.path, register.path)
  if (!isBelow && !isAbove) return true
  if (isBelow && (isAbove || other.position.seq >= since)) return false
  const [upper, lower] = isBelow ? [other, register] : [register, other]
  return upper.value === null || hasRoomBelow(upper.value) || lower.value === null
}

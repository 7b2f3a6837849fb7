/**
 * Pruning without coordination: what a device may leave out of its own entry, so that no reader ever sees a difference, whatever
 * seals may still come. A register goes when another covers it for good: the cover is final, no seal may fall below it, and it
 * has seen all that the register had seen, so whatever that kept down stays down. A tombstone goes when, besides, nobody has
 * anything left for it to delete. Rows, dots and baselines never go: they count, however many have seen them.
 */
import b4a from 'b4a'
import { foldFields, type Mark, type Place, type PlacedEntry } from './fields.ts'
import type { Position } from './head.ts'
import { judgeRegisters, type AdmittedLength } from './register.ts'
import { hasSeen } from './seen.ts'
import type { FieldRegister, TypedEntry } from './typed-entry.ts'

export interface PruneGrounds {
  readonly admitted: AdmittedLength
  /** What stands here is acknowledged, as far as this device holds, by all whose word a seal cannot undercut. */
  readonly isFinal: (position: Position) => boolean
  /**
   * Every device that may write has acknowledged, for every core, a length at which nothing older than this tombstone is left at
   * its path. Default: nothing is known of that.
   */
  readonly isForgotten?: (tombstone: FieldRegister) => boolean
}

/**
 * The own entry without what may go: the very same object where nothing may, null where the whole entry may be deleted.
 * @param others what every other core says at the key, all that is held
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
  { admitted, isFinal, isForgotten = () => false }: PruneGrounds
): boolean {
  if (marks.length === 1) return own.value === null && isFinal(own.position) && isForgotten(own)
  return judgeRegisters(marks, admitted).covers.some(
    ({ from, to, kind }) =>
      to === own && kind === 'ordinary' && isFinal(from.position) && hasSeenAll(from, own)
  )
}

/** What one had seen, the other had seen, too; its own core's blocks it knows without saying. */
function hasSeenAll(from: Mark<PlacedEntry>, own: Mark<PlacedEntry>): boolean {
  return own.seen.every((item) => b4a.equals(item.core, own.position.core) || hasSeen(from, item))
}

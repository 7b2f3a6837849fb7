/**
 * The fold of objects, field by field. Registers stand at paths; what covers what is judged path by path (register.ts), so that
 * two devices that write different fields both win. What is left over is a question between paths: a value without room below
 * it and a value below it cannot both stand. The later stamp takes its place first, and what no longer fits is a conflict.
 *
 * A write that had seen a value above or below its path has set a tombstone there, so only concurrent writes come to that
 * question, and a clock never decides between a write and what it had seen. The slow twin is test/oracle/fold-entries.ts.
 */
import { comparePaths, pathToId, PathMap, type Path } from './paths.ts'
import { compareHeads, foldRegisters, type AdmittedLength, type Deletes } from './register.ts'
import { hasRoomBelow, type FieldRegister, type TypedEntry } from './typed-entry.ts'

/** What one core says at one key. */
export interface PlacedEntry {
  /** The core whose bee it stands in. */
  readonly core: Uint8Array
  readonly entry: TypedEntry
}

/** A register, and who says it. */
export interface Mark<S extends PlacedEntry> extends FieldRegister {
  readonly said: S
}

/** Everything at one path. */
export interface Place<S extends PlacedEntry> {
  readonly path: Path
  /** One per core that says something here. */
  readonly marks: readonly Mark<S>[]
  /** May be a tombstone. */
  readonly winner: Mark<S>
  /** The other heads, greatest first. */
  readonly conflicts: readonly Mark<S>[]
}

export interface FoldedFields<S extends PlacedEntry> {
  /** Rising by path. */
  readonly places: readonly Place<S>[]
  /** What makes the value, rising by path. */
  readonly shown: readonly Mark<S>[]
  /** Winners of their path for which there is no room, and the other heads of each path. */
  readonly hidden: readonly Mark<S>[]
}

/** Folds `value` entries; entries of other types say nothing here. */
export function foldFields<S extends PlacedEntry>(
  said: readonly S[],
  admitted: AdmittedLength,
  deletes: Deletes
): FoldedFields<S> {
  const places = placesOf(said).map(([path, marks]): Place<S> => {
    const { winner, conflicts } = foldRegisters(marks, admitted, deletes)
    return { path, marks, winner, conflicts }
  })
  const alive = places.flatMap(({ winner }) => (winner.value === null ? [] : [winner]))
  // One core never contradicts itself: its entry would have been refused.
  const shown = said.length === 1 ? alive : seat(alive)
  const isShown = new Set(shown)
  const hidden = places.flatMap(({ winner, conflicts }) => {
    const disagreeing = conflicts.filter(({ value }) => value !== null || winner.value !== null)
    return winner.value === null || isShown.has(winner) ? disagreeing : [winner, ...disagreeing]
  })
  return { places, shown, hidden }
}

function placesOf<S extends PlacedEntry>(said: readonly S[]): [Path, Mark<S>[]][] {
  const [only] = said
  if (said.length === 1 && only !== undefined) {
    return marksOf(only).map((mark) => [mark.path, [mark]])
  }
  const byPath = new Map<string, [Path, Mark<S>[]]>()
  for (const mark of said.flatMap(marksOf)) {
    const id = pathToId(mark.path)
    const place = byPath.get(id)
    if (place === undefined) byPath.set(id, [mark.path, [mark]])
    else place[1].push(mark)
  }
  return [...byPath.values()].sort(([a], [b]) => comparePaths(a, b))
}

function marksOf<S extends PlacedEntry>(said: S): Mark<S>[] {
  if (said.entry.type !== 'value') return []
  return said.entry.registers.map(({ path, position, stamp, seen, value }) => ({
    path,
    position,
    stamp,
    seen,
    value,
    said
  }))
}

/** The latest first; a later one keeps its place. */
function seat<S extends PlacedEntry>(alive: readonly Mark<S>[]): Mark<S>[] {
  const seated = new PathMap<Mark<S>>()
  return [...alive]
    .sort((a, b) => compareHeads(b, a))
    .filter((mark) => {
      const isFree = fits(mark, seated)
      if (isFree) seated.set(mark.path, mark)
      return isFree
    })
    .sort((a, b) => comparePaths(a.path, b.path))
}

function fits<S extends PlacedEntry>({ path, value }: Mark<S>, seated: PathMap<Mark<S>>): boolean {
  if (value !== null && !hasRoomBelow(value) && seated.hasBelow(path)) return false
  for (const above of seated.above(path)) {
    if (above.value !== null && !hasRoomBelow(above.value)) return false
  }
  return true
}

/**
 * Writing objects: which registers a put must write, so that reading gives what was put.
 *
 * The law: let D be the difference from `base` to the value, leaf by leaf. After the write the fold is the fold before with D
 * applied: the leaves of D are set or gone, whatever stood above or below them has made room, all else is as it was. With the
 * default base, the fold itself, that is exactly the value put. A value that is no object has no fields and is written whole,
 * even where it is the same.
 *
 * A register is written where D sets one; a tombstone where something is in the way, stands hidden behind what now goes, or had
 * been there at all under what is replaced (so that a seal which takes away its cover cannot bring it back).
 */
import b4a from 'b4a'
import { ManyhandsError } from '../errors.ts'
import type { Stamp } from '../clock/index.ts'
import { foldFields, type Mark, type Place, type PlacedEntry } from './fields.ts'
import type { Head, Position } from './head.ts'
import { applyPatch, namedPaths, type Patch } from './patch.ts'
import {
  comparePaths,
  isFields,
  leavesToValue,
  PathMap,
  pathToId,
  startsWith,
  valueToLeaves,
  type Leaf,
  type Path
} from './paths.ts'
import type { AdmittedLength, Deletes } from './register.ts'
import { hasSeen, seenBy } from './seen.ts'
import { hasRoomBelow, MAX_ITEMS, type FieldRegister, type ValueEntry } from './typed-entry.ts'
import {
  checkSize,
  decodeValue,
  encodeNormalized,
  isSameValue,
  normalizeValue,
  type Value
} from './value.ts'

/** What a value entry is written from. */
export interface FieldWrite {
  /** Everybody's readable `value` entries, the own one included. */
  readonly said: readonly PlacedEntry[]
  /** What every register of this write has seen besides its own place: entries of other types, and unreadable ones. */
  readonly foreign: readonly Head[]
  /** True where a value of another type shows: then nothing is taken as given. */
  readonly isReplacing: boolean
  readonly position: Position
  readonly stamp: Stamp
  readonly admitted: AdmittedLength
  readonly deletes: Deletes
}

/** What is to become of the value. */
interface Plan {
  /** Leaves to write, by path. */
  readonly set: Map<string, Leaf>
  /** Paths at which nothing shall stand. */
  readonly unset: Map<string, Path>
}

/**
 * Puts a whole value. Null when it does not differ.
 * @param settles whether conflicts end, too, at fields that do not differ
 */
export function putValue(
  write: FieldWrite,
  given: unknown,
  base: unknown,
  settles: boolean
): ValueEntry | null {
  const value = normalizeValue(given)
  const state = new FieldState(write)
  if (!isFields(value)) return state.put(whole(value))
  const after = valueToLeaves(value)
  const isBased = base !== undefined && !write.isReplacing
  const before = isBased ? valueToLeaves(normalizeValue(base)) : state.leaves()
  const plan = difference(before, after, write.isReplacing)
  if (settles) state.settle(plan, after)
  return state.put(plan)
}

/** As one register, whatever it is. */
export function putAtomic(write: FieldWrite, value: unknown): ValueEntry | null {
  return new FieldState(write).replace(normalizeValue(value))
}

/** Null when nothing differs. */
export function patchValue(write: FieldWrite, fields: Patch): ValueEntry | null {
  const { state, plan, after } = planPatch(write, fields)
  // Who names a field of which two values stand side by side has chosen one.
  const named = namedPaths(fields)
  state.settle(plan, after, (path) =>
    named.some((name) => startsWith(path, name) || startsWith(name, path))
  )
  return state.put(plan)
}

/** As one register. Null when nothing differs. */
export function patchAtomic(write: FieldWrite, fields: Patch): ValueEntry | null {
  const { state, plan, after } = planPatch(write, fields)
  return plan.set.size + plan.unset.size === 0 ? null : state.replace(leavesToValue(after))
}

function planPatch(write: FieldWrite, fields: Patch) {
  const state = new FieldState(write)
  const before = state.leaves()
  const value = write.isReplacing ? null : leavesToValue(before)
  const after = valueToLeaves(applyPatch(value, fields))
  return { state, plan: difference(before, after, write.isReplacing), after }
}

/** Null when there is nothing to delete. */
export function deleteValue(write: FieldWrite): ValueEntry | null {
  return new FieldState(write).delete()
}

function whole(value: Value): Plan {
  return { set: new Map([[pathToId([]), { path: [], value }]]), unset: new Map() }
}

/** What leads from one set of leaves to another; with `isWhole` every leaf is set. */
function difference(before: readonly Leaf[], after: readonly Leaf[], isWhole: boolean): Plan {
  if (before.length === 0) isWhole = true
  const known = new Map(before.map((leaf) => [pathToId(leaf.path), leaf.value]))
  const set = new Map<string, Leaf>()
  for (const leaf of after) {
    const id = pathToId(leaf.path)
    const value = isWhole ? undefined : known.get(id)
    if (value === undefined || !isSameValue(value, leaf.value)) set.set(id, leaf)
  }
  const unset = nodesOf(before)
  for (const id of nodesOf(after).keys()) unset.delete(id)
  return { set, unset }
}

/** The paths of the leaves and of all objects around them. */
function nodesOf(leaves: readonly Leaf[]): Map<string, Path> {
  const nodes = new Map<string, Path>()
  for (const { path } of leaves) {
    for (let length = path.length; length >= 0; length--) {
      const start = path.slice(0, length)
      const id = pathToId(start)
      if (nodes.has(id)) break
      nodes.set(id, start)
    }
  }
  return nodes
}

/** What stands at a key, field by field, before a write. */
class FieldState {
  readonly #write: FieldWrite
  readonly #places: readonly Place<PlacedEntry>[]
  readonly #shown: readonly Mark<PlacedEntry>[]
  readonly #hidden: readonly Mark<PlacedEntry>[]

  constructor(write: FieldWrite) {
    this.#write = write
    const { places, shown, hidden } = foldFields(write.said, write.admitted, write.deletes)
    this.#places = places
    this.#shown = shown
    this.#hidden = hidden
  }

  /** The leaves of the value as it reads now. */
  leaves(): Leaf[] {
    if (this.#shown.length === 0) return []
    return valueToLeaves(leavesToValue(this.#shown.map(markToLeaf)))
  }

  /** Adds to a plan what ends the conflicts at these paths in favour of what the plan leads to. */
  settle({ set, unset }: Plan, after: readonly Leaf[], isMeant = (_: Path) => true): void {
    const leaves = new Map(after.map((leaf) => [pathToId(leaf.path), leaf]))
    for (const { path } of this.#hidden) {
      if (!isMeant(path)) continue
      const id = pathToId(path)
      const leaf = leaves.get(id)
      if (leaf === undefined) unset.set(id, path)
      else set.set(id, leaf)
    }
  }

  /** Null when nothing would change. */
  put(plan: Plan): ValueEntry | null {
    const { set, unset } = plan
    if (this.#places.length === 0) return set.size === 0 ? null : this.#create([...set.values()])
    this.#explode(plan)
    const setAt = pathMap([...set.values()].map(({ path, value }) => [path, isOpen(value)]))
    const staying = this.#shown.filter((mark) => {
      const id = pathToId(mark.path)
      return !set.has(id) && !unset.has(id) && !isInTheWay(mark, setAt)
    })
    const remaining = new Set(staying.map(({ path }) => pathToId(path)))
    const changed = pathMap([
      ...[...set.values()].map(({ path }): [Path, true] => [path, true]),
      ...[...unset.values()].map((path): [Path, true] => [path, true]),
      ...this.#shown
        .filter(({ path }) => !remaining.has(pathToId(path)))
        .map(({ path }): [Path, true] => [path, true])
    ])
    const cleared = this.#places.filter((place) => {
      const id = pathToId(place.path)
      if (set.has(id)) return false
      if (remaining.has(id)) return this.#isOwnInTheWay(place, setAt)
      return overlaps(place.path, changed) && this.#isToClear(place, isAbove(place.path, changed))
    })
    return this.#entry([...set.values()], cleared)
  }

  delete(): ValueEntry | null {
    const cleared = this.#places.filter((place) => this.#isToClear(place, false))
    // Where values of other types stand beside it, there must be a write that has seen them.
    const isMixed = this.#write.foreign.length > 0
    return this.#entry([], cleared.length > 0 || !isMixed ? cleared : [ROOT_PLACE], isMixed)
  }

  /** The first entry at a key, or the first `value` entry there. */
  #create(leaves: readonly Leaf[]): ValueEntry {
    const { position, stamp, foreign } = this.#write
    const seen = seenBy(foreign, position.core)
    let size = 0
    const registers = leaves.map(({ path, value: leaf }): FieldRegister => {
      const value = encodeNormalized(leaf)
      size += value.byteLength
      return { path, position, stamp, seen, value }
    })
    checkSize(size)
    checkCount(registers.length)
    return { type: 'value', head: { position, stamp, seen }, registers }
  }

  /** Puts a value as the only register. */
  replace(value: Value): ValueEntry | null {
    const plan = whole(value)
    for (const { path } of this.#places) if (path.length > 0) plan.unset.set(pathToId(path), path)
    return this.put(plan)
  }

  /** An object that stands as one register comes apart when something is written below it. */
  #explode({ set, unset }: Plan): void {
    const planned = pathMap<true>([...set.values()].map(({ path }) => [path, true]))
    const touched = pathMap([
      ...[...set.values()].map(({ path }): [Path, true] => [path, true]),
      ...[...unset.values()].map((path): [Path, true] => [path, true])
    ])
    for (const mark of this.#shown) {
      if (mark.value === null || hasRoomBelow(mark.value) || !touched.hasBelow(mark.path)) continue
      const { value } = markToLeaf(mark)
      if (!isFields(value)) continue
      for (const leaf of valueToLeaves(value)) {
        const path = [...mark.path, ...leaf.path]
        const id = pathToId(path)
        if (!unset.has(id) && !overlaps(path, planned)) set.set(id, { path, value: leaf.value })
      }
      unset.set(pathToId(mark.path), mark.path)
    }
  }

  /** Something was set here, and no tombstone of ours has seen it. Objects with room below need not make any. */
  #isToClear({ marks }: Place<PlacedEntry>, isOnlyAbove: boolean): boolean {
    const tombstone = marks.find((mark) => this.#isOwn(mark) && mark.value === null)
    return marks.some(
      (mark) =>
        mark.value !== null &&
        !(isOnlyAbove && hasRoomBelow(mark.value)) &&
        !(tombstone !== undefined && hasSeen(tombstone, mark.position))
    )
  }

  /** Our own register, beaten where somebody's empty object shows, must not stand above what we write. */
  #isOwnInTheWay({ marks }: Place<PlacedEntry>, setAt: PathMap<boolean>): boolean {
    return marks.some((mark) => this.#isOwn(mark) && isInTheWay(mark, setAt))
  }

  #isOwn({ said }: Mark<PlacedEntry>): boolean {
    return b4a.equals(said.core, this.#write.position.core)
  }

  /** The own entry with these leaves written and these places cleared; null when nobody would see a difference. */
  #entry(
    leaves: readonly Leaf[],
    cleared: readonly Pick<Place<PlacedEntry>, 'path'>[],
    isForced = false
  ): ValueEntry | null {
    if (leaves.length === 0 && !isForced && !this.#isVisible(cleared)) return null
    const registers = new Map<string, FieldRegister>()
    for (const { path, marks } of this.#places) {
      const own = marks.find((mark) => this.#isOwn(mark))
      if (own !== undefined) registers.set(pathToId(path), withoutSaid(own))
    }
    const marksAt = new Map(this.#places.map(({ path, marks }) => [pathToId(path), marks]))
    let size = 0
    const write = (path: Path, value: Uint8Array | null) => {
      const id = pathToId(path)
      registers.set(id, this.#register(path, marksAt.get(id) ?? [], value))
      size += value?.byteLength ?? 0
    }
    for (const { path } of cleared) write(path, null)
    for (const { path, value } of leaves) write(path, encodeNormalized(value))
    checkSize(size)
    checkCount(registers.size)
    const { position, stamp } = this.#write
    const all = [...registers.values()].sort((a, b) => comparePaths(a.path, b.path))
    // The head is that of what this write writes; registers that had seen something else have their own.
    const seen = all.find((register) => register.position === position)?.seen ?? []
    return { type: 'value', head: { position, stamp, seen }, registers: all }
  }

  /** Something that shows, or is listed as a conflict, stands at one of these places. */
  #isVisible(cleared: readonly Pick<Place<PlacedEntry>, 'path'>[]): boolean {
    const ids = new Set(cleared.map(({ path }) => pathToId(path)))
    return this.#places.some(
      ({ path, winner, conflicts }) =>
        ids.has(pathToId(path)) && [winner, ...conflicts].some(({ value }) => value !== null)
    )
  }

  #register(path: Path, marks: readonly Head[], value: Uint8Array | null): FieldRegister {
    const { position, stamp, foreign } = this.#write
    const seen = seenBy([...marks, ...foreign], position.core)
    return { path, position, stamp, seen, value }
  }
}

const ROOT_PLACE = { path: [] }

function markToLeaf({ path, value }: Mark<PlacedEntry>): Leaf {
  return { path, value: value === null ? null : decodeValue(value, path.length) }
}

function withoutSaid({ path, position, stamp, seen, value }: FieldRegister): FieldRegister {
  return { path, position, stamp, seen, value }
}

function pathMap<T>(entries: readonly (readonly [Path, T])[]): PathMap<T> {
  const map = new PathMap<T>()
  for (const [path, item] of entries) map.set(path, item)
  return map
}

function isOpen(value: Value): boolean {
  return isFields(value) && Object.keys(value).length === 0
}

/** Something is set that leaves no room for this one, or needs the room that it takes. */
function isInTheWay({ path, value }: FieldRegister, setAt: PathMap<boolean>): boolean {
  if (value === null) return false
  if (!hasRoomBelow(value) && setAt.hasBelow(path)) return true
  return [...setAt.above(path)].includes(false)
}

function overlaps(path: Path, map: PathMap<true>): boolean {
  return map.get(path) === true || map.hasBelow(path) || isBelow(path, map)
}

/** Above some of the paths of a map, and neither among nor below them. */
function isAbove(path: Path, map: PathMap<true>): boolean {
  return map.get(path) !== true && !isBelow(path, map)
}

function isBelow(path: Path, map: PathMap<true>): boolean {
  return !(map.above(path).next().done ?? false)
}

/** @throws VALUE_TOO_LARGE */
export function checkCount(registers: number): void {
  if (registers <= MAX_ITEMS) return
  throw new ManyhandsError(
    'VALUE_TOO_LARGE',
    `The value has ${registers} fields of this device, the limit is ${MAX_ITEMS}`
  )
}

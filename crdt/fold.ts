/**
 * The fold of a key: from what every core says about it to one value and its conflicts. A function of the set of entries: order,
 * grouping and repetition do not matter, and no clock but the stamps takes part.
 *
 * Each type folds all current entries of its own. Where types meet under one key, the entries' heads are judged like registers:
 * what a later write had seen is out, and of the rest the greatest decides the type (with `add-wins` one that exists, if any
 * does); the others are conflicts. The slow twin is test/oracle/fold-entries.ts.
 */
import b4a from 'b4a'
import { foldDots } from './dots.ts'
import { foldFields, type FoldedFields, type Mark, type PlacedEntry } from './fields.ts'
import type { Head } from './head.ts'
import {
  NO_MERGE_TYPES,
  type AnyMergeType,
  type Contribution,
  type MergeTypes
} from './merge-type.ts'
import { leavesToValue, type Leaf, type Path } from './paths.ts'
import { compareHeads, foldRegisters, type AdmittedLength, type Deletes } from './register.ts'
import { foldRows } from './rows.ts'
import { hasSeen, knowledgeOf } from './seen.ts'
import { soleHead } from './sole-head.ts'
import type { FieldRegister, NamedEntry, TypedEntry } from './typed-entry.ts'
import { decodeValue, normalizeValue, type Value } from './value.ts'

export interface FoldOptions {
  /** Default 'add-wins'. */
  readonly deletes?: Deletes
  /** Those of users. Entries of others fold as one atomic register that nobody can read. */
  readonly types?: MergeTypes
}

/** A write that takes part in a value, and who says it. */
export interface Shown<S extends PlacedEntry> extends Head {
  readonly said: S
  readonly path: Path
}

/** What was written concurrently and does not show. */
export interface Conflict<S extends PlacedEntry> {
  readonly path: Path
  /** Null for a deletion, and for what nobody here can read. */
  readonly value: Value
  readonly isDeleted: boolean
  readonly of: Shown<S>
}

export interface FoldedEntry<S extends PlacedEntry> {
  /** 'value', 'counter', ..., or the name of a user's merge type. Null when nothing is said. */
  readonly type: string | null
  readonly exists: boolean
  /** Null when the key does not exist, or when nobody here can read it. */
  readonly value: Value
  /** The latest of what shows; the latest deletion where the key is gone. Null when nothing is said. */
  readonly winner: Shown<S> | null
  /** Everything that makes the value: two folds with equal ones, and equal values, show the same. */
  readonly shown: readonly Shown<S>[]
  /** Rising by path, the latest first. */
  readonly conflicts: readonly Conflict<S>[]
  /** True when only a newer version, or a merge type that is not registered, can read what stands here. */
  readonly isUnknownType: boolean
  /** Entries with values that no version can read: they were left out. */
  readonly refused: readonly S[]
}

/**
 * @param given one entry per core; of several of one core the last counts
 * @param isGivenAway whether nobody else holds their bytes: then the value may be a part of them
 */
export function foldEntries<S extends PlacedEntry>(
  given: readonly S[],
  admitted: AdmittedLength,
  options: FoldOptions = {},
  isGivenAway = false
): FoldedEntry<S> {
  const [first] = given
  if (first === undefined) return NOTHING
  const only = given.length === 1 ? first : soleHead(given, admitted)
  const folded = only === null ? null : foldOnly(only, isGivenAway && given.length === 1)
  if (folded !== null) return folded
  return new Fold<S>(admitted, options).run(lastPerCore(given))
}

const NONE: readonly never[] = []
const ROOT: Path = []

const NOTHING: FoldedEntry<never> = {
  type: null,
  exists: false,
  value: null,
  winner: null,
  shown: NONE,
  conflicts: NONE,
  isUnknownType: false,
  refused: NONE
}

/** The usual case: one core counts, and says a value. Null for every other. */
function foldOnly<S extends PlacedEntry>(said: S, isGivenAway: boolean): FoldedEntry<S> | null {
  if (said.entry.type !== 'value') return null
  const { registers } = said.entry
  const [first] = registers
  if (first === undefined) return null
  if (registers.length > 1 || first.path.length > 0) return foldOnlyFields(said, registers)
  const { position, stamp, seen, value: bytes } = first
  const value = bytes === null ? null : readValue(bytes, 0, isGivenAway)
  if (value === UNREADABLE) return null
  const winner = { said, path: ROOT, position, stamp, seen }
  return {
    type: 'value',
    exists: bytes !== null,
    value,
    winner,
    shown: bytes === null ? NONE : [winner],
    conflicts: NONE,
    isUnknownType: false,
    refused: NONE
  }
}

/** One core never contradicts itself: its entry would have been refused. */
function foldOnlyFields<S extends PlacedEntry>(
  said: S,
  registers: readonly FieldRegister[]
): FoldedEntry<S> | null {
  const shown: Shown<S>[] = []
  const leaves: Leaf[] = []
  for (const { path, position, stamp, seen, value: bytes } of registers) {
    if (bytes === null) continue
    const value = readValue(bytes, path.length)
    if (value === UNREADABLE) return null
    shown.push({ said, path, position, stamp, seen })
    leaves.push({ path, value })
  }
  if (shown.length === 0) return null
  return {
    type: 'value',
    exists: true,
    value: leavesToValue(leaves),
    winner: latest(shown),
    shown,
    conflicts: NONE,
    isUnknownType: false,
    refused: NONE
  }
}

/** Remote bytes that are no value. */
const UNREADABLE = Symbol('unreadable')

function readValue(
  bytes: Uint8Array,
  depth: number,
  isGivenAway = false
): Value | typeof UNREADABLE {
  try {
    return decodeValue(bytes, depth, isGivenAway)
  } catch {
    return UNREADABLE
  }
}

function lastPerCore<S extends PlacedEntry>(given: readonly S[]): readonly S[] {
  const last = new Map<string, S>()
  for (const said of given) {
    const id = b4a.toString(said.core, 'hex')
    const known = last.get(id)
    if (known === undefined || known.entry.head.position.seq < said.entry.head.position.seq) {
      last.set(id, said)
    }
  }
  // Sorted, so that whatever depends on an order depends on that of the cores.
  return [...last.values()].sort((a, b) => b4a.compare(a.core, b.core))
}

/** What the entries of one type come to. */
interface Part<S extends PlacedEntry> {
  readonly type: string
  readonly exists: boolean
  readonly value: Value
  readonly shown: readonly Shown<S>[]
  readonly conflicts: readonly Conflict<S>[]
  readonly isUnknownType: boolean
  /** The latest of what shows, or else the latest deletion. */
  readonly foremost: Shown<S> | null
  /** Of all entries, those that do not show included. */
  readonly heads: readonly Shown<S>[]
}

function showPart<S extends PlacedEntry>(
  { type, exists, value, shown, isUnknownType, foremost }: Part<S>,
  conflicts: readonly Conflict<S>[]
): FoldedEntry<S> {
  const winner = foremost
  return { type, exists, value, winner, shown, conflicts, isUnknownType, refused: NONE }
}

/** What another type's entries say. */
function asConflicts<S extends PlacedEntry>(
  { exists, value, foremost, conflicts }: Part<S>,
  decisive: Part<S>
): readonly Conflict<S>[] {
  if (foremost === null || (!exists && !decisive.exists)) return conflicts
  return [{ path: ROOT, value, isDeleted: !exists, of: foremost }, ...conflicts]
}

class Fold<S extends PlacedEntry> {
  readonly #admitted: AdmittedLength
  readonly #deletes: Deletes
  readonly #types: MergeTypes
  /** Found on the way. */
  readonly #refused = new Set<S>()

  constructor(
    admitted: AdmittedLength,
    { deletes = 'add-wins', types = NO_MERGE_TYPES }: FoldOptions
  ) {
    this.#admitted = admitted
    this.#deletes = deletes
    this.#types = types
  }

  /** Folds, and folds again without what turned out to be unreadable. */
  run(said: readonly S[]): FoldedEntry<S> {
    for (;;) {
      const readable = said.filter((each) => !this.#refused.has(each))
      const before = this.#refused.size
      const folded = this.#fold(readable)
      if (this.#refused.size === before) return { ...folded, refused: [...this.#refused] }
    }
  }

  #fold(said: readonly S[]): FoldedEntry<S> {
    const parts = [...groupByType(said).values()].map((group) => this.#part(group))
    const [first] = parts
    if (first === undefined) return NOTHING
    return parts.length === 1 ? showPart(first, first.conflicts) : this.#choose(parts)
  }

  /** The type of the greatest head that nobody had seen. */
  #choose(parts: readonly Part<S>[]): FoldedEntry<S> {
    const marks = parts.flatMap((part) =>
      part.heads.map((head) => ({ ...head, value: part.exists ? SOMETHING : null, part }))
    )
    const { winner, conflicts } = foldRegisters(marks, this.#admitted, this.#deletes)
    const decisive = winner.part
    const listed = new Set(conflicts.map(({ part }) => part))
    const others = parts.filter((part) => part !== decisive && listed.has(part))
    return showPart(decisive, [
      ...decisive.conflicts,
      ...others.flatMap((part) => asConflicts(part, decisive))
    ])
  }

  #part(said: readonly S[]): Part<S> {
    const entry = said[0]?.entry
    switch (entry?.type) {
      case 'value':
        return this.#fields(said)
      case 'counter':
      case 'max':
      case 'min': {
        const { value, shown } = foldRows(entry.type, said, this.#admitted)
        return partOf(entry.type, said, value !== null, value, shown)
      }
      case 'set':
      case 'flag':
        return this.#dots(entry.type, said)
      case 'named':
        return this.#named(entry.name, said)
      default:
        return this.#unknown('unknown', said)
    }
  }

  #fields(said: readonly S[]): Part<S> {
    const folded = foldFields(said, this.#admitted, this.#deletes)
    const value = this.#valueOf(folded)
    const conflicts = folded.hidden.map((of): Conflict<S> => {
      const { path, value: bytes } = of
      return { path, value: bytes === null ? null : this.#read(of), isDeleted: bytes === null, of }
    })
    const { shown } = folded
    const part = partOf('value', said, shown.length > 0, value, NONE)
    const gone = latest(folded.places.map(({ winner }) => winner))
    return { ...part, shown, conflicts, foremost: latest(shown) ?? gone }
  }

  #valueOf({ shown }: FoldedFields<S>): Value {
    const leaves = shown.map((mark): Leaf => ({ path: mark.path, value: this.#read(mark) }))
    return leavesToValue(leaves)
  }

  #read({ value, path, said }: Mark<S>): Value {
    const read = value === null ? null : readValue(value, path.length)
    if (read !== UNREADABLE) return read
    this.#refused.add(said)
    return null
  }

  #dots(type: 'set' | 'flag', said: readonly S[]): Part<S> {
    const { elements, shown } = foldDots(type, said)
    const exists = elements.length > 0
    if (type === 'flag') return partOf(type, said, exists, exists ? true : null, shown)
    const values = elements.map((bytes): Value => {
      const read = readValue(bytes, 1)
      if (read !== UNREADABLE) return read
      for (const each of said) if (adds(each.entry, bytes)) this.#refused.add(each)
      return null
    })
    return partOf(type, said, exists, exists ? values : null, shown)
  }

  #named(name: string, said: readonly S[]): Part<S> {
    const type = this.#types.get(name)
    if (type === null) return this.#unknown(name, said)
    const contributions = said.flatMap((each) => this.#contribution(type, each, said))
    const states = contributions.map(({ contribution }) => contribution)
    const value = states.length === 0 ? null : foldStates(type, states)
    if (value === UNREADABLE) {
      this.#refuseStates(type, contributions)
      return partOf(name, said, false, null, NONE) // all is folded again, without them
    }
    const shown = value === null ? NONE : contributions.map((each) => each.said)
    return partOf(name, said, value !== null, value, shown)
  }

  /** Its state, unless it is a deletion or a deletion had seen it. */
  #contribution(type: AnyMergeType, said: S, all: readonly S[]) {
    const { entry } = said
    if (entry.type !== 'named' || entry.state === null) return []
    const { position, stamp } = entry.head
    const isDeleted = all.some(
      (other) => other !== said && isDeletion(other.entry) && hasSeen(other.entry.head, position)
    )
    if (isDeleted) return []
    try {
      const contribution: Contribution<unknown> = {
        position,
        stamp,
        state: type.codec.decode(entry.state)
      }
      return [{ said, contribution }]
    } catch {
      this.#refused.add(said)
      return []
    }
  }

  /** Those that not even alone come to anything; where there is none, all: nobody can tell which does not fit. */
  #refuseStates(
    type: AnyMergeType,
    contributions: readonly { readonly said: S; readonly contribution: Contribution<unknown> }[]
  ): void {
    const bad = contributions.filter(
      ({ contribution }) => foldStates(type, [contribution]) === UNREADABLE
    )
    for (const { said } of bad.length > 0 ? bad : contributions) this.#refused.add(said)
  }

  #unknown(name: string, said: readonly S[]): Part<S> {
    const heads = said.map((each) => headOf(each))
    const marks = heads.map((head) => ({ ...head, value: SOMETHING }))
    const { winner, conflicts } = foldRegisters(marks, this.#admitted, this.#deletes)
    return {
      type: name,
      exists: true,
      value: null,
      shown: [winner],
      conflicts: conflicts.map((of) => ({ path: ROOT, value: null, isDeleted: false, of })),
      isUnknownType: true,
      foremost: winner,
      heads
    }
  }
}

/** Stands for any value where only its being there matters. */
const SOMETHING = new Uint8Array(1)

/** Entries that fold together: of one type, of one name, of one number. */
function groupByType<S extends PlacedEntry>(said: readonly S[]): Map<string, S[]> {
  const groups = new Map<string, S[]>()
  for (const each of said) {
    const id = typeToId(each.entry)
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [each])
    else group.push(each)
  }
  return groups
}

function typeToId(entry: TypedEntry): string {
  if (entry.type === 'named') return `named ${entry.name}`
  return entry.type === 'unknown' ? `unknown ${entry.number}` : entry.type
}

function partOf<S extends PlacedEntry>(
  type: string,
  said: readonly S[],
  exists: boolean,
  value: Value,
  shown: readonly S[]
): Part<S> {
  const heads = said.map(wholeHead)
  const isShown = new Set(shown)
  const showing = heads.filter((head) => isShown.has(head.said))
  return {
    type,
    exists,
    value,
    shown: showing,
    conflicts: NONE,
    isUnknownType: false,
    foremost: latest(showing) ?? latest(heads),
    heads
  }
}

function headOf<S extends PlacedEntry>(said: S): Shown<S> {
  const { position, stamp, seen } = said.entry.head
  return { said, path: ROOT, position, stamp, seen }
}

/** The head of an entry with all that any part of it had seen. */
function wholeHead<S extends PlacedEntry>(said: S): Shown<S> {
  const { position, stamp, seen } = knowledgeOf(said.entry)
  return { said, path: ROOT, position, stamp, seen }
}

function latest<S extends PlacedEntry>(shown: readonly Shown<S>[]): Shown<S> | null {
  return shown.length === 0
    ? null
    : shown.reduce((a, b) => (isSameMoment(a, b) || compareHeads(a, b) >= 0 ? a : b))
}

/** Written together: the usual case, told without comparing. */
function isSameMoment(a: Head, b: Head): boolean {
  return a.position === b.position && a.stamp === b.stamp
}

function isDeletion(entry: TypedEntry): entry is NamedEntry {
  return entry.type === 'named' && entry.state === null
}

function adds(entry: TypedEntry, element: Uint8Array): boolean {
  if (entry.type !== 'set') return false
  return entry.dots.some(({ value }) => b4a.equals(value, element))
}

/** A user's fold must not break a view, whatever others wrote. */
function foldStates(
  type: AnyMergeType,
  states: readonly Contribution<unknown>[]
): Value | typeof UNREADABLE {
  try {
    const value = type.fold(states)
    return value === null ? null : normalizeValue(value)
  } catch {
    return UNREADABLE
  }
}

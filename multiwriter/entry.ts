/**
 * What a caller sees of the view, in the encodings of one database: entries, their conflicts, changes, writes of the past; and
 * the way back, from a caller's keys and values to bytes. What cannot be decoded is refused: counted, and left out.
 */
import type { Stamp } from '../clock/index.ts'
import {
  copyValue,
  encodeValue,
  isFields,
  isSameValue,
  roughSize,
  type Conflict as FoldedConflict,
  type Shown,
  type Value,
  type WrittenValue
} from '../crdt/index.ts'
import type { TreeRange } from '../core/index.ts'
import { isManyhandsError, ManyhandsError } from '../errors.ts'
import {
  inheritEncoding,
  isPlainEncoding,
  type KeyEncoding,
  type ValueEncoding
} from './encodings.ts'
import type { Keyspace, Range } from './keyspace.ts'
import type { Refusals } from './refusals.ts'
import {
  isPromise,
  SchemaEncoding,
  SchemaMismatch,
  type SchemaIssue,
  type Validated
} from './schema.ts'
import type { FoldedKey, Said } from './view.ts'

/** One key and its value. */
export interface Entry<K, V> {
  readonly key: K
  readonly value: V
  /** The block of the writer's log that was written last, of those that make the value. */
  readonly seq: number
  /** Who wrote that: the key of the writer's log, in text form. */
  readonly writer: string
  readonly stamp: Stamp
  /**
   * Only in checkouts, of what does not count any more: from which block on the writer's log does not count since; 0 where its writer
   * may not write there.
   */
  readonly excludedSince?: number
  /** What other devices wrote at the same time: rising by path, greatest stamp first. Settled by `resolve`, and by writing there. */
  readonly conflicts: readonly Conflict<V>[]
}

/** What was written without knowledge of what shows in its place. */
export interface Conflict<V> {
  /** Where in the value: field names from the outside in, none for the whole. */
  readonly path: readonly string[]
  /** Null if it is a deletion; of a field, what is stored. */
  readonly value: V | Value | null
  readonly deleted: boolean
  readonly seq: number
  readonly writer: string
  readonly stamp: Stamp
}

/** A key whose value changed in the view. */
export interface Change<K, V> {
  readonly key: K
  /** Null when the key is gone. */
  readonly current: Entry<K, V> | null
  /** Null when the key is new. */
  readonly previous: Entry<K, V> | null
  /** Who wrote what now stands there (or deleted it). */
  readonly writer: string
}

/** One write of the past. */
export interface HistoryEntry<K, V> {
  /** 'del' where it only deleted, be it one field. */
  readonly type: 'put' | 'del'
  readonly key: K
  /** Null for a deletion. Of an object the fields that were written then; of a counter and the like, its writer's part by then. */
  readonly value: V | Value | null
  /** The fields that were set or deleted then, as paths; `[[]]` for a value without fields. */
  readonly paths: readonly (readonly string[])[]
  /** As in entries. */
  readonly excludedSince?: number
  readonly seq: number
  readonly writer: string
  readonly stamp: Stamp
}

/** A key that is not the same in two states of a database. */
export interface Difference<K, V> {
  readonly key: K
  readonly left: Entry<K, V> | null
  readonly right: Entry<K, V> | null
}

/** An entry that is not shown because its value does not fit the schema. */
export interface Misfit<K> {
  readonly key: K
  /** As it is stored. */
  readonly value: Value
  readonly issues: readonly SchemaIssue[]
  readonly seq: number
  readonly writer: string
  readonly stamp: Stamp
}

/** One write of the past, before it is decoded. */
export interface Written {
  readonly key: Uint8Array
  readonly said: Said
  readonly written: WrittenValue
}

/** A value on its way to the log. */
export interface Storable<V> {
  /** A copy of what will be stored: an object as it is, anything else as its canonical bytes. */
  readonly stored: { readonly fields: Value } | { readonly bytes: Uint8Array }
  /** Bytes, roughly. */
  readonly size: number
  /** What a reader will get: what the schema made of it, if there is one. */
  readonly value: V
}

/** From which block on a log does not count any more at a key, where a block of it is not before that; else null. */
export type ExcludedSince = (core: Uint8Array, key: Uint8Array, seq: number) => number | null

/** One sub-database's view of keys and values; `I` is what may be put, where a schema makes a `V` of it. */
export class EntryCodec<K, V, I = V> {
  readonly space: Keyspace
  readonly keys: KeyEncoding<K>
  readonly values: ValueEncoding<V>
  readonly #refusals: Refusals
  readonly #excludedSince: ExcludedSince | null

  /** @param excludedSince of what never changes: what of it does not count any more */
  constructor(
    space: Keyspace,
    keys: KeyEncoding<K>,
    values: ValueEncoding<V>,
    refusals: Refusals,
    excludedSince: ExcludedSince | null = null
  ) {
    this.space = space
    this.keys = keys
    this.values = values
    this.#refusals = refusals
    this.#excludedSince = excludedSince
  }

  /** Whether values are stored as they are put. */
  get isPlain(): boolean {
    const { values } = this
    return isPlainEncoding(values instanceof SchemaEncoding ? values.base : values)
  }

  /** The whole key of the bee. @throws KEY_INVALID */
  encodeKey(key: K): Uint8Array {
    return this.space.encode(encodeWith(this.keys, key, 'KEY_INVALID'))
  }

  /** A promise when there is a schema that answers later. @throws VALUE_INVALID, VALUE_TOO_LARGE */
  storableOf(value: I): Storable<V> | Promise<Storable<V>> {
    const { values } = this
    if (values instanceof SchemaEncoding) return this.#validated(values, value)
    // Without a schema there is one type: I = V.
    const given = inheritEncoding<I, V>(value)
    const storable = { encode: (one: V) => storableOf(values.encode(one), given) }
    return encodeWith(storable, given, 'VALUE_INVALID')
  }

  #validated(values: SchemaEncoding<V, I>, value: I): Storable<V> | Promise<Storable<V>> {
    const validate = { encode: (one: I) => values.validate(one) }
    const validated = encodeWith(validate, value, 'VALUE_INVALID')
    const ready = ({ stored, shown }: Validated<V>) => storableOf(stored, shown)
    return isPromise(validated) ? validated.then(ready) : ready(validated)
  }

  range(range: Range<K>): TreeRange {
    return this.space.range(range, (key: K) => encodeWith(this.keys, key, 'KEY_INVALID'))
  }

  /** Null for what is not there, and (counted) for what cannot be read here. */
  entryOf(folded: FoldedKey): Entry<K, V> | null {
    const { winner } = folded
    if (winner === null || !folded.exists || folded.isUnknownType) return null
    // The hot path of every scan: no closure, no spread.
    try {
      const key = this.keys.decode(this.space.decode(folded.key))
      const value = this.values.decode(folded.value)
      const { position, stamp } = winner
      const { writer } = winner.said
      const { seq } = position
      const entry = { key, value, seq, writer, stamp, conflicts: this.conflictsOf(folded) }
      return this.#excludedSince === null ? entry : this.#marked(entry, folded.key, winner.said)
    } catch (error) {
      this.#refuse(winner.said, error)
      return null
    }
  }

  /** The entry of a key with conflicts, also where a deletion won. */
  conflictOf(folded: FoldedKey): Entry<K, V | null> | null {
    if (folded.conflicts.length === 0) return null
    return this.entryOf(folded) ?? this.#tombstoneOf(folded)
  }

  /** Null when nothing visible changed. */
  changeOf(bytes: Uint8Array, before: FoldedKey, after: FoldedKey): Change<K, V> | null {
    if (isSameShown(before, after)) return null
    const last = after.winner ?? before.winner
    if (last === null) return null
    const key = this.#keyOf(last.said, bytes)
    if (key === REFUSED) return null
    const current = this.entryOf(after)
    const previous = this.entryOf(before)
    if (current === null && previous === null) return null
    return { key, current, previous, writer: last.said.writer }
  }

  /** Null when both sides show the same. */
  differenceOf(left: FoldedKey, right: FoldedKey): Difference<K, V> | null {
    const change = this.changeOf(left.key, left, right)
    return change === null
      ? null
      : { key: change.key, left: change.previous, right: change.current }
  }

  /** Null (counted) for what cannot be read here. */
  historyOf({ key: bytes, said, written }: Written): HistoryEntry<K, V> | null {
    const key = this.#keyOf(said, bytes)
    if (key === REFUSED) return null
    const { position, stamp } = said.entry.head
    const { isDeletion, paths } = written
    const place = { paths, seq: position.seq, writer: said.writer, stamp }
    if (isDeletion)
      return this.#marked({ type: 'del' as const, key, value: null, ...place }, bytes, said)
    const isPart = paths.some((path) => path.length > 0)
    const value = isPart
      ? (this.shownValue(written.value) ?? written.value)
      : this.#decode(said, () => this.values.decode(written.value))
    if (value === REFUSED) return null
    return this.#marked({ type: 'put' as const, key, value, ...place }, bytes, said)
  }

  #marked<T extends { readonly seq: number }>(
    shown: T,
    key: Uint8Array,
    { core }: Pick<Said, 'core'>
  ): T & { readonly excludedSince?: number } {
    const since = this.#excludedSince?.(core, key, shown.seq) ?? null
    return since === null ? shown : { ...shown, excludedSince: since }
  }

  /** Null for what is of another encoding: shown, unlike in entries, because somebody asks why. */
  shownValue(value: Value): V | null {
    try {
      return this.values.decode(value)
    } catch {
      return null
    }
  }

  /** An entry that the schema refuses. */
  misfitOf(folded: FoldedKey): Misfit<K> | null {
    const { winner, value } = folded
    if (winner === null || !folded.exists || folded.isUnknownType) return null
    const key = this.#keyOf(winner.said, folded.key)
    if (key === REFUSED) return null
    try {
      this.values.decode(value)
    } catch (error) {
      if (!(error instanceof SchemaMismatch)) return null
      return { ...placeOf(winner), key, value, issues: error.issues }
    }
    return null
  }

  /** Null (counted) for what cannot be read here. */
  keyOf({ key, winner }: FoldedKey): K | null {
    const decoded = winner === null ? REFUSED : this.#keyOf(winner.said, key)
    return decoded === REFUSED ? null : decoded
  }

  /** As entries have them. */
  conflictsOf({ conflicts }: FoldedKey): readonly Conflict<V>[] {
    if (conflicts.length === 0) return NONE
    return conflicts.flatMap((conflict) => this.conflict(conflict) ?? [])
  }

  /** Null (counted) for what cannot be read here. */
  conflict({ path, value, isDeleted, of }: FoldedConflict<Said>): Conflict<V> | null {
    const place = { path, ...placeOf(of) }
    if (isDeleted) return { ...place, value: null, deleted: true }
    if (value === null && of.said.entry.type !== 'value') return null
    if (path.length > 0) return { ...place, value, deleted: false }
    const decoded = this.#decode(of.said, () => this.values.decode(value))
    return decoded === REFUSED ? null : { ...place, value: decoded, deleted: false }
  }

  #tombstoneOf(folded: FoldedKey): Entry<K, V | null> | null {
    const { winner } = folded
    if (winner === null || folded.exists) return null
    const key = this.#keyOf(winner.said, folded.key)
    if (key === REFUSED) return null
    return { ...placeOf(winner), key, value: null, conflicts: this.conflictsOf(folded) }
  }

  #keyOf(said: Said, bytes: Uint8Array): K | typeof REFUSED {
    return this.#decode(said, () => this.keys.decode(this.space.decode(bytes)))
  }

  #decode<T>(said: Said, decode: () => T): T | typeof REFUSED {
    try {
      return decode()
    } catch (error) {
      this.#refuse(said, error)
      return REFUSED
    }
  }

  #refuse({ writer, seq }: Said, error: unknown): void {
    const reason = error instanceof SchemaMismatch ? 'schema-mismatch' : 'encoding-mismatch'
    this.#refusals.add(writer, reason, seq)
  }
}

const REFUSED = Symbol('refused')
const NONE: readonly never[] = []

/** A copy, so that what the caller changes later is not written. */
function storableOf<V>(given: Value, value: V): Storable<V> {
  if (isFields(given)) {
    const fields = copyValue(given)
    return { stored: { fields }, size: roughSize(fields), value }
  }
  const bytes = encodeValue(given)
  return { stored: { bytes }, size: bytes.byteLength, value }
}

/** Whether nobody here can tell what stands at the key: a newer version, or a merge type that is not declared. */
export function isUnreadable({ winner, unsupported, isUnknownType }: FoldedKey): boolean {
  return winner === null ? unsupported.length > 0 : isUnknownType
}

function placeOf({ said, position, stamp }: Shown<Said>) {
  return { seq: position.seq, writer: said.writer, stamp }
}

/** The same writes, with the same outcome and the same conflicts. */
export function isSameShown(a: FoldedKey, b: FoldedKey): boolean {
  if (a.type !== b.type || a.exists !== b.exists) return false
  const areSame = isSameList(shownOf(a), shownOf(b)) && isSameList(conflicting(a), conflicting(b))
  // Of values, the writes that show are all there is; what others took away from a counter is not among them.
  return areSame && (a.type === 'value' || isSameValue(a.value, b.value))
}

/** What shows; where the key is gone, the deletion. */
function shownOf({ shown, winner }: FoldedKey): readonly Shown<Said>[] {
  return shown.length > 0 || winner === null ? shown : [winner]
}

function conflicting({ conflicts }: FoldedKey): readonly Shown<Said>[] {
  return conflicts.map(({ of }) => of)
}

function isSameList(a: readonly Shown<Said>[], b: readonly Shown<Said>[]): boolean {
  return a.length === b.length && a.every((each, i) => isSameWrite(each, b[i]))
}

/** Whether two are one write of one device at one place. */
function isSameWrite(a: Shown<Said>, b: Shown<Said> | undefined): boolean {
  return (
    b !== undefined &&
    a.position.seq === b.position.seq &&
    a.said.writer === b.said.writer &&
    a.path.length === b.path.length &&
    a.path.every((name, i) => name === b.path[i])
  )
}

/** A getter, a proxy or a codec of the caller's may throw anything: the code says what was wrong, the cause how. */
function encodeWith<T, U>(
  encoding: { encode(given: T): U },
  given: T,
  code: 'KEY_INVALID' | 'VALUE_INVALID'
): U {
  try {
    return encoding.encode(given)
  } catch (cause) {
    if (isManyhandsError(cause)) throw cause
    const what = code === 'KEY_INVALID' ? 'key' : 'value'
    throw new ManyhandsError(code, `The ${what} could not be encoded`, { cause })
  }
}

/**
 * What a caller sees of the view, in the encodings of one database: entries, their conflicts, changes, writes of the past; and
 * the way back, from a caller's keys and values to bytes. What cannot be decoded is refused: counted, and left out.
 */
import type { Stamp } from '../clock/index.ts'
import { encodeValue, type Value } from '../crdt/index.ts'
import type { TreeRange } from '../core/index.ts'
import { isManyhandsError, ManyhandsError } from '../errors.ts'
import { inheritEncoding, type KeyEncoding, type ValueEncoding } from './encodings.ts'
import type { Keyspace, Range } from './keyspace.ts'
import type { Refusals } from './refusals.ts'
import {
  isPromise,
  SchemaEncoding,
  SchemaMismatch,
  type SchemaIssue,
  type Validated
} from './schema.ts'
import type { FoldedKey, FoldedValue } from './view.ts'

/** One key and its value. */
export interface Entry<K, V> {
  readonly key: K
  readonly value: V
  /** The block of the writer's log in which the value stands. */
  readonly seq: number
  /** Who wrote it: the key of the writer's log, in text form. */
  readonly writer: string
  readonly stamp: Stamp
  /** What other devices wrote at the same time, greatest stamp first. Settled by the next put or del of this key. */
  readonly conflicts: readonly Conflict<V>[]
}

/** A value that was written without knowledge of the one that won. */
export interface Conflict<V> {
  /** Null if it is a deletion. */
  readonly value: V | null
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
  readonly type: 'put' | 'del'
  readonly key: K
  /** Null for a deletion. */
  readonly value: V | null
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

/** A value on its way to the log. */
export interface Storable<V> {
  /** Canonical bytes. */
  readonly bytes: Uint8Array
  /** What a reader will get: what the schema made of it, if there is one. */
  readonly value: V
}

/** One sub-database's view of keys and values; `I` is what may be put, where a schema makes a `V` of it. */
export class EntryCodec<K, V, I = V> {
  readonly space: Keyspace
  readonly keys: KeyEncoding<K>
  readonly values: ValueEncoding<V>
  readonly #refusals: Refusals

  constructor(space: Keyspace, keys: KeyEncoding<K>, values: ValueEncoding<V>, refusals: Refusals) {
    this.space = space
    this.keys = keys
    this.values = values
    this.#refusals = refusals
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
    const storable = { encode: (one: V) => encodeValue(values.encode(one)) }
    return { bytes: encodeWith(storable, given, 'VALUE_INVALID'), value: given }
  }

  #validated(values: SchemaEncoding<V, I>, value: I): Storable<V> | Promise<Storable<V>> {
    const storableOf = ({ stored, shown }: Validated<V>) => ({
      bytes: encodeValue(stored),
      value: shown
    })
    const validated = encodeWith(
      { encode: (one: I) => values.validate(one) },
      value,
      'VALUE_INVALID'
    )
    return isPromise(validated) ? validated.then(storableOf) : storableOf(validated)
  }

  range(range: Range<K>): TreeRange {
    return this.space.range(range, (key: K) => encodeWith(this.keys, key, 'KEY_INVALID'))
  }

  /** Null for what is not there, and (counted) for what cannot be read here. */
  entryOf(folded: FoldedKey): Entry<K, V> | null {
    const { winner } = folded
    if (winner === null || winner.said.value === null || winner.said.isUnknownType) return null
    // The hot path of every scan: no closure, no spread.
    try {
      const key = this.keys.decode(this.space.decode(folded.key))
      const value = this.values.decode(winner.value)
      const { position, writer, stamp } = winner.said
      return { key, value, seq: position.seq, writer, stamp, conflicts: this.#conflictsOf(folded) }
    } catch (error) {
      this.#refuse(winner, error)
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
    if (isSameWinner(before, after)) return null
    const last = after.winner ?? before.winner
    if (last === null) return null
    const key = this.#keyOf(last, bytes)
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
  historyOf(bytes: Uint8Array, written: FoldedValue): HistoryEntry<K, V> | null {
    const key = this.#keyOf(written, bytes)
    if (key === REFUSED) return null
    if (written.said.value === null) return { type: 'del', ...placeOf(written), key, value: null }
    const value = this.#decode(written, () => this.values.decode(written.value))
    return value === REFUSED ? null : { type: 'put', ...placeOf(written), key, value }
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
    const { winner } = folded
    if (winner === null || winner.said.value === null || winner.said.isUnknownType) return null
    const key = this.#keyOf(winner, folded.key)
    if (key === REFUSED) return null
    try {
      this.values.decode(winner.value)
    } catch (error) {
      if (!(error instanceof SchemaMismatch)) return null
      return { ...placeOf(winner), key, value: winner.value, issues: error.issues }
    }
    return null
  }

  #tombstoneOf(folded: FoldedKey): Entry<K, V | null> | null {
    const { winner } = folded
    if (winner === null || winner.said.value !== null) return null
    const key = this.#keyOf(winner, folded.key)
    if (key === REFUSED) return null
    return { ...placeOf(winner), key, value: null, conflicts: this.#conflictsOf(folded) }
  }

  #conflictsOf({ conflicts }: FoldedKey): readonly Conflict<V>[] {
    if (conflicts.length === 0) return NONE
    return conflicts.flatMap((conflict): Conflict<V>[] => {
      if (conflict.said.isUnknownType) return []
      if (conflict.said.value === null)
        return [{ ...placeOf(conflict), value: null, deleted: true }]
      const value = this.#decode(conflict, () => this.values.decode(conflict.value))
      return value === REFUSED ? [] : [{ ...placeOf(conflict), value, deleted: false }]
    })
  }

  #keyOf(of: FoldedValue, bytes: Uint8Array): K | typeof REFUSED {
    return this.#decode(of, () => this.keys.decode(this.space.decode(bytes)))
  }

  #decode<T>(folded: FoldedValue, decode: () => T): T | typeof REFUSED {
    try {
      return decode()
    } catch (error) {
      this.#refuse(folded, error)
      return REFUSED
    }
  }

  #refuse({ said }: FoldedValue, error: unknown): void {
    const reason = error instanceof SchemaMismatch ? 'schema-mismatch' : 'encoding-mismatch'
    this.#refusals.add(said.writer, reason, said.seq)
  }
}

const REFUSED = Symbol('refused')
const NONE: readonly never[] = []

/** Whether only a newer version can tell what stands at the key. */
export function isUnreadable({ winner, unsupported }: FoldedKey): boolean {
  return winner === null ? unsupported.length > 0 : winner.said.isUnknownType
}

function placeOf({ said }: FoldedValue) {
  return { seq: said.position.seq, writer: said.writer, stamp: said.stamp }
}

/** The same write, seen with the same conflicts. */
function isSameWinner(a: FoldedKey, b: FoldedKey): boolean {
  if (a.winner === null || b.winner === null) return a.winner === b.winner
  if (a.conflicts.length !== b.conflicts.length) return false
  return (
    isSamePlace(a.winner, b.winner) &&
    a.conflicts.every((each, i) => isSamePlace(each, b.conflicts[i]))
  )
}

function isSamePlace(a: FoldedValue, b: FoldedValue | undefined): boolean {
  return (
    b !== undefined &&
    a.said.position.seq === b.said.position.seq &&
    a.said.writer === b.said.writer
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

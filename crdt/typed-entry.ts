/**
 * Entries of every type: what one core currently says about one key, decoded and with every position resolved. Byte by byte in
 * docs/FORMAT.md, section "Entry". To bytes: pack-entry.ts; from bytes: unpack-entry.ts; golden bytes in
 * test/vectors/typed-entry.json.
 *
 *     entry     = version u8 (1), type uint, head, payload
 *     value     = count uint, count x (depth uint, depth x name string, flags u8, [head | index uint], [length uint, value])
 *     counter, max, min = count uint, count x row, count uint, count x baseline
 *     set, flag = count uint, count x dot, count uint, count x (core 32 B, count uint, count x (seq uint, index uint))
 *     named     = name string, flags u8, the bytes of its codec
 *
 * What a batch wrote together is written once: whatever in the payload gives no position has that of the head, and equal heads
 * of registers stand in one place. All lists rise strictly, so an entry has one form.
 */
import b4a from 'b4a'
import { compareCores, type Head, type Position } from './head.ts'
import type { Path } from './paths.ts'
import type { PlacedRegister } from './register.ts'

/** A register of a tree of fields. */
export interface FieldRegister extends PlacedRegister {
  readonly path: Path
}

/** What one core contributes to a counter, a maximum or a minimum. */
export interface Row {
  /** Of the last contribution. */
  readonly position: Position
  /** A counter's running total since `since`; else a value that was raised. */
  readonly value: number
  /** The block from which the total runs. A baseline below it is of an earlier total. */
  readonly since: number
}

/** What a deletion had seen of one core's rows: all up to this position, where the total was `value`. */
export interface Baseline {
  readonly position: Position
  readonly value: number
}

/** Names one addition to a set: the `index`-th of its batch. */
export interface DotId {
  readonly position: Position
  readonly index: number
}

export interface Dot extends DotId {
  /** The element's canonical bytes. */
  readonly value: Uint8Array
}

export interface ValueEntry {
  readonly type: 'value'
  readonly head: Head
  /** Rising by path, at least one. Nothing that is set stands below a value with no room for fields. */
  readonly registers: readonly FieldRegister[]
}

export interface RowsEntry {
  readonly type: 'counter' | 'max' | 'min'
  readonly head: Head
  /** Rising by position; of a counter one per core. */
  readonly rows: readonly Row[]
  /** Rising by core, one per core. */
  readonly baselines: readonly Baseline[]
}

export interface DotsEntry {
  readonly type: 'set' | 'flag'
  readonly head: Head
  readonly dots: readonly Dot[]
  readonly removed: readonly DotId[]
}

/** Of a merge type that a user defined. */
export interface NamedEntry {
  readonly type: 'named'
  readonly name: string
  readonly head: Head
  /** Null for a deletion. */
  readonly state: Uint8Array | null
}

/** Of a type that only a newer version knows: kept as it is. */
export interface UnknownEntry {
  readonly type: 'unknown'
  readonly number: number
  readonly head: Head
  readonly payload: Uint8Array
}

export type TypedEntry = ValueEntry | RowsEntry | DotsEntry | NamedEntry | UnknownEntry

/** The numbers on the wire. */
export const TYPES = ['value', 'counter', 'set', 'flag', 'max', 'min', 'named'] as const
export const FIRST_TYPE = 1

/** More items in one entry are nobody's: a block is smaller. */
export const MAX_ITEMS = 65_536

/** Of a user's merge type, in bytes. */
export const MAX_TYPE_NAME_BYTES = 64

/** Flags of a register, of a position among rows and dots, and of a named entry. */
export const REGISTER_DELETED = 1
export const REGISTER_HAS_HEAD = 2
export const REGISTER_HAS_HEAD_INDEX = 4

export const ITEM_HAS_SEQ = 1
export const ITEM_HAS_CORE = 2
export const ROW_HAS_SINCE = 4

export const NAMED_DELETED = 1

/** The canonical bytes of an empty object. */
const EMPTY_OBJECT = 0xa0

/** True for an object without fields of its own: there may be fields below it. */
export function hasRoomBelow(value: Uint8Array): boolean {
  return value.byteLength === 1 && value[0] === EMPTY_OBJECT
}

/** Total order of positions: by core, then block. */
export function comparePositions(a: Position, b: Position): number {
  return (a.core === b.core ? 0 : compareCores(a.core, b.core)) || a.seq - b.seq
}

export function compareDots(a: DotId, b: DotId): number {
  return comparePositions(a.position, b.position) || a.index - b.index
}

/** Whether two keys of cores are the same. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || b4a.equals(a, b)
}

/** In a position: the entry's own core. */
export const NO_CORE = new Uint8Array(0)

/** What `type` says of entries that are no user's. */
const OWN_NAMES: ReadonlySet<string> = new Set([...TYPES, 'unknown'])

/** Whether a user's merge type may have this name. */
export function isTypeName(name: string): boolean {
  const length = b4a.byteLength(name)
  const isFree = length > 0 && length <= MAX_TYPE_NAME_BYTES && !OWN_NAMES.has(name)
  return isFree && name.isWellFormed()
}

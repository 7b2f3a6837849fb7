/**
 * The usual writes, in one step: a value without fields where nobody has written any, and fields that nobody else has written,
 * none of which come or go. Each gives what write-fields.ts would give (test/crdt/write-alone.test.ts), or null where that is to be
 * asked.
 */
import type { Stamp } from '../clock/index.ts'
import type { PlacedEntry } from './fields.ts'
import { MAX_SEEN, NOTHING_SEEN, type Head, type Position } from './head.ts'
import type { Patch } from './patch.ts'
import { comparePaths, isFields, type Leaf, type Path } from './paths.ts'
import { seenBy } from './seen.ts'
import {
  hasRoomBelow,
  MAX_ITEMS,
  type FieldRegister,
  type TypedEntry,
  type ValueEntry
} from './typed-entry.ts'
import { checkSize, encodeNormalized, normalizeValue } from './value.ts'

const ROOT: readonly string[] = []

/** @returns null where fields, or other types, are to be seen */
export function writeWhole(
  said: readonly PlacedEntry[],
  value: Uint8Array,
  position: Position,
  stamp: Stamp
): ValueEntry | null {
  const heads: Head[] = []
  for (const { entry } of said) {
    const register = entry.type === 'value' ? entry.registers[0] : undefined
    if (entry.type !== 'value' || entry.registers.length !== 1 || register === undefined)
      return null
    if (register.path.length > 0) return null
    heads.push(register)
  }
  const head = { position, stamp, seen: seenBy(heads, position.core) }
  const register: FieldRegister = { path: ROOT, position, stamp, seen: head.seen, value }
  return { type: 'value', head, registers: [register] }
}

/**
 * What an entry of one value had seen, and all that those had seen: who writes over it needs none of them. Nothing for every other
 * entry, and where the list may have been cut.
 */
export function seenWhole(entry: TypedEntry): readonly Position[] {
  if (entry.type !== 'value' || entry.registers.length !== 1) return NOTHING_SEEN
  const [register] = entry.registers
  if (register === undefined || register.path.length > 0) return NOTHING_SEEN
  return register.seen.length < MAX_SEEN ? register.seen : NOTHING_SEEN
}

/**
 * @param own what stands there; nobody else says anything
 * @param leaves rising by path; where there is an own entry, the same paths as it has
 */
export function writeFieldsAlone(
  own: TypedEntry | null,
  leaves: readonly Leaf[],
  position: Position,
  stamp: Stamp
): ValueEntry | 'same' | null {
  if (own === null) return writeNew(leaves, position, stamp)
  if (own.type !== 'value') return null
  const set = own.registers.filter(({ value }) => value !== null)
  const isSame = set.length === leaves.length && set.every(({ path }, i) => isAt(leaves[i], path))
  return isSame ? overwrite(own, leaves, position, stamp) : null
}

/** As `writeFieldsAlone`, where the own entry has all the paths that the patch sets. */
export function patchAlone(
  own: TypedEntry | null,
  patch: Patch,
  position: Position,
  stamp: Stamp
): ValueEntry | 'same' | null {
  const leaves: Leaf[] = []
  if (own?.type !== 'value' || !collectSet(patch, [], leaves) || leaves.length === 0) return null
  leaves.sort((a, b) => comparePaths(a.path, b.path))
  let next = 0
  for (const { path, value } of own.registers) {
    if (value === null || !isAt(leaves[next], path)) continue
    // There may be fields below it, which are in the way.
    if (hasRoomBelow(value)) return null
    next++
  }
  return next === leaves.length ? overwrite(own, leaves, position, stamp) : null
}

/** Whether a patch sets leaves, and does no more. @throws VALUE_INVALID */
export function setsOnly(patch: Patch): boolean {
  const leaves: Leaf[] = []
  return collectSet(patch, [], leaves) && leaves.length > 0
}

/** False where the patch does more than to set leaves. */
function collectSet(patch: Patch, path: Path, leaves: Leaf[]): boolean {
  return Object.entries(patch).every(([name, field]) => {
    if (field === undefined) return false
    const at = [...path, name]
    if (!isFields(field)) return leaves.push({ path: at, value: normalizeValue(field) }) > 0
    return Object.keys(field).length > 0 && collectSet(field, at, leaves)
  })
}

function isAt(leaf: Leaf | undefined, path: Path): boolean {
  return leaf?.path.length === path.length && leaf.path.every((name, i) => name === path[i])
}

function writeNew(leaves: readonly Leaf[], position: Position, stamp: Stamp): ValueEntry | null {
  if (leaves.length > MAX_ITEMS) return null
  let size = 0
  const registers = leaves.map(({ path, value: leaf }): FieldRegister => {
    const value = encodeNormalized(leaf)
    size += value.byteLength
    return { path, position, stamp, seen: NOTHING_SEEN, value }
  })
  checkSize(size)
  return { type: 'value', head: { position, stamp, seen: NOTHING_SEEN }, registers }
}

function overwrite(
  own: ValueEntry,
  leaves: readonly Leaf[],
  position: Position,
  stamp: Stamp
): ValueEntry | 'same' {
  let next = 0
  let size = 0
  let seen: readonly Position[] | null = null
  const registers = own.registers.map((register): FieldRegister => {
    const leaf = leaves[next]
    if (register.value === null || leaf === undefined || !isAt(leaf, register.path)) return register
    next++
    const value = encodeNormalized(leaf.value)
    if (isSameBytes(value, register.value)) return register
    size += value.byteLength
    const known = register.seen.length === 0 ? NOTHING_SEEN : seenBy([register], position.core)
    seen ??= known
    return { path: register.path, position, stamp, seen: known, value }
  })
  checkSize(size)
  return seen === null ? 'same' : { type: 'value', head: { position, stamp, seen }, registers }
}

/** Of fields, most of which are short: a loop is over before a comparison in native code has begun. */
function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false
  return true
}

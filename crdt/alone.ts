/** One core's entry by itself: what it says whatever the others say, and what its last write said. */
import type { PlacedEntry } from './fields.ts'
import { foldEntries, type FoldOptions } from './fold.ts'
import { leavesToValue, type Leaf, type Path } from './paths.ts'
import {
  comparePositions,
  type FieldRegister,
  type TypedEntry,
  type ValueEntry
} from './typed-entry.ts'
import { decodeValue, type Value } from './value.ts'

/**
 * The value that an entry of type `value` gives by itself, of what can be read. Null for nothing, and for every other type: these
 * mean something only together.
 */
export function valueAlone(entry: TypedEntry): Value {
  return entry.type === 'value' ? leavesToValue(leavesOf(entry.registers)) : null
}

/** Whether all values in an entry can be read. What a user's merge type holds is not asked here. */
export function isReadable(entry: TypedEntry): boolean {
  switch (entry.type) {
    case 'value':
      return entry.registers.every(
        ({ path, value }) => value === null || isValue(value, path.length)
      )
    case 'set':
    case 'flag':
      return entry.dots.every(({ value }) => isValue(value, 1))
    default:
      return true
  }
}

function isValue(bytes: Uint8Array, depth: number): boolean {
  return readValue(bytes, depth) !== undefined
}

/** As `decodeValue`; undefined for remote bytes that are no value. */
export function readValue(bytes: Uint8Array, depth: number): Value | undefined {
  try {
    return decodeValue(bytes, depth)
  } catch {
    return undefined
  }
}

/** What a write said: a value set or added to, or else a deletion. */
export interface WrittenValue {
  readonly isDeletion: boolean
  /** Of a value, the fields that were set; of a counter and the like, what its writer's part came to. */
  readonly value: Value
  /** Of a value, the field paths that were set or deleted; [[]] for the whole. */
  readonly paths: readonly Path[]
}

/** What the write that made an entry said; null for what nobody here can read. */
export function lastWritten(said: PlacedEntry, { types }: FoldOptions): WrittenValue | null {
  const { entry } = said
  if (entry.type === 'value') return lastFields(entry)
  const folded = foldEntries([said], everything, types === undefined ? {} : { types })
  if (folded.isUnknownType || folded.refused.length > 0) return null
  return { isDeletion: !folded.exists, value: folded.value, paths: WHOLE }
}

function lastFields({ head, registers }: ValueEntry): WrittenValue | null {
  const written = registers.filter(
    ({ position }) => comparePositions(position, head.position) === 0
  )
  const set = written.filter(({ value }) => value !== null)
  const leaves = leavesOf(set)
  if (leaves.length < set.length) return null
  const paths = written.map(({ path }) => path)
  return { isDeletion: set.length === 0, value: leavesToValue(leaves), paths }
}

const WHOLE: readonly Path[] = [[]]

function everything(): number {
  return Infinity
}

function leavesOf(registers: readonly FieldRegister[]): Leaf[] {
  return registers.flatMap(({ path, value: bytes }): Leaf[] => {
    const value = bytes === null ? undefined : readValue(bytes, path.length)
    return value === undefined ? [] : [{ path, value }]
  })
}

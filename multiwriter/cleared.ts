/**
 * How a log says which of its blocks its writer has cleared: under one key of its own section, an ordinary value entry, so that
 * every reader of entries can pass over it. Byte by byte in docs/FORMAT.md, "Cleared blocks".
 *
 *     key    = 0x01, 0x00, "cleared"
 *     value  = [start, end, start, end, ...], whole numbers
 */
import b4a from 'b4a'
import z32 from 'z32'
import type { Stamp } from '../clock/index.ts'
import { decodeEntry, decodeValue, encodeEntry, encodeValue } from '../crdt/index.ts'
import type { BlockRange, ClearingHooks, TreePut } from '../core/index.ts'
import type { Refusals } from './refusals.ts'

/** What a writer says about its log; nothing of it is in the database. */
const SECTION_LOG = 0x01

export const CLEARED_KEY = b4a.concat([b4a.from([SECTION_LOG, 0]), b4a.from('cleared')])

/** The entry that declares these ranges. */
export function declarationOf(ranges: readonly BlockRange[], stamp: Stamp): TreePut {
  const value = encodeValue(ranges.flatMap(({ start, end }) => [start, end]))
  return { key: CLEARED_KEY, value: encodeEntry({ position: null, stamp, seen: [], value }) }
}

/** Null for what is no declaration. Whether the ranges are sound is checked where they are used. */
export function decodeDeclaration(
  bytes: Uint8Array,
  core: Uint8Array
): readonly BlockRange[] | null {
  const decoded = decodeEntry(bytes, core)
  if (!decoded.ok || decoded.entry.kind !== 'register') return null
  const { value } = decoded.entry.register
  const bounds = value === null ? null : decodeBounds(value)
  if (bounds === null || bounds.length % 2 !== 0) return null
  return Array.from({ length: bounds.length / 2 }, (_, i) => ({
    start: bounds[2 * i] ?? 0,
    end: bounds[2 * i + 1] ?? 0
  }))
}

function decodeBounds(bytes: Uint8Array): readonly number[] | null {
  try {
    const value = decodeValue(bytes)
    return Array.isArray(value) && value.every(isWhole) ? value : null
  } catch {
    return null
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/** How the logs of one union are read for declarations. @param oncleared all that the log declares is gone from here */
export function clearingHooks(
  refusals: Refusals,
  oncleared: (core: Uint8Array, since: number) => void = () => {}
): ClearingHooks {
  return {
    key: CLEARED_KEY,
    decode: decodeDeclaration,
    refuse: (core, seq) => refusals.add(z32.encode(core), 'cleared-untrue', seq),
    oncleared
  }
}

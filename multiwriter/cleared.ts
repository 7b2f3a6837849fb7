/**
 * How a log says which of its blocks its writer has cleared (log-section.ts). Byte by byte in docs/FORMAT.md, "Cleared blocks".
 *
 *     key    = 0x01, 0x00, "cleared"
 *     value  = [start, end, start, end, ...], whole numbers
 */
import z32 from 'z32'
import type { Stamp } from '../clock/index.ts'
import type { BlockRange, ClearingHooks, TreePut } from '../core/index.ts'
import { heardInLog, logKey, sayInLog } from './log-section.ts'
import type { Refusals } from './refusals.ts'

export const CLEARED_KEY = logKey('cleared')

/** The entry that declares these ranges. */
export function declarationOf(ranges: readonly BlockRange[], stamp: Stamp): TreePut {
  const bounds = ranges.flatMap(({ start, end }) => [start, end])
  return sayInLog(CLEARED_KEY, bounds, stamp)
}

/** Null for what is no declaration. Whether the ranges are sound is checked where they are used. */
export function decodeDeclaration(
  bytes: Uint8Array,
  core: Uint8Array
): readonly BlockRange[] | null {
  const bounds = heardInLog(bytes, core)
  if (bounds === null || bounds.length % 2 !== 0 || !bounds.every(isWhole)) return null
  return Array.from({ length: bounds.length / 2 }, (_, i) => ({
    start: bounds[2 * i] ?? 0,
    end: bounds[2 * i + 1] ?? 0
  }))
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

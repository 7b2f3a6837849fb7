/**
 * What a writer says about its own log, under keys of a section of their own: ordinary value entries, so that every reader of
 * entries can pass over them. Nothing of it is in the database. Byte by byte in docs/FORMAT.md.
 *
 *     key   = 0x01, 0x00, what is said
 *     value = an array: of numbers for blocks that were cleared (cleared.ts), of cores and lengths for the rest
 */
import b4a from 'b4a'
import type { CoreLength, Stamp } from '../clock/index.ts'
import { decodeEntry, decodeValue, encodeEntry, encodeValue, type Value } from '../crdt/index.ts'
import type { TreePut, TreeRange } from '../core/index.ts'

export const SECTION_LOG = 0x01

/** How far this device reads each other log (acknowledgements.ts). */
export const ACKNOWLEDGED_KEY = logKey('acknowledged')

/** How far it read each other log when it pruned (reliance.ts). */
export const PRUNED_KEY = logKey('pruned')

/** Everything but this section: a batch that wrote nothing there is no news. */
export const BEHIND_LOG_SECTION: TreeRange = { gte: b4a.from([SECTION_LOG + 1]) }

export function logKey(name: string): Uint8Array {
  return b4a.concat([b4a.from([SECTION_LOG, 0]), b4a.from(name)])
}

/** The entry that says it. */
export function sayInLog(key: Uint8Array, said: Value, stamp: Stamp): TreePut {
  return { key, value: encodeEntry({ position: null, stamp, seen: [], value: encodeValue(said) }) }
}

/** What an entry of this section says; null for what is no array. */
export function heardInLog(bytes: Uint8Array, core: Uint8Array): readonly Value[] | null {
  const decoded = decodeEntry(bytes, core)
  if (!decoded.ok || decoded.entry.kind !== 'register') return null
  const { value } = decoded.entry.register
  try {
    const said = value === null ? null : decodeValue(value)
    return Array.isArray(said) ? said : null
  } catch {
    return null
  }
}

/** As `sayInLog`: cores and lengths one after the other, rising by core. */
export function sayLengths(key: Uint8Array, lengths: readonly CoreLength[], stamp: Stamp): TreePut {
  const sorted = [...lengths].sort((a, b) => b4a.compare(a.core, b.core))
  const said = sorted.flatMap(({ core, length }): Value[] => [core, length])
  return sayInLog(key, said, stamp)
}

/** Null for what is no such list. A log names itself in none. */
export function heardLengths(bytes: Uint8Array, core: Uint8Array): readonly CoreLength[] | null {
  const said = heardInLog(bytes, core)
  if (said === null || said.length % 2 !== 0) return null
  const lengths: CoreLength[] = []
  for (let i = 0; i < said.length; i += 2) {
    const item = lengthOf(said[i], said[i + 1])
    if (item === null || b4a.equals(item.core, core)) return null
    const previous = lengths.at(-1)
    if (previous !== undefined && b4a.compare(previous.core, item.core) >= 0) return null
    lengths.push(item)
  }
  return lengths
}

const CORE_BYTES = 32

function lengthOf(core: Value | undefined, length: Value | undefined): CoreLength | null {
  if (!(core instanceof Uint8Array) || core.byteLength !== CORE_BYTES) return null
  return typeof length === 'number' && Number.isSafeInteger(length) && length > 0
    ? { core, length }
    : null
}

/**
 * What seals and prefixes keep out of the view: what shows otherwise where logs count further than they do, or elsewhere as well. Found by
 * comparing the view with what it would be, so it costs about what was written past the seals; of a log that may count elsewhere,
 * about as much as it has written.
 */
import b4a from 'b4a'
import type { ReadOptions, TreeRange } from '../../core/index.ts'
import { encodeValue, type Value } from '../../crdt/index.ts'
import { isManyhandsError } from '../../errors.ts'
import { changedKeys } from '../changed.ts'
import { lengthsOf } from '../checkout.ts'
import { iterate } from '../cursor.ts'
import { ALL_UPDATES, parseUpdateKey } from '../documents/keys.ts'
import { readArrived, readPart } from '../documents/read.ts'
import { Keyspace, splitKey } from '../keyspace.ts'
import { placeToText } from '../link.ts'
import type { Part } from '../part.ts'
import { isWithin, narrowestPrefix, placePrefix, type Prefixes } from '../prefixes.ts'
import { isGone } from '../put-back.ts'
import type { Union } from '../union.ts'
import { withBlocks } from '../versions.ts'
import type { CoreEntry, FoldedKey, View } from '../view.ts'
import type { Key } from '../../acl/index.ts'
import { keyOf } from './credentials.ts'

/** A key of the database, and what would show there. */
export interface ExcludedEntry {
  /** In the form of links' paths, `db:sub/key`. */
  readonly key: string
  /** Null for nothing. */
  readonly value: Value | null
}

/** How far a log is to count, and where. */
export interface Limit {
  readonly length: number
  readonly prefixes: Prefixes
}

/** By core. */
export type Limits = ReadonlyMap<Key, Limit>

const HERE: ReadOptions = { wait: false }

/** What would show if these logs counted so far, where that is something else. From what is on this device: in a sparse space not all is. */
export async function shownUpTo(union: Union, limits: Limits): Promise<readonly ExcludedEntry[]> {
  const entries: ExcludedEntry[] = []
  try {
    for await (const entry of differing(union, limits)) entries.push(entry)
  } catch (error) {
    if (!isGone(error)) throw error
  }
  return entries
}

async function* differing(union: Union, limits: Limits): AsyncGenerator<ExcludedEntry> {
  const now = await union.view(HERE)
  const further = await viewUpTo(union, now, limits)
  for await (const key of iterate(changedKeys(now, further, new Keyspace([]).whole, HERE))) {
    const [shown, then] = [await now.get(key, HERE), await further.get(key, HERE)]
    if (areAlike(shown, then)) continue
    const { exists, value } = then
    yield { key: placeToText(splitKey(key)), value: exists ? value : null }
  }
}

function areAlike(a: FoldedKey, b: FoldedKey): boolean {
  if (!a.exists || !b.exists) return a.exists === b.exists
  return b4a.equals(encodeValue(a.value), encodeValue(b.value))
}

/** The documents of which something counts only if these logs do so far. From what is on this device. */
export async function documentsUpTo(union: Union, limits: Limits): Promise<readonly string[]> {
  const { parts } = await union.view(HERE)
  const entries = await Promise.all(parts.map((part) => updatesUpTo(union, part, limits)))
  const ids = entries.flat().flatMap(({ entry }) => parseUpdateKey(entry.key)?.id ?? [])
  return [...new Set(ids)].sort()
}

/** A tree that does not read shows nothing. */
async function updatesUpTo(
  union: Union,
  part: Part,
  limits: Limits
): Promise<readonly CoreEntry[]> {
  const limit = limits.get(keyOf(part.core))
  if (limit === undefined) return []
  const { length, prefixes } = limit
  try {
    const tree = await union.treeUpTo(part.core, length, HERE)
    const isLonger = tree !== null && tree.length > part.tree.length
    const further = isLonger ? await readArrived({ ...part, tree }, part.tree, HERE) : []
    const elsewhere =
      prefixes === part.prefixes ? [] : await readOutside(part, [ALL_UPDATES], part.prefixes)
    return [...further, ...elsewhere].filter(({ entry }) => isWithin(entry.key, prefixes))
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** What stands in a log outside of these prefixes. */
async function readOutside(
  part: Part,
  ranges: readonly TreeRange[],
  prefixes: Prefixes
): Promise<readonly CoreEntry[]> {
  const entries = await Promise.all(ranges.map((range) => readPart(part, range, HERE)))
  return entries.flat().filter(({ entry }) => !isWithin(entry.key, prefixes))
}

/** More would make every read of the log slower: then whole sub-databases are let in, and all documents. */
const MAX_NAMED = 64

/**
 * The narrowest prefixes by which all that stands in a log would count; none where it does. Of a document all of it, of a key of the database
 * the keys that begin with it as well: prefixes tell no more.
 */
export async function prefixesLeftOut(
  union: Union,
  core: Uint8Array
): Promise<readonly Uint8Array[]> {
  const { parts } = await union.view(HERE)
  const part = parts.find((each) => b4a.equals(each.core, core))
  if (part === undefined || part.prefixes === null) return []
  const left = await readOutside(part, [{}], part.prefixes)
  const keys = left.map(({ entry }) => entry.key)
  const named = distinct(keys.map((key) => narrowestPrefix(key)))
  return named.length <= MAX_NAMED ? named : distinct(keys.map((key) => placePrefix(key)))
}

function distinct(keys: readonly Uint8Array[]): readonly Uint8Array[] {
  const byName = new Map(keys.map((key) => [keyOf(key), key]))
  return [...byName.values()]
}

/**
 * Up to where a log could count, of what is on this device: whole batches. Of a sparse log what its writer has signed, which ends with one,
 * though the blocks that would show it are elsewhere.
 */
export async function heldUpTo(union: Union, core: Uint8Array, limit: number): Promise<number> {
  try {
    const tree = await union.treeUpTo(core, limit, HERE)
    return tree?.length ?? 0
  } catch (error) {
    const log = union.log(core)
    if (log === null || !log.isSparse || !isManyhandsError(error, 'BLOCK_UNAVAILABLE')) throw error
    return Math.min(log.signedLength, limit)
  }
}

/**
 * The same of a log that is to end for good: where its newest blocks wait for a key, nobody here can tell its batches, but what its writer
 * has signed ends with one.
 */
export async function signedUpTo(union: Union, core: Uint8Array, limit: number): Promise<number> {
  const held = await heldUpTo(union, core, limit)
  const log = union.log(core)
  if (log === null || log.behind === null || log.lengthHere < log.signedLength) return held
  return Math.max(held, Math.min(log.signedLength, limit))
}

async function viewUpTo(union: Union, now: View, limits: Limits): Promise<View> {
  const lengths = lengthsOf(now).map(async ({ core, length }) => {
    const limit = limits.get(keyOf(core))
    if (limit === undefined) return { core, length }
    const { prefixes } = limit
    return { core, length: await heldUpTo(union, core, limit.length), prefixes }
  })
  return union.at(withBlocks(await Promise.all(lengths)), HERE)
}

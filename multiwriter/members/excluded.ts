/**
 * What seals keep out of the view: what shows otherwise where logs count further than they do. Found by comparing the view with
 * what it would be, so it costs about what was written past the seals.
 */
import type { ReadOptions } from '../../core/index.ts'
import type { Value } from '../../crdt/index.ts'
import { changedKeys } from '../changed.ts'
import { lengthsOf } from '../checkout.ts'
import { iterate } from '../cursor.ts'
import { parseUpdateKey } from '../documents/keys.ts'
import { readArrived } from '../documents/read.ts'
import { Keyspace, splitKey } from '../keyspace.ts'
import { placeToText } from '../link.ts'
import type { Part } from '../part.ts'
import { isGone } from '../put-back.ts'
import type { Union } from '../union.ts'
import { withBlocks } from '../versions.ts'
import type { CoreEntry, View } from '../view.ts'
import type { Key } from '../../acl/index.ts'
import { keyOf } from './credentials.ts'

/** A key of the database, and what would show there. */
export interface ExcludedEntry {
  /** In the form of links' paths, `db:sub/key`. */
  readonly key: string
  /** Null for nothing. */
  readonly value: Value | null
}

/** How far logs are to count, by core. */
export type Limits = ReadonlyMap<Key, number>

const HERE: ReadOptions = { wait: false }

/** What would show if these logs counted up to these lengths, where that is something else. From what is on this device. */
export async function shownUpTo(union: Union, limits: Limits): Promise<readonly ExcludedEntry[]> {
  const now = await union.view(HERE)
  const further = await viewUpTo(union, now, limits)
  const entries: ExcludedEntry[] = []
  for await (const key of iterate(changedKeys(now, further, new Keyspace([]).whole, HERE))) {
    const { exists, value } = await further.get(key, HERE)
    entries.push({ key: placeToText(splitKey(key)), value: exists ? value : null })
  }
  return entries
}

/** The documents of which something stands between where these logs count now, and these lengths. From what is on this device. */
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
  try {
    const tree = await union.treeUpTo(part.core, limit, HERE)
    if (tree === null || tree.length <= part.tree.length) return []
    return await readArrived({ ...part, tree }, part.tree, HERE)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** Up to where a log could count, of what is on this device: whole batches. */
export async function heldUpTo(union: Union, core: Uint8Array, limit: number): Promise<number> {
  const tree = await union.treeUpTo(core, limit, HERE)
  return tree?.length ?? 0
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
    return { core, length: limit === undefined ? length : await heldUpTo(union, core, limit) }
  })
  return union.at(withBlocks(await Promise.all(lengths)), HERE)
}

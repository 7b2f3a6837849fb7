/** Reading one document's entries from the logs of a view. */
import {
  TreeDiff,
  type ReadOptions,
  type TreeEntry,
  type TreeRange,
  type TreeSnapshot
} from '../../core/index.ts'
import { iterate } from '../cursor.ts'
import { PartCursor, type Part } from '../part.ts'
import type { CoreEntry, View } from '../view.ts'
import { ALL_UPDATES } from './keys.ts'

/** From here on walking what two trees differ in may cost more than reading the document's own range. */
const MAX_BLOCKS_TO_COMPARE = 4096

/** A document with fewer entries in a log is read as a whole sooner than two trees are compared. */
const FEW = 32

const CHANGES_AT_ONCE = 256

/** All of a range, in key order. */
export async function readAll(
  view: View,
  range: TreeRange,
  options: ReadOptions
): Promise<readonly CoreEntry[]> {
  const entries: CoreEntry[] = []
  for await (const group of iterate(view.entries(range, options))) entries.push(...group)
  return entries
}

/** One log's entries in a range; where its tree proves to be bad, in what is left of it. */
export async function readPart(
  part: Part,
  range: TreeRange,
  options: ReadOptions
): Promise<readonly CoreEntry[]> {
  const entries: CoreEntry[] = []
  for await (const entry of iterate(new PartCursor([part], 0, range, options)))
    entries.push({ part, entry })
  return entries
}

/** What a log has of all documents that an earlier tree of it has not, in key order. @throws TreeRefusal, BLOCK_, VERSION_UNAVAILABLE */
export async function readArrived(
  part: Part,
  before: TreeSnapshot,
  options: ReadOptions
): Promise<readonly CoreEntry[]> {
  const entries =
    before.length === 0
      ? await allIn(part.tree, ALL_UPDATES, options)
      : await changedIn(before, part.tree, ALL_UPDATES, options)
  return entries.map((entry) => ({ part, entry }))
}

/** The same of one document: whatever else was written meanwhile costs nothing. */
export async function readSince(
  part: Part,
  before: TreeSnapshot,
  range: TreeRange,
  options: ReadOptions,
  maxBlocks = MAX_BLOCKS_TO_COMPARE
): Promise<readonly CoreEntry[]> {
  const { tree } = part
  if (before.length === tree.length) return []
  const first = await allIn(tree, range, options, FEW)
  const isNear = before.length > 0 && tree.length - before.length <= maxBlocks
  const entries =
    first.length < FEW
      ? first
      : isNear
        ? await changedIn(before, tree, range, options)
        : await allIn(tree, range, options)
  return entries.filter(({ seq }) => seq >= before.length).map((entry) => ({ part, entry }))
}

async function changedIn(
  left: TreeSnapshot,
  right: TreeSnapshot,
  range: TreeRange,
  options: ReadOptions
): Promise<readonly TreeEntry[]> {
  const diff = new TreeDiff(left, right, range, options)
  const entries: TreeEntry[] = []
  try {
    for (;;) {
      const changes = await diff.nextBatch(CHANGES_AT_ONCE)
      if (changes.length === 0) return entries
      for (const { right } of changes) if (right !== null) entries.push(right)
    }
  } finally {
    diff.close()
  }
}

async function allIn(
  tree: TreeSnapshot,
  range: TreeRange,
  options: ReadOptions,
  limit = Infinity
): Promise<readonly TreeEntry[]> {
  const entries: TreeEntry[] = []
  for await (const entry of iterate(tree.cursor(range, options))) {
    entries.push(entry)
    if (entries.length === limit) break
  }
  return entries
}

/** The last entries of one log in a range, the last first, as long as they are wanted; `limit` of them at most. */
export async function readBack(
  part: Part,
  range: TreeRange,
  isWanted: (entry: TreeEntry) => boolean,
  options: ReadOptions,
  limit: number
): Promise<readonly TreeEntry[]> {
  const entries: TreeEntry[] = []
  for await (const entry of iterate(part.tree.cursor({ ...range, reverse: true }, options))) {
    if (!isWanted(entry)) break
    entries.push(entry)
    if (entries.length === limit) break
  }
  return entries
}

/**
 * What one log has ever written of a document, batch by batch, as far as it can still be read.
 *
 * A log's tree holds what counts. When a device makes its updates into a snapshot, or its log is written anew, the tree before that
 * batch still holds what was replaced: so the past is read from tree to earlier tree. What an entry carries on, its position says:
 * it was written before the batch that it stands in. Where the earlier tree was cleared, such entries are all that is left; they
 * stand for what their writer had written up to there.
 *
 * Costs as many entries as were ever written; a snapshot is written when as much has come since the one before.
 */
import { compareStamps, type Stamp } from '../../clock/index.ts'
import {
  decodeUpdate,
  TYPE_DOCUMENT_UPDATE,
  unpackEntry,
  type DocumentUpdate
} from '../../crdt/index.ts'
import {
  TreeRefusal,
  type BatchBounds,
  type LogReader,
  type ReadOptions,
  type TreeRange
} from '../../core/index.ts'
import { isManyhandsError } from '../../errors.ts'
import type { Part } from '../part.ts'
import { isWithin } from '../prefixes.ts'
import type { Refusals } from '../refusals.ts'
import type { CoreEntry } from '../view.ts'
import { readPart } from './read.ts'

/** A piece of an update, and where and when it was written. */
export interface PastEntry extends CoreEntry {
  readonly batch: BatchBounds
  readonly stamp: Stamp
  readonly piece: DocumentUpdate
  /** It was written earlier: an entry from before, or the updates that this snapshot stands for. */
  readonly isCarried: boolean
}

/** What one log wrote of a document in one batch. */
export interface Step {
  /** The log. */
  readonly part: Part
  /** Where it was written, and the length of the log then. */
  readonly batch: BatchBounds
  readonly stamp: Stamp
  readonly entries: readonly PastEntry[]
  /** What was written before is in it, and cannot be told apart any more. */
  readonly isSummary: boolean
}

export interface PastOptions {
  readonly range: TreeRange
  /** The code of the document's engine. */
  readonly engine: number
  readonly refusals: Refusals
  readonly read: ReadOptions
}

/** The steps of one log, oldest first. @throws BLOCK_UNAVAILABLE, in a sparse space */
export async function pastOf(
  log: LogReader,
  part: Part,
  options: PastOptions
): Promise<readonly Step[]> {
  const steps: (readonly Step[])[] = []
  let entries = await entriesOf(log, part, options)
  for (;;) {
    const start = startOfCarried(entries)
    const earlier = start === null ? null : await entriesBefore(log, part, start, options)
    if (start === null || earlier === null) break
    const later = entries.filter(({ batch, isCarried }) => batch.start >= start && !isCarried)
    steps.push(stepsOf(part, later))
    entries = earlier
  }
  steps.push(stepsOf(part, entries))
  return steps.reverse().flat()
}

/** Where the last batch that carries something on begins; null for none. */
function startOfCarried(entries: readonly PastEntry[]): number | null {
  const starts = entries.filter(({ isCarried }) => isCarried).map(({ batch }) => batch.start)
  return starts.length === 0 ? null : starts.reduce((a, b) => Math.max(a, b))
}

/** Null when that cannot be read any more, or nothing was there. */
async function entriesBefore(
  log: LogReader,
  part: Part,
  length: number,
  options: PastOptions
): Promise<readonly PastEntry[] | null> {
  try {
    const tree = await log.snapshotAt(length, options.read)
    if (tree.length !== length) return null
    // Neither is what was bad in the past a reason to read less of the log now, nor does the past become what is now.
    const refuse = (refusal: TreeRefusal) => Promise.reject(refusal)
    const { core, writer, isOwn, prefixes } = part
    const then = { core, writer, isOwn, seal: Infinity, prefixes, tree, refuse }
    const entries = await entriesOf(log, then, options)
    return entries.length === 0 ? null : entries
  } catch (error) {
    if (error instanceof TreeRefusal) {
      options.refusals.addTree(part.writer, error)
      return null
    }
    const isGone = !log.isSparse && isManyhandsError(error, 'BLOCK_UNAVAILABLE')
    if (isGone || isManyhandsError(error, 'VERSION_UNAVAILABLE')) return null
    throw error
  }
}

/** What a tree holds of the document; what is no update of it is counted by who reads it for its content. */
async function entriesOf(
  log: LogReader,
  part: Part,
  { range, engine, read, refusals }: PastOptions
): Promise<readonly PastEntry[]> {
  const entries = await readPart(part, range, read)
  const seqs = [...new Set(entries.map(({ entry }) => entry.seq))]
  const batches = await log.batchesOf(seqs, read)
  const batchOf = new Map(seqs.map((seq, i) => [seq, batches[i] ?? null]))
  for (const [seq, batch] of batchOf)
    if (batch === null) refusals.add(part.writer, 'malformed-batch', seq)
  return entries.flatMap(({ entry }): PastEntry | [] => {
    const batch = batchOf.get(entry.seq) ?? null
    const unpacked = unpackEntry(entry.value, part.core, entry.seq)
    if (batch === null || batch.end > part.tree.length || !unpacked.ok) return []
    if (!isWithin(entry.key, part.prefixes)) return []
    const held = unpacked.entry
    if (held.type !== 'unknown' || held.number !== TYPE_DOCUMENT_UPDATE) return []
    const piece = decodeUpdate(held.payload)
    if (piece === null || piece.engine !== engine) return []
    const { stamp, position } = held.head
    return { part, entry, batch, stamp, piece, isCarried: position.seq < batch.start }
  })
}

function stepsOf(part: Part, entries: readonly PastEntry[]): readonly Step[] {
  const byEnd = new Map<number, PastEntry[]>()
  for (const entry of entries) {
    const known = byEnd.get(entry.batch.end)
    if (known === undefined) byEnd.set(entry.batch.end, [entry])
    else known.push(entry)
  }
  const steps = [...byEnd.values()].flatMap((group) => stepOf(part, group) ?? [])
  return steps.sort((a, b) => a.batch.end - b.batch.end)
}

function stepOf(part: Part, entries: readonly PastEntry[]): Step | null {
  const [first] = entries
  if (first === undefined) return null
  const { batch } = first
  // An honest batch has one stamp; one that carries on has those of what it carries.
  const stamp = entries
    .map((each) => each.stamp)
    .reduce((a, b) => (compareStamps(a, b) < 0 ? b : a))
  return { part, batch, stamp, entries, isSummary: entries.some(({ isCarried }) => isCarried) }
}

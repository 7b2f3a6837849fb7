/**
 * Winning room back, and time: what others have written over for good is left out of this device's log (pruner.ts). `history: 'keep'` (the default) drops nothing that anybody can read: every block of a log is part of some
 * version, so all there is to win is what was cleared already and what the database under the logs has overwritten. `'drop'`
 * writes this device's live entries anew and clears everything before: versions from before it are gone, here and, as the log
 * says it (cleared.ts), on every other device. Each device can drop the history of its own log only.
 */
import type { HybridLogicalClock } from '../clock/index.ts'
import { invalid, isManyhandsError } from '../errors.ts'
import type { DeviceStore, LogReader, OwnLog, Work } from '../core/index.ts'
import { lengthsBefore } from './put-back.ts'
import { clearOwnBlocks } from './rewrite.ts'
import type { Union } from './union.ts'
import type { WriteQueue } from './write-queue.ts'

export interface CompactOptions extends Work {
  /** 'keep' (default): every version stays. 'drop': this device's log keeps its newest state only. */
  readonly history?: 'keep' | 'drop'
}

export interface CompactReport {
  /** Bytes of the store's folder before and after. */
  readonly before: number
  readonly after: number
  /** Blocks of this device's log that were cleared now. */
  readonly blocks: number
  /** Entries of this device that became shorter, or went, because others have written over them for good. */
  readonly pruned: number
}

export interface CompactParts {
  readonly store: DeviceStore
  readonly union: Union
  readonly own: OwnLog
  readonly clock: HybridLogicalClock
  readonly queue: WriteQueue
  /** @see Pruning.run */
  prune(work: Work): Promise<number>
}

export async function compactSpace(
  parts: CompactParts,
  { history = 'keep', ...work }: CompactOptions
): Promise<CompactReport> {
  if (history !== 'keep' && history !== 'drop') invalid('history', "'keep' or 'drop'", history)
  const { store, union, own, queue } = parts
  await union.ready()
  const before = await store.bytes()
  const log = union.log(own.core.key)
  const blocks =
    history === 'drop' && log !== null ? await queue.alone(() => dropHistory(parts, log, work)) : 0
  const pruned = await pruneIfPossible(parts, work)
  // What any log declares and is still here: a process may have been killed in between.
  for (const { clearing } of union.logs()) {
    work.signal?.throwIfAborted()
    await clearing?.clear()
  }
  work.signal?.throwIfAborted()
  // One call of the database's, which says nothing until it is done.
  work.onprogress?.({ task: 'rewriting the files', done: 0, unit: 'bytes' })
  await store.compact()
  return { before, after: await store.bytes(), blocks, pruned }
}

/** Nothing can be written by who was removed, nor to a full disk: which is when room is most wanted. */
async function pruneIfPossible(parts: CompactParts, work: Work): Promise<number> {
  try {
    return await parts.prune(work)
  } catch (error) {
    if (isManyhandsError(error, 'STORE_FULL') || isManyhandsError(error, 'NOT_ALLOWED')) return 0
    throw error
  }
}

/** @returns how many blocks went */
async function dropHistory(
  { own, clock }: CompactParts,
  log: LogReader,
  work: Work
): Promise<number> {
  const { length } = own.core
  const held = (await log.blockSizes(work)).map((size) => size !== null)
  const needed = new Set(await log.reachableBlocks(length, work))
  // What was left out is put back from there.
  for (const before of await lengthsBefore(log, own.tree.snapshot()))
    for (const seq of await log.reachableBlocks(before, work)) needed.add(seq)
  // Nothing but live blocks: writing them anew would win nothing.
  if (held.every((isHeld, seq) => !isHeld || needed.has(seq))) return 0
  await clearOwnBlocks(log, own, clock, [{ start: 0, end: length }], work)
  return held.filter(Boolean).length
}

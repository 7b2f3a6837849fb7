/**
 * Changing what our own log keeps: writing the live tree anew, so that it stands on no earlier block, and declaring which blocks
 * go. Both in one batch: a process that is killed leaves either nothing done, or a declaration that the next opening acts on.
 *
 * Each entry is put as it was, with the position of the block in which it was first written, so no fold changes: nobody who reads
 * the log before and after can tell by its values.
 */
import { ManyhandsError } from '../errors.ts'
import type { HybridLogicalClock } from '../clock/index.ts'
import { withPosition } from '../crdt/index.ts'
import {
  joinRanges,
  type BlockRange,
  type LogReader,
  type OwnLog,
  type ReadOptions,
  type TreePut,
  type Work
} from '../core/index.ts'
import b4a from 'b4a'
import { CLEARED_KEY, decodeDeclaration, declarationOf } from './cleared.ts'
import { iterate } from './cursor.ts'

const HERE: ReadOptions = { wait: false }

/** So many entries between two words of progress. */
const ENTRIES_PER_REPORT = 1024

/** What our log declares as cleared so far. */
async function declaredRanges(own: OwnLog): Promise<readonly BlockRange[]> {
  const entry = await own.tree.snapshot().get(CLEARED_KEY, HERE)
  return entry === null ? [] : (decodeDeclaration(entry.value, own.core.key) ?? [])
}

/**
 * Clears blocks of our own log, earlier declarations included: declares them, writes the live tree anew if it stands on one of
 * them, and clears. Call while nothing else is written. The ranges lie below the log's present length. Stopped by the signal, it has
 * done nothing; from the moment on in which it declares, it does not stop.
 * @returns whether the tree was written anew
 */
export async function clearOwnBlocks(
  log: LogReader,
  own: OwnLog,
  clock: HybridLogicalClock,
  ranges: readonly BlockRange[],
  work: Work = {}
): Promise<boolean> {
  const all = joinRanges([...(await declaredRanges(own)), ...ranges])
  const needed = await log.reachableBlocks(own.core.length, work)
  const isInTheWay = all.some(({ start, end }) => {
    for (let seq = start; seq < end; seq++) if (needed.has(seq)) return true
    return false
  })
  const declaration = declarationOf(all, clock.now())
  if (isInTheWay) await own.rewrite([declaration, ...(await carriedOn(own, work))])
  else await own.append([declaration])
  await settleClearing(log, own)
  return isInTheWay
}

/** Clears what our log declares and is still here. @throws STORE_FAILED when that fails; the next opening goes on with it */
export async function settleClearing(log: LogReader, own: OwnLog): Promise<void> {
  await log.clearing?.learn(true)
  const declared = await declaredRanges(own)
  const cleared = log.clearing?.cleared
  if (declared.length === 0 || (log.clearing?.doneSince ?? 0) >= (cleared?.since ?? Infinity))
    return
  throw new ManyhandsError('STORE_FAILED', 'What is declared as cleared could not be cleared yet')
}

/** Everything in our log but the declaration, each entry with the position that it has. */
async function carriedOn(own: OwnLog, { signal, onprogress }: Work): Promise<readonly TreePut[]> {
  const puts: TreePut[] = []
  const task = 'writing the newest state anew'
  for await (const { key, value, seq } of iterate(own.tree.snapshot().cursor({}, HERE))) {
    if (b4a.equals(key, CLEARED_KEY)) continue
    const carried = withPosition(value, seq)
    // Its position would be lost, and with it what it covers.
    if (carried === null) {
      throw new ManyhandsError('ENTRY_UNSUPPORTED', "A newer version wrote to this device's log")
    }
    puts.push({ key, value: carried })
    if (puts.length % ENTRIES_PER_REPORT !== 0) continue
    signal?.throwIfAborted()
    onprogress?.({ task, done: puts.length, unit: 'entries' })
  }
  return puts
}

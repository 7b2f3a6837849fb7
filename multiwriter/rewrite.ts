/**
 * Changing what our own log keeps: writing the live tree anew, so that it stands on no earlier block, and declaring which blocks
 * go. Both in one batch: a process that is killed leaves either nothing done, or a declaration that the next opening acts on.
 *
 * Each entry is put as it was, with the position of the block in which it was first written, so no fold changes: nobody who reads
 * the log before and after can tell by its values. What was pruned is put back on the way (put-back.ts): it stands in blocks that
 * may go, and a seal that falls may ask for it. Pruned again, it stands in the blocks that were just written.
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
import { PRUNED_KEY } from './log-section.ts'
import { leftOut, recordAt } from './put-back.ts'

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
 * @param except a key at which nothing is put back: it is to be forgotten what stood there
 * @returns whether the tree was written anew
 */
export async function clearOwnBlocks(
  log: LogReader,
  own: OwnLog,
  clock: HybridLogicalClock,
  ranges: readonly BlockRange[],
  { except, ...work }: Work & { readonly except?: Uint8Array } = {}
): Promise<boolean> {
  const all = joinRanges([...(await declaredRanges(own)), ...ranges])
  const needed = await log.reachableBlocks(own.core.length, work)
  const isInTheWay = all.some(({ start, end }) => {
    for (let seq = start; seq < end; seq++) if (needed.has(seq)) return true
    return false
  })
  const declaration = declarationOf(all, clock.now())
  const isRewritten = isInTheWay || (await recordAt(own.tree.snapshot(), log.key)) !== null
  if (isRewritten) {
    const puts = await carriedOn(own, await pruned(log, own, except), work)
    await own.rewrite([declaration, ...puts])
  } else await own.append([declaration])
  await settleClearing(log, own)
  return isRewritten
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

/** What stands with what was pruned put back, by key (latin1). */
async function pruned(
  log: LogReader,
  own: OwnLog,
  except: Uint8Array | undefined
): Promise<Map<string, TreePut>> {
  const { puts } = await leftOut(log, own.tree.snapshot())
  const kept = puts.filter(({ key }) => except === undefined || !b4a.equals(key, except))
  return new Map(kept.map((put) => [b4a.toString(put.key, 'latin1'), put]))
}

/**
 * Everything in our log but what it says of clearing and pruning, each entry with the position that it has.
 * @param restored in place of what stands there, by key (latin1)
 */
async function carriedOn(
  own: OwnLog,
  restored: Map<string, TreePut>,
  { signal, onprogress }: Work
): Promise<readonly TreePut[]> {
  const puts: TreePut[] = []
  const task = 'writing the newest state anew'
  for await (const { key, value, seq } of iterate(own.tree.snapshot().cursor({}, HERE))) {
    if (b4a.equals(key, CLEARED_KEY) || b4a.equals(key, PRUNED_KEY)) continue
    if (restored.has(b4a.toString(key, 'latin1'))) continue
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
  return [...puts, ...restored.values()].sort((a, b) => b4a.compare(a.key, b.key))
}

/**
 * The slow twin of `revert`: the history replayed without one writer's later work. Every entry of every core is read and folded
 * from scratch, twice: all of them, and all but what that writer wrote past a length. No comparison of trees, no views, no
 * batches.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { encodeValue } from '../../crdt/index.ts'
import { viewSlowly, type Sealed, type SlowKey } from './view.ts'

/** By key in hex, what shows: canonical bytes in hex. Keys that show nothing are left out. */
export type Shown = ReadonlyMap<string, string>

export function shownOf(keys: readonly SlowKey[]): Shown {
  return new Map(
    keys.flatMap(({ key, exists, value }) =>
      exists ? [[b4a.toString(key, 'hex'), b4a.toString(encodeValue(value), 'hex')] as const] : []
    )
  )
}

/** What must show once the work of `writer` from block `length` on is undone. */
export async function revertSlowly(
  cores: readonly Sealed[],
  writer: Uint8Array,
  length: number
): Promise<Shown> {
  const now = await viewSlowly(cores)
  const without = shownOf(
    await viewSlowly(
      cores.map((each) => (b4a.equals(each.core.key, writer) ? { ...each, seal: length } : each))
    )
  )
  const shown = new Map(shownOf(now))
  const log = z32.encode(writer)
  for (const { key, shown: writes, winner, type } of now) {
    const shows = writes.length > 0 ? writes : [winner]
    const isShown = shows.some((write) => write.writer === log && write.seq >= length)
    // What was taken out of a set shows nowhere.
    if (!isShown && type !== 'set' && type !== 'flag') continue
    const id = b4a.toString(key, 'hex')
    const value = without.get(id)
    if (value === undefined) shown.delete(id)
    else shown.set(id, value)
  }
  return shown
}

/**
 * Clearing blocks without losing what proves the others. Hypercore's own `clear` takes a left neighbour of the range for cleared,
 * too, and drops hashes that blocks which stay are proved by: these could be sent to nobody any more. So the hashes on the way
 * from the range to the root, some sixty at most, are put back.
 */
import type Hypercore from 'hypercore'
import type { TreeNodeHash } from 'hypercore'

export async function clearBlocks(core: Hypercore, start: number, end: number): Promise<void> {
  const nodes = await nodesAbove(core, start)
  await core.clear(start, end)
  const tx = core.core.state.storage.write()
  for (const node of nodes) tx.putTreeNode(node)
  await tx.flush()
}

/** The nodes from a block up to its root, each with its sibling, as far as they are here. */
async function nodesAbove(core: Hypercore, seq: number): Promise<readonly TreeNodeHash[]> {
  const rx = core.core.state.storage.read()
  const reads: Promise<TreeNodeHash | null>[] = []
  for (let size = 1, place = seq; size <= core.length; size *= 2, place = Math.floor(place / 2)) {
    const sibling = place % 2 === 0 ? place + 1 : place - 1
    for (const each of [place, sibling]) reads.push(rx.getTreeNode((2 * each + 1) * size - 1))
  }
  rx.tryFlush()
  return (await Promise.all(reads)).filter((node) => node !== null)
}

/**
 * What a batch wrote that its tree leads to. A block may hold keys that no node points at, and nodes that no root leads to: an
 * honest writer makes none, and nobody who reads the tree ever sees them.
 *
 * Only the batch's own nodes are walked, as pointers lead back: what stands in front of the batch leads to nothing in it. Of a
 * node no key is read, just where its keys and children stand, so a batch costs its own blocks and the cohorts of its nodes.
 */
import { OP_COHORT, OP_DEL, OP_INSERT, OP_SET } from 'hyperbee2/lib/compression.js'
import type { Block, BlockPointer, Delta } from 'hyperbee2/lib/encoding.js'
import SessionConfig from 'hyperbee2/lib/session-config.js'
import { wholeBatches } from './batches.ts'
import type { TreeContext } from './context.ts'
import type { ReadOptions } from './snapshot.ts'

/** Where a key stands. */
export function placeOf(seq: number, offset: number): string {
  return `${seq} ${offset}`
}

/**
 * The places of the keys that the tree of `length` blocks leads to and that stand in block `start` or behind it; none where no
 * batch ends at this length.
 * @throws TreeRefusal, BLOCK_UNAVAILABLE, VERSION_UNAVAILABLE
 */
export async function linkedKeys(
  context: TreeContext,
  start: number,
  length: number,
  options: ReadOptions
): Promise<ReadonlySet<string>> {
  const keys = new Set<string>()
  if ((await wholeBatches(context, length, options)) !== length) return keys
  const { wait = true, timeout = 0 } = options
  const config = new SessionConfig([], timeout, wait, null)
  const waiting: BlockPointer[] = [{ core: 0, seq: length - 1, offset: 0 }]
  const visited = new Set<string>()
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const place = placeOf(next.seq, next.offset)
    if (visited.has(place)) continue
    visited.add(place)
    const block = await context.getBlock(next.seq, 0, config)
    const node = block.tree?.[next.offset]
    if (node === undefined) continue
    const pointers = async (deltas: readonly Delta[]) =>
      (await replay(context, deltas, config)).filter(({ seq }) => seq >= start)
    for (const { seq, offset } of await pointers(node.keys)) keys.add(placeOf(seq, offset))
    waiting.push(...(await pointers(node.children)))
  }
  return keys
}

/** The pointers that a list of changes ends with. */
async function replay(
  context: TreeContext,
  deltas: readonly Delta[],
  config: SessionConfig
): Promise<readonly BlockPointer[]> {
  const pointers: BlockPointer[] = []
  for (const delta of deltas) {
    const cohort = delta.type === OP_COHORT ? delta.pointer : null
    if (cohort === null) apply(pointers, delta)
    else {
      const block: Block = await context.getBlock(cohort.seq, 0, config)
      for (const each of block.cohorts?.[cohort.offset] ?? []) apply(pointers, each)
    }
  }
  return pointers
}

/** What points beyond the end does nothing, as in hyperbee2. */
function apply(pointers: BlockPointer[], { type, index, pointer }: Delta): void {
  if (type === OP_DEL) pointers.splice(index, 1)
  if (pointer === null) return
  if (type === OP_INSERT && index <= pointers.length) pointers.splice(index, 0, pointer)
  if (type === OP_SET && index < pointers.length) pointers[index] = pointer
}

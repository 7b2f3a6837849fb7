/**
 * A batch is seen whole or not at all. A bee appends the blocks of one batch together, and its root is the last of them: a
 * checkout at a length inside a batch would show a subtree as if it were everything. Seals and remote lengths may stand
 * anywhere, so every length is rounded down here before a tree is read.
 */
import SessionConfig from 'hyperbee2/lib/session-config.js'
import type { TreeContext } from './context.ts'
import { TreeRefusal } from './refusal.ts'
import type { ReadOptions } from './snapshot.ts'

/** Honest logs need one step; each step of a hostile one costs two blocks. */
const MAX_STEPS = 8

/** One storage read, or one round trip, for so many blocks. */
const BLOCKS_AT_ONCE = 128

/** The greatest length of whole batches that is at most `length`. @throws TreeRefusal, BLOCK_UNAVAILABLE */
export async function wholeBatches(
  context: TreeContext,
  length: number,
  { wait = true, timeout = 0 }: ReadOptions = {}
): Promise<number> {
  const config = new SessionConfig([], timeout, wait, null)
  for (let step = 0; length > 0; step++) {
    const seq = length - 1
    if (step === MAX_STEPS) throw new TreeRefusal('malformed-batch', seq)
    const { batch } = await context.getBlock(seq, 0, config)
    if (batch.end === 0) return length
    await checkStart(context, seq, batch, config)
    length = seq - batch.start
  }
  return 0
}

/** A batch of blocks: from `start` up to, not including, `end`. */
export interface BatchBounds {
  readonly start: number
  readonly end: number
}

/** What each block says of the batch that it stands in; null where that is nonsense. @throws BLOCK_UNAVAILABLE, VERSION_UNAVAILABLE */
export async function batchesOf(
  context: TreeContext,
  seqs: readonly number[],
  { wait = true, timeout = 0 }: ReadOptions
): Promise<readonly (BatchBounds | null)[]> {
  const config = new SessionConfig([], timeout, wait, null)
  const bounds: (BatchBounds | null)[] = []
  for (let i = 0; i < seqs.length; i += BLOCKS_AT_ONCE) {
    const some = seqs.slice(i, i + BLOCKS_AT_ONCE).map(async (seq) => {
      const { batch } = await context.getBlock(seq, 0, config)
      return batch.start > seq ? null : { start: seq - batch.start, end: seq + batch.end + 1 }
    })
    bounds.push(...(await Promise.all(some)))
  }
  return bounds
}

/** A writer must not be able to hide its own earlier batches by a block that claims to stand far inside one. */
async function checkStart(
  context: TreeContext,
  seq: number,
  { start, end }: { readonly start: number; readonly end: number },
  config: SessionConfig
): Promise<void> {
  if (start === 0) return
  if (start > seq) throw new TreeRefusal('malformed-batch', seq)
  const { batch: first } = await context.getBlock(seq - start, 0, config)
  if (first.start !== 0 || first.end !== start + end) throw new TreeRefusal('malformed-batch', seq)
}

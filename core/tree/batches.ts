/**
 * A batch is seen whole or not at all. A bee appends the blocks of one batch together, and its root is the last of them: a
 * checkout at a length inside a batch would show a subtree as if it were everything. Seals and remote lengths may stand
 * anywhere, so every length is rounded down here before a tree is read.
 */
import SessionConfig from 'hyperbee2/lib/session-config.js'
import type { TreeContext } from './context.ts'
import { TreeRefusal } from './refusal.ts'
import type { ReadOptions } from './snapshot.ts'

/** Honest logs need one step; each step of a hostile one costs a block. */
const MAX_STEPS = 8

/** The greatest length of whole batches that is at most `length`. @throws TreeRefusal, BLOCK_UNAVAILABLE */
export async function wholeBatches(
  context: TreeContext,
  length: number,
  { wait = true, timeout = 0 }: ReadOptions = {}
): Promise<number> {
  const config = new SessionConfig([], timeout, wait, null)
  for (let step = 0; length > 0; step++) {
    if (step === MAX_STEPS) throw new TreeRefusal('malformed-batch', length - 1)
    const { batch } = await context.getBlock(length - 1, 0, config)
    if (batch.end === 0) return length
    length = startOf(batch, length - 1)
  }
  return 0
}

/** The first block of the batch that block `seq` belongs to: up to there a core is read when `seq` shows it to be bad. */
export async function batchStart(context: TreeContext, seq: number): Promise<number> {
  try {
    const { batch } = await context.getBlock(seq, 0, new SessionConfig([], 0, false, null))
    return startOf(batch, seq)
  } catch {
    // The block itself is bad or gone, so its batch is unknown: nothing from it on is read, and rounding does the rest.
    return seq
  }
}

function startOf(batch: { readonly start: number }, seq: number): number {
  if (batch.start > seq) throw new TreeRefusal('malformed-batch', seq)
  return seq - batch.start
}

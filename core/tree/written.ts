/**
 * What single blocks wrote, in the order of the log: history. A view is read from trees, which say what holds; here the blocks
 * themselves are asked what they brought. An entry that a hostile writer puts into a block without hanging it into its tree is
 * given here, too: whoever shows it asks the tree of its batch first.
 */
import SessionConfig from 'hyperbee2/lib/session-config.js'
import type { BlockKey } from 'hyperbee2/lib/encoding.js'
import { isManyhandsError } from '../../errors.ts'
import type { TreeContext } from './context.ts'
import type { TreeEntry } from './cursor.ts'
import { TreeRefusal } from './refusal.ts'
import type { ReadOptions } from './snapshot.ts'

export interface WrittenEntry extends TreeEntry {
  /** Its place among the keys of its block. */
  readonly offset: number
}

/** One block. The blocks of one batch have one `batch`. */
export interface WrittenBlock {
  readonly seq: number
  /** The first block of its batch. */
  readonly batch: number
  /** The length at which its batch ends. */
  readonly end: number
  readonly entries: readonly WrittenEntry[]
  /** Why it cannot be read, if it is no block of a tree. */
  readonly refusal: TreeRefusal | null
}

/**
 * Blocks from `start` up to `end`, read together; those that were cleared are left out, and so is an entry whose value was.
 * @param isHeld all blocks are here that anybody can give: none is waited for
 * @throws BLOCK_UNAVAILABLE when one must be fetched and cannot be
 */
export async function readWritten(
  context: TreeContext,
  start: number,
  end: number,
  isHeld: boolean,
  { wait = true, timeout = 0 }: ReadOptions
): Promise<readonly WrittenBlock[]> {
  const config = new SessionConfig([], timeout, wait && !isHeld, null)
  const blocks = await Promise.all(
    Array.from({ length: end - start }, (_, i) => readBlock(context, start + i, isHeld, config))
  )
  return blocks.filter((block) => block !== null)
}

async function readBlock(
  context: TreeContext,
  seq: number,
  isHeld: boolean,
  config: SessionConfig
): Promise<WrittenBlock | null> {
  try {
    const { keys, batch } = await context.getBlock(seq, 0, config)
    const read = (keys ?? []).map((key, offset) =>
      readEntry(context, key, { seq, offset }, config).catch((error: unknown) =>
        nullIfCleared(error, isHeld)
      )
    )
    const entries = (await Promise.all(read)).filter((entry) => entry !== null)
    return { seq, batch: seq - batch.start, end: seq + batch.end + 1, entries, refusal: null }
  } catch (error) {
    if (error instanceof TreeRefusal)
      return { seq, batch: seq, end: seq + 1, entries: [], refusal: error }
    return nullIfCleared(error, isHeld)
  }
}

function nullIfCleared(error: unknown, isHeld: boolean): null {
  if (isManyhandsError(error, 'VERSION_UNAVAILABLE')) return null
  if (isHeld && isManyhandsError(error, 'BLOCK_UNAVAILABLE')) return null
  throw error
}

async function readEntry(
  context: TreeContext,
  { key, value, valuePointer }: BlockKey,
  at: Pick<WrittenEntry, 'seq' | 'offset'>,
  config: SessionConfig
): Promise<WrittenEntry> {
  const { seq } = at
  if (value !== null) return { key, value, ...at }
  if (valuePointer === null) throw new TreeRefusal('malformed-block', seq)
  const { values } = await context.getBlock(valuePointer.seq, 0, config)
  const far = values?.[valuePointer.offset]
  if (far === undefined) throw new TreeRefusal('malformed-block', seq)
  return { key, value: far, ...at }
}

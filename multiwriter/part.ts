/**
 * One core of a view, and how a view goes on with it where that has to change: a tree that proves to be bad is read below the
 * batch that shows it, one whose blocks were cleared meanwhile at its new length. All else in a view stays as it is.
 */
import { isManyhandsError, ManyhandsError } from '../errors.ts'
import {
  TreeRefusal,
  type ReadOptions,
  type TreeCursor,
  type TreeEntry,
  type TreeRange,
  type TreeSnapshot
} from '../core/index.ts'
import type { Cursor } from './cursor.ts'
import type { Prefixes } from './prefixes.ts'

/** One core of the union, at the length it is read at. */
export interface Part {
  readonly core: Uint8Array
  /** The core's key in text form. */
  readonly writer: string
  readonly isOwn: boolean
  /** Blocks that count, at most: Infinity where no seal binds the reader. */
  readonly seal: number
  /** What of it counts, wherever it stands: `View.read` refuses the rest. */
  readonly prefixes: Prefixes
  readonly tree: TreeSnapshot
  /** Says that this core's tree was found bad, and gives what is left of it. */
  refuse(refusal: TreeRefusal): Promise<TreeSnapshot>
  /** The tree now, when blocks of this one were cleared while it was read. Not for a version, which stays what it was. */
  readonly renew?: () => Promise<TreeSnapshot>
  readonly isRenewed?: boolean
  /** What could be read of it, had it not relied on more of other logs than is read of them (reliance.ts). */
  readonly held?: TreeSnapshot
}

/** Whether two readings of one core give the same. */
export function isReadAlike(a: Part, b: Part): boolean {
  const { length } = a.tree
  return (
    length === b.tree.length && length <= a.tree.sharedWith(b.tree) && a.prefixes === b.prefixes
  )
}

/** Goes on with a core below the batch that shows its tree to be bad, or above what was cleared; any other error is passed on. */
export async function cutPart(parts: Part[], index: number, error: unknown): Promise<void> {
  const part = parts[index]
  if (part === undefined) throw error
  if (isManyhandsError(error, 'VERSION_UNAVAILABLE')) {
    if (part.renew === undefined) throw error
    const tree = await part.renew()
    // A sparse log whose newest root is not here: with a peer it could be read.
    if (tree.length <= part.tree.length) throw notHere(part, error)
    parts[index] = { ...part, tree, isRenewed: true }
    return
  }
  if (!(error instanceof TreeRefusal)) throw error
  parts[index] = { ...part, tree: await part.refuse(error) }
}

function notHere({ writer }: Part, cause: unknown): ManyhandsError {
  const message = `What the log ${writer} says now is not on this device`
  return new ManyhandsError('BLOCK_UNAVAILABLE', message, { cause })
}

/** One core's entries in a range. Where its tree proves to be bad, goes on behind the last entry in what is left of it. */
export class PartCursor implements Cursor<TreeEntry> {
  readonly #parts: Part[]
  readonly #index: number
  readonly #range: TreeRange
  readonly #options: ReadOptions
  readonly #oncut: () => void
  #cursor: TreeCursor | null
  #last: Uint8Array | null = null

  /** @param oncut called when the core is read on elsewhere */
  constructor(
    parts: Part[],
    index: number,
    range: TreeRange,
    options: ReadOptions,
    oncut: () => void = () => {}
  ) {
    this.#parts = parts
    this.#index = index
    this.#range = range
    this.#options = options
    this.#oncut = oncut
    this.#cursor = parts[index]?.tree.cursor(range, options) ?? null
  }

  nextBatch(size: number): readonly TreeEntry[] | Promise<readonly TreeEntry[]> {
    const batch = this.#tryBatch(size)
    return batch instanceof Promise ? this.#nextBatchCold(batch, size) : this.#took(batch)
  }

  close(): void {
    this.#cursor?.close()
    this.#cursor = null
  }

  #tryBatch(size: number): readonly TreeEntry[] | Promise<readonly TreeEntry[]> {
    try {
      return this.#cursor?.nextBatch(size) ?? []
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async #nextBatchCold(
    first: Promise<readonly TreeEntry[]>,
    size: number
  ): Promise<readonly TreeEntry[]> {
    let batch = first
    for (;;) {
      try {
        return this.#took(await batch)
      } catch (error) {
        if (this.#cursor === null) return []
        await cutPart(this.#parts, this.#index, error)
        this.#oncut()
        this.#reopen()
        batch = Promise.resolve(this.#tryBatch(size))
      }
    }
  }

  #took(batch: readonly TreeEntry[]): readonly TreeEntry[] {
    this.#last = batch.at(-1)?.key ?? this.#last
    return batch
  }

  #reopen(): void {
    if (this.#cursor === null) return // closed meanwhile
    this.#cursor.close()
    this.#cursor = this.#parts[this.#index]?.tree.cursor(this.#rest(), this.#options) ?? null
  }

  #rest(): TreeRange {
    return this.#last === null ? this.#range : restOf(this.#range, this.#last)
  }
}

/** What is left of a range behind a key. */
export function restOf(range: TreeRange, last: Uint8Array): TreeRange {
  const { gt, gte, lt, lte, ...rest } = range
  const above = gt === undefined ? (gte === undefined ? {} : { gte }) : { gt }
  const below = lt === undefined ? (lte === undefined ? {} : { lte }) : { lt }
  return range.reverse === true ? { ...rest, ...above, lt: last } : { ...rest, ...below, gt: last }
}

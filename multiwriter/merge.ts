/**
 * The k-way merge under the streaming union: sorted cursors in, one sorted cursor of groups out.
 * A group is everything that stands at one key, one item per source that has the key, because the
 * next stage folds each key as a whole.
 *
 * It is Knuth's tree of losers (TAOCP 3, 5.4.1), with four departures:
 * - Each lost match remembers whether it was a tie. Everyone on the path of the winner has lost to
 *   the winner itself, so the flags on that path name those who share its key: grouping costs no
 *   comparison of its own.
 * - Order is checked where it can break, not everywhere. A head that is not above the item before
 *   it beats all others, so only a source that wins twice in a row is compared with itself.
 * - Sources are pulled in batches, and only when the merge cannot go on without them: the next
 *   group needs the head of every source. What is pulled ahead is at most one batch of each source.
 *   All that are empty are pulled at once.
 * - A batch of groups ends early where a source runs dry: known groups never wait for a slow
 *   source, and nothing is pulled for groups that nobody may ask for.
 *
 * Costs ceil(log2 k) comparisons and two small allocations per item; one comparison when a single
 * source is left; k - 1 comparisons more when a refill follows a shared key. No promise and no
 * recursion between refills. The slow twin is `test/oracle/merge.ts`: concatenate, sort, group.
 */
import { FIRST_BATCH, LARGEST_BATCH, type Cursor } from './cursor.ts'
import { LoserTree } from './loser-tree.ts'

/** All that stands at one key, never empty. `items[i]` is from cursor `sources[i]`; they rise. */
export interface Group<T> {
  readonly items: readonly T[]
  readonly sources: readonly number[]
}

export interface MergeOptions<T> {
  /** The order of the keys. Negated, over cursors that run backwards, it is the reverse merge. */
  readonly compare: (a: T, b: T) => number

  /** How many groups to give (default: all). No cursor is asked for more than this leaves. */
  readonly limit?: number
}

/**
 * Merges sorted cursors. Nothing is pulled before the first `nextBatch`; each cursor is then asked
 * for 16 items, then 32, up to 256. A batch comes synchronously if no cursor had to be waited for,
 * and may be shorter than asked: only `[]` is the end.
 *
 * It owns the cursors: each is closed exactly once, at the end, on `close` or on a failure. A
 * failure (of a cursor, of `compare`, or keys that do not rise: an error that names the index of
 * the source) is one rejection, never a synchronous throw, after everything was closed. From then
 * on `nextBatch` gives `[]`.
 *
 * ```ts
 * for await (const { items, sources } of iterate(mergeSorted([left, right], { compare }))) { }
 * ```
 */
export function mergeSorted<T>(
  cursors: readonly Cursor<T>[],
  { compare, limit = Infinity }: MergeOptions<T>
): Cursor<Group<T>> {
  if (limit !== Infinity && !(Number.isSafeInteger(limit) && limit >= 0)) {
    throw new TypeError(`"limit" expected a non-negative integer, got ${limit}`)
  }
  return new Merge(cursors, compare, limit)
}

/** A cursor and the one batch that is pulled ahead of it. */
interface Source<T> {
  readonly cursor: Cursor<T>
  /** `sources` of every group that this source has for itself: one shared array. */
  readonly alone: readonly number[]
  batch: readonly T[]
  /** Where the head stands in `batch`. */
  head: number
  /** What to ask for next. */
  size: number
}

class Merge<T> implements Cursor<Group<T>> {
  readonly #sources: readonly Source<T>[]
  readonly #compare: (a: T, b: T) => number
  readonly #tree: LoserTree<T>

  /** Sources whose batch is used up: the next group cannot be known before they are refilled. */
  readonly #dry: number[]
  /** Sources that have not ended. */
  #live: number
  /** Groups that may still be given. */
  #left: number
  /** The item given last, once there is one: all keys must stand above it. */
  #last: T | undefined
  #hasLast = false

  #isPending = false
  #isClosed = false
  #closing: Promise<void> | undefined

  constructor(cursors: readonly Cursor<T>[], compare: (a: T, b: T) => number, limit: number) {
    this.#sources = cursors.map((cursor, at) => ({
      cursor,
      alone: Object.freeze([at]),
      batch: [],
      head: 0,
      size: FIRST_BATCH
    }))
    this.#compare = compare
    this.#tree = new LoserTree(cursors.length, compare)
    this.#dry = [...cursors.keys()]
    this.#live = cursors.length
    this.#left = limit
  }

  nextBatch(size: number): readonly Group<T>[] | Promise<readonly Group<T>[]> {
    if (!Number.isSafeInteger(size) || size < 1) {
      return Promise.reject(new TypeError(`"size" expected a positive integer, got ${size}`))
    }
    if (this.#isClosed) return []
    if (this.#isPending) {
      return Promise.reject(new Error('nextBatch was called before the previous call had settled'))
    }
    if (this.#left === 0) return this.#end()
    const pulls = this.#pullDry()
    return pulls.length === 0 ? this.#give(size) : this.#giveAfter(pulls, size)
  }

  close(): void | Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#closing = closeAll(this.#sources)
    }
    return this.#closing
  }

  /** Starts the refill of every dry source; gives back what must be waited for. */
  #pullDry(): Promise<void>[] {
    const pulls: Promise<void>[] = []
    for (const at of this.#dry) {
      const pull = this.#pull(this.#sources[at]!)
      if (pull !== undefined) pulls.push(pull)
    }
    return pulls
  }

  #pull(source: Source<T>): Promise<void> | undefined {
    const size = Math.min(source.size, this.#left)
    source.size = Math.min(source.size * 2, LARGEST_BATCH)
    source.head = 0
    try {
      const batch = source.cursor.nextBatch(size)
      if (isPromise(batch)) return batch.then((items) => void (source.batch = items))
      source.batch = batch
      return undefined
    } catch (error) {
      // Not thrown here: the pulls that were already started must be waited for by someone.
      return Promise.reject(error)
    }
  }

  async #giveAfter(pulls: readonly Promise<void>[], size: number): Promise<readonly Group<T>[]> {
    this.#isPending = true
    try {
      await Promise.all(pulls)
    } catch (error) {
      return this.#fail(error)
    } finally {
      this.#isPending = false
    }
    return this.#give(size)
  }

  #give(size: number): readonly Group<T>[] | Promise<readonly Group<T>[]> {
    if (this.#isClosed) return []
    try {
      this.#seatRefilled()
      if (this.#live > 0) return this.#merge(size)
    } catch (error) {
      return this.#fail(error)
    }
    return this.#end()
  }

  #end(): readonly Group<T>[] | Promise<readonly Group<T>[]> {
    const closing = this.close()
    return isPromise(closing) ? closing.then(() => []) : []
  }

  /** The first failure is delivered; what a cursor says once it is closed is not a failure. */
  async #fail(error: unknown): Promise<readonly Group<T>[]> {
    if (this.#isClosed) return []
    try {
      await this.close()
    } catch {
      // The caller learns why the merge failed; whoever awaits `close` learns this one.
    }
    throw error
  }

  /** Puts the new heads into the tree. Usually it is one, still in the place where it won last. */
  #seatRefilled(): void {
    if (this.#dry.length === 0) return
    const tree = this.#tree
    for (const at of this.#dry) {
      const { batch } = this.#sources[at]!
      if (batch.length > 0) tree.setHead(at, batch[0]!)
      else this.#live--
    }
    if (this.#dry.length === 1 && this.#dry[0] === tree.winner) tree.replay(tree.winner)
    else tree.rebuild()
    this.#dry.length = 0
    if (this.#live > 0) this.#checkRise(tree.winner, tree.head)
  }

  #merge(size: number): readonly Group<T>[] {
    const groups: Group<T>[] = []
    const most = Math.min(size, this.#left)
    if (this.#live === 1) this.#pass(groups, most)
    else while (groups.length < most && this.#dry.length === 0) groups.push(this.#nextGroup())
    this.#left -= groups.length
    return groups
  }

  /** The only source left: nothing to merge with, its batch passes through. */
  #pass(groups: Group<T>[], most: number): void {
    const at = this.#tree.winner
    const source = this.#sources[at]!
    const { batch, alone } = source
    const end = Math.min(batch.length, source.head + most)
    for (; source.head < end; source.head++) {
      const item = batch[source.head]!
      this.#checkRise(at, item)
      this.#setLast(item)
      groups.push({ items: [item], sources: alone })
    }
    if (end === batch.length) this.#dry.push(at)
  }

  #nextGroup(): Group<T> {
    const tree = this.#tree
    const at = tree.winner
    const item = tree.head
    this.#setLast(item)
    this.#advance(at)
    if (!tree.isJoined) return { items: [item], sources: this.#sources[at]!.alone }

    const items = [item]
    const sources = [at]
    while (tree.isJoined) {
      const next = tree.winner
      items.push(tree.head)
      sources.push(next)
      this.#advance(next)
    }
    return { items, sources }
  }

  /** Moves the winner to its next item. */
  #advance(at: number): void {
    const tree = this.#tree
    const source = this.#sources[at]!
    source.head++
    if (source.head === source.batch.length) {
      this.#dry.push(at)
      tree.pauseWinner()
      return
    }
    tree.setHead(at, source.batch[source.head]!)
    tree.replay(at)
    if (tree.winner === at) this.#checkRise(at, tree.head)
  }

  #setLast(item: T): void {
    this.#last = item
    this.#hasLast = true
  }

  #checkRise(at: number, item: T): void {
    if (this.#hasLast && !(this.#compare(this.#last!, item) < 0)) {
      throw new Error(`Source ${at} is out of order: its keys must rise strictly`)
    }
  }
}

/** Closes all, even if some fail; then fails with the first failure. Synchronous if all are. */
function closeAll<T>(sources: readonly Source<T>[]): Promise<void> | undefined {
  const closings: Promise<void>[] = []
  for (const source of sources) {
    source.batch = []
    try {
      const closing = source.cursor.close()
      if (isPromise(closing)) closings.push(closing)
    } catch (error) {
      closings.push(Promise.reject(error))
    }
  }
  return closings.length === 0 ? undefined : settleAll(closings)
}

async function settleAll(promises: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(promises)
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) throw failure.reason
}

function isPromise<V>(value: V | Promise<V>): value is Promise<V> {
  return typeof value === 'object' && value !== null && 'then' in value
}

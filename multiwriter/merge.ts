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

/** Few enough that a read which stops early wastes little, even over hundreds of sources. */
const FIRST_BATCH = 16

/** Here the cost of a refill has vanished behind its items; more would only pull further ahead. */
const LARGEST_BATCH = 256

/** A sorted source. Items come in strictly rising key order (falling, if read in reverse). */
export interface Cursor<T> {
  /**
   * At most `size` next items; `[]` at the end and after `close`. The cursor leaves the array
   * alone until the next call, the caller never changes it. Not called before the previous call
   * has settled, nor after it gave `[]`.
   */
  nextBatch(size: number): readonly T[] | Promise<readonly T[]>

  /**
   * Releases what the cursor holds. Idempotent. It may come while a batch is pending: that batch
   * must then settle; its outcome is ignored.
   */
  close(): void | Promise<void>
}

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

/**
 * Any cursor as an async iterator, read in batches of 16 growing to 256. Leaving the loop closes
 * the cursor, and so does `return()` before the first item or while one is pending.
 */
export function iterate<T>(cursor: Cursor<T>): AsyncIterableIterator<T, undefined, undefined> {
  return new CursorIterator(cursor)
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

/**
 * The tournament. Leaf `at` hangs below node `(at + k) >> 1`, the root is node 1; every node keeps
 * the loser of its match. Between equal keys the lower source wins, so a shared key comes out in
 * the order of the sources.
 */
class LoserTree<T> {
  /** The source with the lowest head. */
  winner = 0
  /** Whether the winner stands at the key of the winner before it. */
  isJoined = false

  readonly #compare: (a: T, b: T) => number
  readonly #heads: T[]
  /** A source without a head (dry or ended) loses against all. */
  readonly #hasHead: Uint8Array
  /** By node: the source that lost there. */
  readonly #losers: Int32Array
  /** By node: whether the loser has the key of the winner of that subtree, which beat it. */
  readonly #ties: Uint8Array
  /** Room for `rebuild`: the winner of each node and leaf. */
  readonly #winners: Int32Array

  constructor(count: number, compare: (a: T, b: T) => number) {
    this.#compare = compare
    this.#heads = []
    this.#hasHead = new Uint8Array(count)
    this.#losers = new Int32Array(count)
    this.#ties = new Uint8Array(count)
    this.#winners = new Int32Array(2 * count)
  }

  get head(): T {
    return this.#heads[this.winner]!
  }

  /** Followed by `replay` or `rebuild`. */
  setHead(at: number, item: T): void {
    this.#heads[at] = item
    this.#hasHead[at] = 1
  }

  /**
   * The winner has no next item at hand. Alone at its key, it keeps its place until the refill.
   * Otherwise it steps aside for those who share the key.
   */
  pauseWinner(): void {
    const isShared = this.#isShared()
    this.#hasHead[this.winner] = 0
    this.isJoined = false
    if (isShared) this.replay(this.winner)
  }

  /** Plays the matches of the winner again, with its new head, from the leaf up. */
  replay(at: number): void {
    const losers = this.#losers
    const ties = this.#ties
    let winner = at
    let joined = 0
    for (let node = (at + losers.length) >> 1; node > 0; node >>= 1) {
      const rival = losers[node]!
      const order = this.#order(winner, rival)
      const wasTie = ties[node]!
      ties[node] = order === 0 ? 1 : 0
      if (order > 0 || (order === 0 && rival < winner)) {
        losers[node] = winner
        winner = rival
        joined = wasTie
      }
    }
    this.winner = winner
    this.isJoined = joined === 1
  }

  /** Plays all matches. */
  rebuild(): void {
    const count = this.#losers.length
    const winners = this.#winners
    for (let at = 0; at < count; at++) winners[count + at] = at
    for (let node = count - 1; node > 0; node--) {
      const left = winners[2 * node]!
      const right = winners[2 * node + 1]!
      const order = this.#order(left, right)
      const isLeft = order < 0 || (order === 0 && left < right)
      winners[node] = isLeft ? left : right
      this.#losers[node] = isLeft ? right : left
      this.#ties[node] = order === 0 ? 1 : 0
    }
    this.winner = winners[1]!
    this.isJoined = false
  }

  #order(a: number, b: number): number {
    if (this.#hasHead[b] === 0) return -1
    if (this.#hasHead[a] === 0) return 1
    return this.#compare(this.#heads[a]!, this.#heads[b]!)
  }

  #isShared(): boolean {
    for (let node = (this.winner + this.#losers.length) >> 1; node > 0; node >>= 1) {
      if (this.#ties[node] === 1) return true
    }
    return false
  }
}

/**
 * Calls of `next` that overlap take their turns, as with an async generator. Unlike there, `return`
 * waits for none of them, and works before the first.
 */
class CursorIterator<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #cursor: Cursor<T>
  #batch: readonly T[] = []
  #next = 0
  #size = FIRST_BATCH
  #loading: Promise<void> | undefined
  #isDone = false

  constructor(cursor: Cursor<T>) {
    this.#cursor = cursor
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#loading !== undefined) return this.#nextAfter(this.#loading)
    if (this.#isDone) return Promise.resolve({ done: true, value: undefined })
    if (this.#next < this.#batch.length) {
      return Promise.resolve({ done: false, value: this.#batch[this.#next++]! })
    }
    return this.#loadThenNext()
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#isDone = true
    await this.#cursor.close()
    return { done: true, value: undefined }
  }

  #nextAfter(loading: Promise<void>): Promise<IteratorResult<T, undefined>> {
    const takeTurn = (): Promise<IteratorResult<T, undefined>> => this.next()
    return loading.then(takeTurn, takeTurn)
  }

  /** Clears `#loading` only when its first waiter has its turn, or a later call could overtake. */
  async #loadThenNext(): Promise<IteratorResult<T, undefined>> {
    this.#loading = this.#load()
    try {
      await this.#loading
    } finally {
      this.#loading = undefined
    }
    return this.next()
  }

  async #load(): Promise<void> {
    let batch: readonly T[]
    try {
      batch = await this.#cursor.nextBatch(this.#size)
    } catch (error) {
      if (this.#isDone) return
      // The first failure is the one delivered.
      await this.return().catch(() => {})
      throw error
    }
    this.#batch = batch
    this.#next = 0
    this.#size = Math.min(this.#size * 2, LARGEST_BATCH)
    if (batch.length === 0 && !this.#isDone) await this.return()
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

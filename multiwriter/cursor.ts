/** What is read in batches: sorted sources, their merge, and what a view gives. */

/** Few enough that a read which stops early wastes little, even over hundreds of sources. */
export const FIRST_BATCH = 16

/** Here the cost of a refill has vanished behind its items; more would only pull further ahead. */
export const LARGEST_BATCH = 256

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

/** The items of a cursor, each made into something else. Synchronous where the cursor is. */
export function mapCursor<T, U>(cursor: Cursor<T>, map: (item: T) => U): Cursor<U> {
  return {
    nextBatch: (size) => {
      const batch = cursor.nextBatch(size)
      return batch instanceof Promise ? batch.then((all) => all.map(map)) : batch.map(map)
    },
    close: () => cursor.close()
  }
}

/**
 * Any cursor as an async iterator, read in batches of 16 growing to 256. Leaving the loop closes
 * the cursor, and so does `return()` before the first item or while one is pending.
 */
export function iterate<T>(cursor: Cursor<T>): AsyncIterableIterator<T, undefined, undefined> {
  return new CursorIterator(cursor)
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

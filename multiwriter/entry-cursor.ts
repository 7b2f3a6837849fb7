/** From what a view gives to what a caller sees. */
import type { Cursor } from './cursor.ts'

/** Opens the cursor at its first batch. @param onfailure throws what an error means to the caller, or says that it is the end */
export function lateCursor<T>(
  open: () => Promise<Cursor<T>>,
  onfailure: (error: unknown) => readonly []
): Cursor<T> {
  let opening: Promise<Cursor<T>> | null = null
  let opened: Cursor<T> | null = null
  let isClosed = false
  return {
    nextBatch(size) {
      if (isClosed) return []
      opening ??= open()
      const batch =
        opened !== null
          ? opened.nextBatch(size)
          : opening.then((cursor) => {
              opened = cursor
              return isClosed ? [] : cursor.nextBatch(size)
            })
      return batch instanceof Promise ? batch.catch(onfailure) : batch
    },
    async close() {
      isClosed = true
      // What never opened has nothing to close; why not was shown by the read.
      const cursor = await opening?.catch(() => null)
      await cursor?.close()
    }
  }
}

/** What a caller can see, as much as asked for. */
export class EntryCursor<T, E> implements Cursor<E> {
  readonly #cursor: Cursor<T>
  readonly #entryOf: (item: T) => E | null
  #left: number

  /** @param entryOf null for what is left out */
  constructor(cursor: Cursor<T>, limit: number, entryOf: (item: T) => E | null) {
    this.#cursor = cursor
    this.#left = limit
    this.#entryOf = entryOf
  }

  nextBatch(size: number): readonly E[] | Promise<readonly E[]> {
    if (this.#left === 0) return []
    const batch = this.#cursor.nextBatch(Math.min(size, this.#left))
    if (batch instanceof Promise) return this.#skipToLive(batch, size)
    const live = this.#take(batch)
    return live.length > 0 || batch.length === 0
      ? live
      : this.#skipToLive(Promise.resolve([]), size, true)
  }

  close(): void | Promise<void> {
    return this.#cursor.close()
  }

  async #skipToLive(
    first: Promise<readonly T[]>,
    size: number,
    isSkipping = false
  ): Promise<readonly E[]> {
    let batch = await first
    for (;;) {
      const live = this.#take(batch)
      if (live.length > 0 || (batch.length === 0 && !isSkipping)) return live
      isSkipping = false
      batch = await this.#cursor.nextBatch(Math.min(size, this.#left))
    }
  }

  #take(batch: readonly T[]): readonly E[] {
    const live: E[] = []
    for (const item of batch) {
      const entry = this.#entryOf(item)
      if (entry !== null) live.push(entry)
    }
    this.#left -= live.length
    return live
  }
}

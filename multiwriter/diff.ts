/** What differs between two states of one database, in key order: the changed keys (changed.ts), folded in both. */
import type { ReadOptions, TreeRange } from '../core/index.ts'
import { changedKeys } from './changed.ts'
import type { Cursor } from './cursor.ts'
import type { FoldedKey, View } from './view.ts'

/** A key in both states. */
export interface Pair {
  readonly left: FoldedKey
  readonly right: FoldedKey
}

/** Pairs that may differ. In reverse the changed keys are collected first: they are found in rising order. */
export class Diff implements Cursor<Pair> {
  readonly #left: View
  readonly #right: View
  readonly #options: ReadOptions
  readonly #keys: Cursor<Uint8Array>

  constructor(left: View, right: View, range: TreeRange, options: ReadOptions) {
    this.#left = left
    this.#right = right
    this.#options = options
    const keys = changedKeys(left, right, range, options)
    this.#keys = range.reverse === true ? new Reversed(keys) : keys
  }

  async nextBatch(size: number): Promise<readonly Pair[]> {
    const pairs: Pair[] = []
    for (const key of await this.#keys.nextBatch(size)) {
      const left = await this.#left.get(key, this.#options)
      pairs.push({ left, right: await this.#right.get(key, this.#options) })
    }
    return pairs
  }

  close(): void | Promise<void> {
    return this.#keys.close()
  }
}

/** All of another cursor, backwards. */
class Reversed<T> implements Cursor<T> {
  readonly #cursor: Cursor<T>
  #items: T[] | null = null
  #isClosed = false

  constructor(cursor: Cursor<T>) {
    this.#cursor = cursor
  }

  async nextBatch(size: number): Promise<readonly T[]> {
    this.#items ??= await this.#readAll()
    return this.#isClosed ? [] : this.#items.splice(-size).reverse()
  }

  close(): void | Promise<void> {
    this.#isClosed = true
    this.#items = []
    return this.#cursor.close()
  }

  async #readAll(): Promise<T[]> {
    const items: T[] = []
    while (!this.#isClosed) {
      const batch = await this.#cursor.nextBatch(COLLECTED_AT_ONCE)
      if (batch.length === 0) break
      items.push(...batch)
    }
    return items
  }
}

const COLLECTED_AT_ONCE = 256

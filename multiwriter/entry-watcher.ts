/** One key, kept up to date: `node` is its entry, `update` tells that it is another one now. */
import { EventEmitter } from 'eventemitter3'
import { isSameShown } from './entry.ts'
import type { Union } from './union.ts'
import type { FoldedKey } from './view.ts'

export interface EntryWatcherEvents {
  /** `node` has changed. */
  update: []
}

/** An entry, and what it was made of. */
interface Reading<E> {
  readonly entry: E | null
  readonly folded: FoldedKey
}

/** Ends with the database. Changes that come at once are seen as one. */
export class EntryWatcher<E> extends EventEmitter<EntryWatcherEvents> {
  readonly #union: Union
  readonly #read: () => Promise<Reading<E>>
  #last: Reading<E> | null = null
  #reading: Promise<void> | null = null
  #isOpen = false
  #isStale = false
  #isClosed = false

  /** @see MultiBee.getAndWatch */
  constructor(union: Union, read: () => Promise<Reading<E>>) {
    super()
    this.#union = union
    this.#read = read
    union.events.on('change', this.#onchange)
    union.events.on('close', this.#end)
  }

  /** The entry now, or null. */
  get node(): E | null {
    return this.#last?.entry ?? null
  }

  get closed(): boolean {
    return this.#isClosed
  }

  /** Reads the entry for the first time. */
  async open(): Promise<this> {
    try {
      this.#last = await this.#read()
      this.#isOpen = true
      if (this.#isStale) this.#onchange()
      return this
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Stops watching; `node` stays as it is. Idempotent. */
  async close(): Promise<void> {
    this.#end()
    await this.#reading
    this.removeAllListeners()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  readonly #onchange = (): void => {
    this.#isStale = true
    // What is older must not take the place of what is newer: the first reading comes first.
    if (this.#isOpen) this.#reading ??= this.#readLatest().finally(() => (this.#reading = null))
  }

  async #readLatest(): Promise<void> {
    while (this.#isStale && !this.#isClosed) {
      this.#isStale = false
      // What cannot be read now is tried again with the next change; until then what is known stands.
      const last = await this.#read().catch(() => this.#last)
      if (isSame(last, this.#last)) continue
      this.#last = last
      this.emit('update')
    }
  }

  readonly #end = (): void => {
    this.#isClosed = true
    this.#union.events.off('change', this.#onchange)
    this.#union.events.off('close', this.#end)
  }
}

/** What is not shown, to whoever could not read it, has not changed. */
function isSame<E>(a: Reading<E> | null, b: Reading<E> | null): boolean {
  if (a === null || b === null) return a === b
  return (a.entry === null && b.entry === null) || isSameShown(a.folded, b.folded)
}

/** One key, kept up to date: `node` is its entry, `update` tells that it is another one now. */
import { EventEmitter } from 'eventemitter3'
import type { Union } from './union.ts'

export interface EntryWatcherEvents {
  /** `node` has changed. */
  update: []
}

/** What is asked of an entry here. */
interface Place {
  readonly seq: number
  readonly writer: string
  readonly conflicts: readonly { readonly seq: number; readonly writer: string }[]
}

/** Ends with the database. Changes that come at once are seen as one. */
export class EntryWatcher<E extends Place> extends EventEmitter<EntryWatcherEvents> {
  readonly #union: Union
  readonly #read: () => Promise<E | null>
  #node: E | null = null
  #reading: Promise<void> | null = null
  #isOpen = false
  #isStale = false
  #isClosed = false

  /** @see MultiBee.getAndWatch */
  constructor(union: Union, read: () => Promise<E | null>) {
    super()
    this.#union = union
    this.#read = read
    union.events.on('change', this.#onchange)
    union.events.on('close', this.#end)
  }

  /** The entry now, or null. */
  get node(): E | null {
    return this.#node
  }

  get closed(): boolean {
    return this.#isClosed
  }

  /** Reads the entry for the first time. */
  async open(): Promise<this> {
    try {
      this.#node = await this.#read()
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
      const node = await this.#read().catch(() => this.#node)
      if (isSame(node, this.#node)) continue
      this.#node = node
      this.emit('update')
    }
  }

  readonly #end = (): void => {
    this.#isClosed = true
    this.#union.events.off('change', this.#onchange)
    this.#union.events.off('close', this.#end)
  }
}

/** Conflicts come and go, each with its place; their values follow. */
function isSame(a: Place | null, b: Place | null): boolean {
  return a === b || (a !== null && b !== null && placeOf(a) === placeOf(b))
}

function placeOf({ writer, seq, conflicts }: Place): string {
  return JSON.stringify([writer, seq, conflicts.map((each) => [each.writer, each.seq])])
}

/** The events of a database. Conflicts are looked for only while somebody listens: each change of the union is gone through. */
import { EventEmitter } from 'eventemitter3'
import type { Conflict, Entry, EntryCodec } from './entry.ts'
import type { MultiBeeEvents } from './multibee.ts'
import type { Union } from './union.ts'
import type { FoldedKey } from './view.ts'
import { Watcher } from './watch.ts'

interface Found<K, V> {
  readonly key: K
  readonly entry: Entry<K, V | null>
}

type EventName = keyof MultiBeeEvents<unknown, unknown>
type Listener<K, V, E extends EventName> = EventEmitter.EventListener<MultiBeeEvents<K, V>, E>

/** What is asked of a codec here. */
type Codec<K, V> = Pick<EntryCodec<K, V>, 'conflictOf' | 'conflictsOf' | 'range'>

export class ConflictWatch<K, V> extends EventEmitter<MultiBeeEvents<K, V>> {
  readonly #union: Union
  readonly #codec: Codec<K, V>
  #isWatching = false

  constructor(union: Union, codec: Codec<K, V>) {
    super()
    this.#union = union
    this.#codec = codec
  }

  override on<E extends EventName>(event: E, listener: Listener<K, V, E>): this {
    if (event === 'conflict') this.#start()
    return super.on(event, listener)
  }

  override addListener<E extends EventName>(event: E, listener: Listener<K, V, E>): this {
    return this.on(event, listener)
  }

  override once<E extends EventName>(event: E, listener: Listener<K, V, E>): this {
    if (event === 'conflict') this.#start()
    return super.once(event, listener)
  }

  #start(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    void this.#watch()
  }

  async #watch(): Promise<void> {
    const watcher = new Watcher(this.#union, this.#codec.range({}), (_, before, after) =>
      this.#newOf(before, after)
    )
    for (;;) {
      try {
        for await (const found of watcher) {
          // Who left has heard enough; a later listener begins anew.
          if (this.listenerCount('conflict') === 0) return
          this.emit('conflict', found)
        }
        return
      } catch {
        // What cannot be read now is looked at again with the next change.
        await this.#changed()
      } finally {
        this.#isWatching = this.listenerCount('conflict') > 0
      }
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#union.events.once('change', () => resolve())
      this.#union.events.once('close', () => resolve())
    })
  }

  /** The key, where it shows a conflict that it did not show before. */
  #newOf(before: FoldedKey, after: FoldedKey): Found<K, V> | null {
    const entry = this.#codec.conflictOf(after)
    if (entry === null) return null
    const known = new Set(this.#codec.conflictsOf(before).map(idOf))
    const isNew = entry.conflicts.some((conflict) => !known.has(idOf(conflict)))
    return isNew ? { key: entry.key, entry } : null
  }
}

function idOf({ path, writer, seq }: Conflict<unknown>): string {
  return JSON.stringify([path, writer, seq])
}

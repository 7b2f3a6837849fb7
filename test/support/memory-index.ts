/** An ordered store that is gone with the test. */
import b4a from 'b4a'
import type { OrderedChange, OrderedStore } from '../../core/index.ts'

export class MemoryIndex implements OrderedStore {
  readonly #rows: Map<string, Uint8Array>

  constructor(rows: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.#rows = new Map(rows)
  }

  /** As it is now. */
  copy(): MemoryIndex {
    return new MemoryIndex(this.#rows)
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(b4a.toString(key, 'hex'))
  }

  getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    return Promise.resolve(keys.map((key) => this.get(key)))
  }

  write(changes: readonly OrderedChange[]): Promise<void> {
    for (const { key, value } of changes) {
      const name = b4a.toString(key, 'hex')
      if (value === null) this.#rows.delete(name)
      else this.#rows.set(name, value)
    }
    return Promise.resolve()
  }

  cursor(): never {
    throw new Error('Nobody asks for ranges of documents')
  }

  clear(): Promise<void> {
    this.#rows.clear()
    return Promise.resolve()
  }

  bytes(): Promise<number> {
    return Promise.resolve(0)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

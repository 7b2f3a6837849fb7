/** Keys of blocks that come and go, for who is not told of all of them. */
import b4a from 'b4a'
import { blockKey, type BlockKey, type BlockKeys } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'

export class TestKeys implements BlockKeys {
  readonly #known = new Map<string, Uint8Array>()
  readonly #listeners = new Set<() => void>()
  #current: BlockKey | null = null

  /** @param keys known from the beginning; the last one is used */
  constructor(keys: readonly Uint8Array[]) {
    for (const key of keys) this.use(key)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  /** Knows one more. */
  learn(key: Uint8Array): void {
    this.#known.set(idOf(blockKey(key).id), key)
    for (const listener of this.#listeners) listener()
  }

  /** Seals with this one from now on. */
  use(key: Uint8Array): void {
    this.#current = blockKey(key)
    this.learn(key)
  }

  /** May seal with none. */
  stop(): void {
    this.#current = null
  }

  current(): BlockKey {
    if (this.#current !== null) return this.#current
    throw new ManyhandsError('NO_EPOCH_KEY', 'There is no key to write with')
  }

  find(id: Uint8Array): Uint8Array | null {
    return this.#known.get(idOf(id)) ?? null
  }

  onchange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

function idOf(id: Uint8Array): string {
  return b4a.toString(id, 'hex')
}

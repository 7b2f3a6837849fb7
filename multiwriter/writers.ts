/**
 * Whose log counts, and how far. The union asks nothing else of membership: a plain list stands here; the resolved membership
 * of a space will stand behind the same interface.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import { invalid } from '../errors.ts'

export interface Writer {
  /** The key of the writer's data core. */
  readonly core: Uint8Array
  /** Blocks that count, at most: Infinity while not sealed. Readers round it down to a whole batch. */
  readonly seal: number
}

export interface Writers {
  /** All cores that count, in no particular order. */
  list(): readonly Writer[]
  /** Calls back after each change of the list; returns how to stop. */
  subscribe(onchange: () => void): () => void
}

const KEY_BYTES = 32

/** Writers by hand: add a key, set a seal. */
export class WriterList implements Writers {
  readonly #writers = new Map<string, Writer>()
  readonly #events = new EventEmitter<{ change: [] }>()

  constructor(cores: readonly Uint8Array[] = []) {
    for (const core of cores) this.add(core)
  }

  list(): readonly Writer[] {
    return [...this.#writers.values()]
  }

  subscribe(onchange: () => void): () => void {
    this.#events.on('change', onchange)
    return () => this.#events.off('change', onchange)
  }

  has(core: Uint8Array): boolean {
    return this.#writers.has(b4a.toString(core, 'hex'))
  }

  /** False when it was there already. @param seal of a core that counts no further from the first moment on */
  add(core: Uint8Array, seal = Infinity): boolean {
    if (!(core instanceof Uint8Array) || core.byteLength !== KEY_BYTES) {
      invalid('core', `${KEY_BYTES} bytes`, core)
    }
    if (this.has(core)) return false
    this.#set({ core, seal })
    return true
  }

  /** Counts the core up to `length` blocks from now on; Infinity takes a seal away. */
  seal(core: Uint8Array, length: number): void {
    if (!this.has(core)) invalid('core', 'a core of this list', core)
    if (length !== Infinity && !(Number.isSafeInteger(length) && length >= 0)) {
      invalid('length', 'a non-negative integer or Infinity', length)
    }
    this.#set({ core, seal: length })
  }

  #set(writer: Writer): void {
    this.#writers.set(b4a.toString(writer.core, 'hex'), writer)
    this.#events.emit('change')
  }
}

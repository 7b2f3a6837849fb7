/**
 * Whose log counts, and how far. The union asks nothing else of membership: a plain list stands here; the resolved membership
 * of a space will stand behind the same interface.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import { invalid } from '../errors.ts'
import type { Prefixes } from './prefixes.ts'

export interface Writer {
  /** The key of the writer's data core. */
  readonly core: Uint8Array
  /** Blocks that count, at most: Infinity while not sealed. Readers round it down to a whole batch. */
  readonly seal: number
  /** What of it counts: entries at keys within these. The same object as long as they are the same. */
  readonly prefixes: Prefixes
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

  /** False when it was there already. @param seal of a core that counts no further from the first moment on; so for prefixes */
  add(core: Uint8Array, seal = Infinity, prefixes: Prefixes = null): boolean {
    if (!(core instanceof Uint8Array) || core.byteLength !== KEY_BYTES) {
      invalid('core', `${KEY_BYTES} bytes`, core)
    }
    if (this.has(core)) return false
    this.#set({ core, seal, prefixes })
    return true
  }

  /** Counts the core up to `length` blocks from now on; Infinity takes a seal away. */
  seal(core: Uint8Array, length: number): void {
    const { prefixes } = this.#get(core)
    if (length !== Infinity && !(Number.isSafeInteger(length) && length >= 0)) {
      invalid('length', 'a non-negative integer or Infinity', length)
    }
    this.#set({ core, seal: length, prefixes })
  }

  /** Counts of the core what stands within these from now on, and has stood there before. */
  narrow(core: Uint8Array, prefixes: Prefixes): void {
    this.#set({ ...this.#get(core), prefixes })
  }

  #get(core: Uint8Array): Writer {
    return (
      this.#writers.get(b4a.toString(core, 'hex')) ?? invalid('core', 'a core of this list', core)
    )
  }

  #set(writer: Writer): void {
    this.#writers.set(b4a.toString(writer.core, 'hex'), writer)
    this.#events.emit('change')
  }
}

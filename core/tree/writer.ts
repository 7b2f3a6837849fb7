/** Writing to our own tree: one batch, one signed append. */
import { EventEmitter } from 'eventemitter3'
import type Hypercore from 'hypercore'
import Hyperbee from 'hyperbee2'
import SessionConfig from 'hyperbee2/lib/session-config.js'
import { TreeContext, type ContextOptions } from './context.ts'
import { SizedBatch } from './sized-batch.ts'
import { TreeSnapshot } from './snapshot.ts'

export interface TreePut {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** `value: null` takes the key out of the tree; earlier trees keep it. */
export type TreeWrite = TreePut | { readonly key: Uint8Array; readonly value: null }

export class TreeWriter {
  /** `written`: a write has ended, and `length` is what it came to. */
  readonly events = new EventEmitter<{ written: [] }>()
  readonly #core: Hypercore
  #context: TreeContext
  #bee: Hyperbee
  readonly #options: ContextOptions
  /** While a write is under way. */
  #lengthBefore: number | null = null
  /** What the log came to when it was opened, and by each write since; -1 where not all of it was here. */
  #knownLength: number

  /** @param core our own, ready, with its key pair set */
  constructor(core: Hypercore, { maxNodes }: Pick<ContextOptions, 'maxNodes'> = {}) {
    this.#core = core
    this.#knownLength = isNewestHere(core) ? core.length : -1
    this.#options = { packs: true, ...(maxNodes === undefined ? {} : { maxNodes }) }
    this.#context = new TreeContext(core, this.#options)
    this.#bee = openBee(core, this.#context)
  }

  /** The tree as of the last write that has ended. */
  snapshot(): TreeSnapshot {
    return new TreeSnapshot(this.#context, this.length)
  }

  /**
   * The length of that tree. The log itself grows a little earlier, when the new nodes are not yet to be found in memory: who read
   * them then would read them from the log, and keep them a second time.
   */
  get length(): number {
    return this.#lengthBefore ?? this.#core.length
  }

  /**
   * Whether the log has grown by our writes alone. If not, a copy of this store has written as well, or this one lost what it had
   * written: a tree that went on from what is known here would leave that out.
   */
  get isAlone(): boolean {
    return this.isWriting || this.#core.length === this.#knownLength
  }

  get isWriting(): boolean {
    return this.#lengthBefore !== null
  }

  get context(): TreeContext {
    return this.#context
  }

  /** Keys of the newest block that has any, or []: they were written by the last batch. */
  async lastKeys(): Promise<readonly Uint8Array[]> {
    const config = new SessionConfig([], 0, false, null)
    for (let seq = this.#core.length - 1; seq >= 0; seq--) {
      const { keys } = await this.#context.getBlock(seq, 0, config)
      if (keys !== null && keys.length > 0) return keys.map(({ key }) => key)
    }
    return []
  }

  /**
   * Appends the puts as one batch, whole or not at all, and returns the new length. Callers take turns. Keys are distinct:
   * hyperbee2 does not keep the order of puts inside a batch.
   */
  append(puts: readonly TreeWrite[]): Promise<number> {
    return this.#write(puts, false)
  }

  /** As `append`, into a tree that begins empty: what is put is then everything, and stands on no earlier block. */
  rewrite(puts: readonly TreePut[]): Promise<number> {
    return this.#write(puts, true)
  }

  /** In the order of the puts: neighbours share their way, so keys in order hold each node once. */
  async #hold(puts: readonly TreeWrite[]): Promise<void> {
    const tree = this.snapshot()
    for (const { key } of puts) {
      const held = tree.hold(key)
      if (held !== undefined) await held
    }
  }

  async #write(puts: readonly TreeWrite[], isNew: boolean): Promise<number> {
    this.#lengthBefore = this.#core.length
    try {
      const batch = new SizedBatch(this.#bee, puts.length)
      if (isNew) batch.tryClear()
      else await this.#hold(puts)
      for (const { key, value } of puts) {
        if (value === null) batch.tryDelete(key)
        else batch.tryPut(key, value)
      }
      await batch.flush()
      return this.#core.length
    } catch (error) {
      // Nodes in memory are half changed now; the log is not. Start again from the log.
      const { cleared } = this.#context
      this.#context = new TreeContext(this.#core, this.#options)
      this.#context.setCleared(cleared)
      this.#bee = openBee(this.#core, this.#context)
      throw error
    } finally {
      this.#knownLength = this.#core.length
      this.#lengthBefore = null
      this.events.emit('written')
    }
  }
}

/** Of a log that grew elsewhere, the length may have come before the blocks. */
function isNewestHere(core: Hypercore): boolean {
  const newest = core.length - 1
  return newest < 0 || core.core.bitfield.findFirst(true, newest) === newest
}

function openBee(core: Hypercore, context: TreeContext): Hyperbee {
  // The first argument is hyperbee2's store, used to open and close cores: ours has its core, and others own that.
  return new Hyperbee({}, { core, context, writable: true, autoUpdate: false })
}

/**
 * Where a tree's blocks come from: one core, read with care and in bulk.
 *
 * hyperbee2 asks for one block per key and decodes it each time. This context keeps the decoded blocks of late, and gathers
 * the blocks asked for within one turn into one storage read (a read costs one RocksDB flush, whether it asks for 1 block or
 * 128: that flush was more than half of a cold scan's time). Every block is checked before hyperbee2 sees it, and a block of
 * another core is never fetched: tree pointers of a hostile writer may lead anywhere.
 */
import type Hypercore from 'hypercore'
import CoreContext from 'hyperbee2/lib/context.js'
import NodeCache from 'hyperbee2/lib/cache.js'
import { decodeBlock, TYPE_LATEST, type Block } from 'hyperbee2/lib/encoding.js'
import type SessionConfig from 'hyperbee2/lib/session-config.js'
import { ManyhandsError } from '../../errors.ts'
import { TreeRefusal } from './refusal.ts'

/** Tree nodes kept per core: each holds 127 to 255 keys, so 256 cover some 50,000 entries in some 10 MB. */
const MAX_CACHED_NODES = 256

/** Decoded blocks kept per core: about 2 MB of 8 KB blocks. */
const MAX_CACHED_BLOCKS = 256

/** hyperbee2 rebases a node after 16 deltas; twice that is no honest writer's. */
const MAX_DELTAS = 32

/** A cohort holds at most a whole node: 255 keys or 256 children. */
const MAX_COHORT = 256

export class TreeContext extends CoreContext {
  /** In order of last use, the oldest first. */
  readonly #blocks = new Map<number, Block>()
  readonly #pending = new Map<number, Promise<Block | null>>()
  #gathering: Gathering | null = null

  constructor(core: Hypercore) {
    super(NO_STORE, core, new NodeCache(MAX_CACHED_NODES), core, () => null)
  }

  override async getBlock(seq: number, core: number, config: SessionConfig): Promise<Block> {
    if (core !== 0) throw new TreeRefusal('foreign-core', seq)
    const known = this.#blocks.get(seq)
    if (known !== undefined) return this.#remember(seq, known)
    const block = (await this.#local(seq)) ?? (await this.#remote(seq, config))
    return this.#remember(seq, block)
  }

  override getCore(core: number): Hypercore {
    if (core !== 0) throw new TreeRefusal('foreign-core', 0)
    return this.core
  }

  override updateMaybe(): Promise<void> {
    return Promise.reject(new TreeRefusal('foreign-core', 0))
  }

  /**
   * Called by hyperbee2 before each write to learn of other cores. There are none in our own trees, so the block read and
   * the storage write it would cost are spared.
   */
  override update(_config: SessionConfig): Promise<void> {
    this.length = this.core.length
    return Promise.resolve()
  }

  /** One storage read and one decoding, however many ask for the block meanwhile. */
  #local(seq: number): Promise<Block | null> {
    const pending = this.#pending.get(seq)
    if (pending !== undefined) return pending
    const reading = this.#readLocal(seq).finally(() => this.#pending.delete(seq))
    this.#pending.set(seq, reading)
    return reading
  }

  async #readLocal(seq: number): Promise<Block | null> {
    if (!this.core.opened || this.core.closing !== null) return null
    this.#gathering ??= new Gathering(this.core, () => (this.#gathering = null))
    const bytes = await this.#gathering.read(seq)
    return bytes === null ? null : decodeChecked(bytes, seq)
  }

  async #remote(seq: number, config: SessionConfig): Promise<Block> {
    const bytes = await this.core.get(seq, config)
    if (bytes === null) {
      throw new ManyhandsError('BLOCK_UNAVAILABLE', `Block ${seq} of a log is not on this device`)
    }
    return decodeChecked(bytes, seq)
  }

  #remember(seq: number, block: Block): Block {
    this.#blocks.delete(seq)
    this.#blocks.set(seq, block)
    if (this.#blocks.size > MAX_CACHED_BLOCKS) {
      for (const oldest of this.#blocks.keys()) {
        this.#blocks.delete(oldest)
        break
      }
    }
    return block
  }
}

/** The façade that hyperbee2 gets for a store: no other core can be opened through a tree. */
const NO_STORE = {
  get(): never {
    throw new TreeRefusal('foreign-core', 0)
  }
}

/** The blocks asked for within one turn: one storage read. */
class Gathering {
  readonly #rx: { getBlock(seq: number): Promise<Uint8Array | null>; tryFlush(): void }

  constructor(core: Hypercore, onflush: () => void) {
    this.#rx = core.core.state.storage.read()
    queueMicrotask(() => {
      onflush()
      this.#rx.tryFlush()
    })
  }

  read(seq: number): Promise<Uint8Array | null> {
    return this.#rx.getBlock(seq)
  }
}

function decodeChecked(bytes: Uint8Array, seq: number): Block {
  const block = decodeSafely(bytes, seq)
  if (block.type !== TYPE_LATEST) throw new TreeRefusal('malformed-block', seq)
  for (const node of block.tree ?? []) {
    // Deltas are applied one by one to an array: an unchecked number of them is a way to stop the reader's event loop.
    if (node.keys.length > MAX_DELTAS || node.children.length > MAX_DELTAS) {
      throw new TreeRefusal('malformed-node', seq)
    }
  }
  for (const cohort of block.cohorts ?? []) {
    if (cohort.length > MAX_COHORT) throw new TreeRefusal('malformed-node', seq)
  }
  return block
}

function decodeSafely(bytes: Uint8Array, seq: number): Block {
  try {
    return decodeBlock(bytes, seq)
  } catch (error) {
    throw new TreeRefusal('malformed-block', seq, error)
  }
}

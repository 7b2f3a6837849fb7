/**
 * Where a tree's blocks come from: one core, read with care and in bulk.
 *
 * hyperbee2 asks for one block per key and decodes it each time. This context keeps the decoded blocks of late, and gathers
 * the blocks asked for within one turn into one storage read (a read costs one RocksDB flush, whether it asks for 1 block or
 * 128: that flush was more than half of a cold scan's time). Every block is checked before hyperbee2 sees it, and a block of
 * another core is never fetched: tree pointers of a hostile writer may lead anywhere. Blocks that are read past Hypercore are decrypted
 * here (block-cipher.ts).
 */
import type Hypercore from 'hypercore'
import CoreContext from 'hyperbee2/lib/context.js'
import {
  decodeBlock,
  TYPE_LATEST,
  type Block,
  type BlockKey,
  type BlockPointer,
  type Delta
} from 'hyperbee2/lib/encoding.js'
import type SessionConfig from 'hyperbee2/lib/session-config.js'
import type { TreeNode, TreeNodePointer } from 'hyperbee2/lib/tree.js'
import { ManyhandsError } from '../../errors.ts'
import { plainBlock } from '../block-cipher.ts'
import { TreeCache } from './cache.ts'
import { PackedLeaves } from './packed.ts'
import { isIn } from './ranges.ts'
import type { Cleared } from './cleared.ts'
import { TreeRefusal } from './refusal.ts'

/** Tree nodes kept per core: each holds 127 to 255 keys, so 1024 cover some 200,000 entries in some 100 MB. */
const MAX_CACHED_NODES = 1024

/** Packed leaves kept of our own log: the keys of more than a million scattered entries. */
const MAX_PACKED_BYTES = 64 * 1024 * 1024

/** Decoded blocks kept per core: some MB. */
const MAX_CACHED_BLOCKS = 256

/** What they take in memory: a hostile writer's blocks may be large, an honest one's are when they hold large values. */
const MAX_CACHED_BYTES = 16 * 1024 * 1024

/** In memory: a delta and its pointer, which are some four bytes in a block. Where nodes stand, that is nearly all there is. */
const DELTA_BYTES = 100

/** An honest block holds little more than one value of 4 MiB, or one node of 255 long keys. */
const MAX_BLOCK_BYTES = 8 * 1024 * 1024

/** Changes that a node carries before it is written anew; more are no honest writer's. hyperbee2 by itself takes 16. */
export const MAX_DELTAS = 32

/** A cohort holds at most a whole node: 255 keys or 256 children. */
const MAX_COHORT = 256

/** A decoded block and how many bytes it keeps in memory, roughly. */
interface Decoded {
  readonly block: Block
  readonly bytes: number
}

/** Which of a log's histories is read. Two contexts of one log read the same one unless one of them has this. */
export interface Branch {
  /** Up to here it is as the history that was read before. */
  readonly from: number
}

export interface ContextOptions {
  readonly isLazy?: boolean
  readonly branch?: Branch | null
  readonly packs?: boolean
  readonly maxNodes?: number
}

export class TreeContext extends CoreContext {
  /** In order of last use, the oldest first. */
  readonly #blocks = new Map<number, Decoded>()
  readonly #pending = new Map<number, Promise<Decoded | null>>()
  #cachedBytes = 0
  #gathering: Gathering | null = null
  #cleared: Cleared | null = null

  /** Blocks are fetched when they are read: then a node's keys are too, one by one. */
  readonly isLazy: boolean

  readonly branch: Branch | null

  /** What makes room in the cache of nodes; null for logs of others. */
  readonly packed: PackedLeaves | null

  /** The block that keys stand in, as if their values stood apart in it, at the same places. */
  readonly keyValues: Pick<CoreContext, 'getBlock'> = {
    getBlock: async (seq, core, config) => {
      const block = await this.getBlock(seq, core, config)
      return { ...block, values: (block.keys ?? []).map(({ value }) => value ?? NO_VALUE) }
    }
  }

  /** Nodes are read through the cache, which is how packed leaves come back. */
  readonly #nodes: TreeCache

  /**
   * @param packs leaves that make room in memory are kept small: for a log that is written
   * @param maxNodes tree nodes kept as they are
   */
  constructor(
    core: Hypercore,
    {
      isLazy = false,
      packs = false,
      maxNodes = MAX_CACHED_NODES,
      branch = null
    }: ContextOptions = {}
  ) {
    const packed = packs ? new PackedLeaves(MAX_PACKED_BYTES) : null
    const nodes = new TreeCache(maxNodes, packed)
    super(NO_STORE, core, nodes, core, () => null)
    this.isLazy = isLazy
    this.branch = branch
    this.packed = packed
    this.#nodes = nodes
  }

  /** The node of a pointer if that takes no reading, or null. */
  node(pointer: TreeNodePointer): TreeNode | null {
    if (pointer.value === null && this.packed !== null) this.#nodes.recall(this, pointer)
    return pointer.value
  }

  /** Goes on in another session of the same core. */
  readFrom(core: Hypercore): void {
    this.core = core
    this.local = core
  }

  /** What the writer has cleared: such a block is not waited for. */
  setCleared(cleared: Cleared | null): void {
    this.#cleared = cleared
    // Their blocks may be gone, and the tree that is written anew refers to none of them.
    this.packed?.clear()
    for (const seq of this.#blocks.keys()) if (isIn(cleared?.ranges ?? [], seq)) this.#forget(seq)
  }

  /** Reads everything from the disk again. */
  forgetAll(): void {
    this.packed?.clear()
    for (const seq of this.#blocks.keys()) this.#forget(seq)
    this.#nodes.clear()
  }

  get cleared(): Cleared | null {
    return this.#cleared
  }

  /** The length from which on no tree stands on what is cleared; Infinity when nothing is. */
  get clearedSince(): number {
    return this.#cleared?.since ?? Infinity
  }

  /** A block that is decoded already, or null. */
  decoded(seq: number): Block | null {
    const known = this.#blocks.get(seq)
    return known === undefined ? null : this.#remember(seq, known)
  }

  /** A block that is on this device, or null. */
  async getBlockHere(seq: number): Promise<Block | null> {
    const known = this.decoded(seq)
    if (known !== null) return known
    const read = await this.#local(seq)
    return read === null ? null : this.#remember(seq, read)
  }

  override async getBlock(seq: number, core: number, config: SessionConfig): Promise<Block> {
    if (core !== 0) throw new TreeRefusal('foreign-core', seq)
    const known = this.#blocks.get(seq)
    if (known !== undefined) return this.#remember(seq, known)
    return this.#remember(seq, (await this.#local(seq)) ?? (await this.#remote(seq, config)))
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
  #local(seq: number): Promise<Decoded | null> {
    const pending = this.#pending.get(seq)
    if (pending !== undefined) return pending
    const reading = this.#readLocal(seq).finally(() => this.#pending.delete(seq))
    this.#pending.set(seq, reading)
    return reading
  }

  async #readLocal(seq: number): Promise<Decoded | null> {
    if (!this.core.opened || this.core.closing !== null) return null
    const { core } = this // another one, if the log goes on in another session meanwhile
    this.#gathering ??= new Gathering(core, () => (this.#gathering = null))
    const bytes = await this.#gathering.read(seq)
    if (bytes === null) return null
    const plain = plainBlock(core, seq, bytes)
    return decodeChecked(plain instanceof Promise ? await plain : plain, seq)
  }

  async #remote(seq: number, config: SessionConfig): Promise<Decoded> {
    if (this.#cleared !== null && isIn(this.#cleared.ranges, seq)) {
      throw new ManyhandsError('VERSION_UNAVAILABLE', `Block ${seq} was cleared by its writer`)
    }
    const bytes = await this.core.get(seq, config).catch((error: unknown) => missing(seq, error))
    return bytes === null ? missing(seq) : decodeChecked(bytes, seq)
  }

  #remember(seq: number, decoded: Decoded): Block {
    this.#forget(seq)
    this.#blocks.set(seq, decoded)
    this.#cachedBytes += decoded.bytes
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= MAX_CACHED_BLOCKS && this.#cachedBytes <= MAX_CACHED_BYTES) break
      this.#forget(oldest)
    }
    return decoded.block
  }

  #forget(seq: number): void {
    this.#cachedBytes -= this.#blocks.get(seq)?.bytes ?? 0
    this.#blocks.delete(seq)
  }
}

/** The stack's time-out means the same to a caller as a block that is not here; its other errors are passed on. */
function missing(seq: number, cause?: unknown): never {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (cause instanceof Error && code !== 'REQUEST_TIMEOUT') throw cause
  throw new ManyhandsError('BLOCK_UNAVAILABLE', `Block ${seq} of a log is not on this device`, {
    cause
  })
}

/** Of a key whose value stands apart: nobody asks for it here. */
const NO_VALUE = new Uint8Array(0)

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

  /**
   * Each answer is memory of its own, and the caller's: RocksDB copies out of its caches for every read, and neither Hypercore, which
   * reads anew for each peer, nor its storage, which keeps tree nodes only, has blocks in memory. So what is read may be opened in
   * place (test/core/opened-in-place.test.ts holds the stack to it).
   */
  read(seq: number): Promise<Uint8Array | null> {
    return this.#rx.getBlock(seq)
  }
}

function decodeChecked(bytes: Uint8Array, seq: number): Decoded {
  if (bytes.byteLength > MAX_BLOCK_BYTES) throw new TreeRefusal('malformed-block', seq)
  const block = decodeSafely(bytes, seq)
  if (block.type !== TYPE_LATEST) throw new TreeRefusal('malformed-block', seq)
  // Deltas are applied one by one to an array: an unchecked number of them is a way to stop the reader's event loop.
  let deltas = 0
  for (const node of block.tree ?? []) {
    checkDeltas(node.keys, MAX_DELTAS, seq)
    checkDeltas(node.children, MAX_DELTAS, seq)
    deltas += node.keys.length + node.children.length
  }
  for (const cohort of block.cohorts ?? []) {
    checkDeltas(cohort, MAX_COHORT, seq)
    deltas += cohort.length
  }
  for (const key of block.keys ?? []) checkKey(key, seq)
  return { block, bytes: bytes.byteLength + deltas * DELTA_BYTES }
}

function checkDeltas(deltas: readonly Delta[], max: number, seq: number): void {
  if (deltas.length > max) throw new TreeRefusal('malformed-node', seq)
  for (const { pointer } of deltas) if (pointer !== null) checkPointer(pointer, seq)
}

function checkKey({ key, valuePointer }: BlockKey, seq: number): void {
  // Ours begin with a section. A split value would be read in as many blocks as it claims.
  if (!(key instanceof Uint8Array) || key.byteLength === 0)
    throw new TreeRefusal('malformed-block', seq)
  if (valuePointer === null) return
  checkPointer(valuePointer, seq)
  if (valuePointer.split !== 0) throw new TreeRefusal('malformed-block', seq)
}

/**
 * A writer points at what it has written: into its own core, and never past the block it writes. So every chain of pointers
 * ends, nobody waits for a block that will never be, and what a bad pointer leads to is the fault of the block that holds it.
 */
function checkPointer(pointer: BlockPointer, seq: number): void {
  if (pointer.core !== 0) throw new TreeRefusal('foreign-core', seq)
  if (pointer.seq > seq) throw new TreeRefusal('forward-pointer', seq)
}

function decodeSafely(bytes: Uint8Array, seq: number): Block {
  try {
    return decodeBlock(bytes, seq)
  } catch (error) {
    throw new TreeRefusal('malformed-block', seq, error)
  }
}

/**
 * From blocks to a node. A node stands in its block as deltas: pointers to keys, each in the block that wrote it, and to
 * children; some of them gathered in cohorts, which may stand in other blocks again. hyperbee2 asks for the block of each key
 * with a promise of its own, which costs more than reading and decoding them. Here the blocks come first, in at most three
 * rounds (the node's, its cohorts', its keys'), each one storage read; then the node is put together without waiting.
 *
 * Where blocks are fetched when they are read (a lazy context), a key whose block is not on this device stays open: its `key` is
 * null until somebody needs it. A lookup needs a few keys of a node, and a node's keys may stand in as many blocks as it has.
 *
 * Whether what comes out is sound is checked by snapshot.ts; what is not there throws a RangeError.
 */
import b4a from 'b4a'
import { DeltaCohort, DeltaOp, OP_COHORT } from 'hyperbee2/lib/compression.js'
import type { Block, BlockPointer, Delta } from 'hyperbee2/lib/encoding.js'
import type SessionConfig from 'hyperbee2/lib/session-config.js'
import {
  KeyPointer,
  Pointer,
  TreeNode,
  ValuePointer,
  type TreeNodePointer
} from 'hyperbee2/lib/tree.js'
import type { TreeContext } from './context.ts'

/**
 * Puts the node of `pointer` into memory. Calls that overlap share one reading.
 * @param like a node of the same log, the one before a write perhaps: what both have of keys is not read again
 */
export async function inflateNode(
  context: TreeContext,
  pointer: TreeNodePointer,
  config: SessionConfig,
  like: TreeNode | null = null
): Promise<TreeNode> {
  const known = context.node(pointer)
  if (known !== null) return known
  // hyperbee2's own inflating looks here too.
  pointer.inflating ??= new Inflating(context, config, keysOf(like)).node(pointer)
  try {
    return await pointer.inflating
  } finally {
    pointer.inflating = null
  }
}

class Inflating {
  readonly #context: TreeContext
  readonly #config: SessionConfig
  readonly #blocks = new Map<number, Block>()
  readonly #known: ReadonlyMap<string, KeyPointer>

  constructor(context: TreeContext, config: SessionConfig, known: ReadonlyMap<string, KeyPointer>) {
    this.#context = context
    this.#config = config
    this.#known = known
  }

  async node(pointer: TreeNodePointer): Promise<TreeNode> {
    await this.#load([pointer.seq])
    const block = this.#block(pointer.seq)
    const { keys, children } = at(block.tree, pointer.offset)
    await this.#load([...cohortBlocks(keys), ...cohortBlocks(children)])
    const keyBlocks = this.#keyBlocks(keys)
    await (this.#context.isLazy ? this.#loadHere(keyBlocks) : this.#load(keyBlocks))
    const keyOps = keys.map((delta) => this.#inflate(delta, (each) => this.#key(each)))
    const childOps = children.map((delta) => this.#inflate(delta, (each) => this.#child(each)))
    pointer.value ??= new TreeNode(block.t, keyOps, childOps)
    return pointer.value
  }

  /** Holds the blocks for as long as this takes, whatever the cache of the context does. */
  async #load(seqs: readonly number[]): Promise<void> {
    const missing = [...new Set(seqs)].filter((seq) => !this.#take(seq))
    if (missing.length === 0) return
    const blocks = await Promise.all(
      missing.map((seq) => this.#context.getBlock(seq, 0, this.#config))
    )
    blocks.forEach((block, i) => this.#blocks.set(at(missing, i), block))
  }

  /** What is on this device of the blocks. */
  async #loadHere(seqs: readonly number[]): Promise<void> {
    const missing = [...new Set(seqs)].filter((seq) => !this.#take(seq))
    const blocks = await Promise.all(missing.map((seq) => this.#context.getBlockHere(seq)))
    blocks.forEach((block, i) => {
      if (block !== null) this.#blocks.set(at(missing, i), block)
    })
  }

  /** Whether the block is at hand, without waiting. */
  #take(seq: number): boolean {
    if (this.#blocks.has(seq)) return true
    const block = this.#context.decoded(seq)
    if (block !== null) this.#blocks.set(seq, block)
    return block !== null
  }

  #block(seq: number): Block {
    return this.#blocks.get(seq) ?? nothingThere()
  }

  #keyBlocks(deltas: readonly Delta[]): number[] {
    return deltas.flatMap((delta) =>
      (delta.type === OP_COHORT ? this.#cohort(delta) : [delta]).flatMap(({ pointer }) =>
        pointer === null || this.#known.has(placeOf(pointer)) ? [] : [pointer.seq]
      )
    )
  }

  #cohort({ pointer }: Delta): readonly Delta[] {
    if (pointer === null) return nothingThere()
    return at(this.#block(pointer.seq).cohorts, pointer.offset)
  }

  #inflate<P>(delta: Delta, inflate: (delta: Delta) => DeltaOp<P>): DeltaOp<P> | DeltaCohort<P> {
    if (delta.type !== OP_COHORT) return inflate(delta)
    const { seq = 0, offset = 0 } = delta.pointer ?? {}
    const deltas = this.#cohort(delta).map(inflate)
    return new DeltaCohort(false, new Pointer(this.#context, 0, seq, offset), deltas)
  }

  #key({ type, index, pointer }: Delta): DeltaOp<KeyPointer> {
    if (pointer === null) return new DeltaOp<KeyPointer>(false, type, index, null)
    const { seq, offset } = pointer
    const {
      key = null,
      value = null,
      valuePointer = null
    } = this.#known.get(placeOf(pointer)) ?? {}
    const found = new KeyPointer(this.#context, 0, seq, offset, false, key, value, valuePointer)
    if (key !== null) return new DeltaOp(false, type, index, found)
    const block = this.#context.isLazy ? this.#blocks.get(seq) : this.#block(seq)
    if (block !== undefined) fillKey(this.#context, found, block)
    return new DeltaOp(false, type, index, found)
  }

  #child({ type, index, pointer }: Delta): DeltaOp<TreeNodePointer> {
    const child =
      pointer === null
        ? null
        : this.#context.createTreeNode(0, pointer.seq, pointer.offset, false, null)
    return new DeltaOp(false, type, index, child)
  }
}

/** The keys of a node that are at hand. */
function keysOf(node: TreeNode | null): ReadonlyMap<string, KeyPointer> {
  const known = new Map<string, KeyPointer>()
  for (let i = 0; i < (node?.keys.length ?? 0); i++) {
    const pointer = node?.keys.get(i)
    if (pointer !== undefined && pointer.key !== null) known.set(placeOf(pointer), pointer)
  }
  return known
}

function placeOf({ seq, offset }: BlockPointer): string {
  return `${seq} ${offset}`
}

/** Fetches the block of an open key, which gives the node this key and all others that stand in the same block. */
export async function openKey(
  context: TreeContext,
  node: TreeNode,
  { seq }: KeyPointer,
  config: SessionConfig
): Promise<void> {
  const block = await context.getBlock(seq, 0, config)
  for (let i = 0; i < node.keys.length; i++) {
    const pointer = node.keys.get(i)
    if (pointer.key === null && pointer.seq === seq) fillKey(context, pointer, block)
  }
}

/**
 * Gives a key pointer its key and value, from the block that wrote them. Copied: the keys of a node may stand in as many blocks,
 * and a node in memory must not keep them all.
 */
function fillKey(context: TreeContext, pointer: KeyPointer, block: Block): void {
  const { key, value, valuePointer: far } = at(block.keys, pointer.offset)
  pointer.key = b4a.from(key)
  pointer.value = value === null ? null : b4a.from(value)
  if (far !== null) pointer.valuePointer = new ValuePointer(context, 0, far.seq, far.offset, 0)
}

function cohortBlocks(deltas: readonly Delta[]): number[] {
  return deltas.flatMap(({ type, pointer }) =>
    type === OP_COHORT && pointer !== null ? [pointer.seq] : []
  )
}

function at<T>(list: readonly T[] | null, index: number): T {
  return list?.[index] ?? nothingThere()
}

function nothingThere(): never {
  throw new RangeError('A pointer leads to where nothing is')
}

/**
 * One batch of our tree: hyperbee2's, but for which nodes share a block.
 *
 * Whoever looks for one key in a remote log fetches whole blocks: the root's, and that of a leaf. hyperbee2 leaves values out when
 * it counts how full a block is, so that one "of 8 KB" held 40 KB of entries of 100 bytes, and puts the next leaf beside the root
 * and beside a leaf that fills a block already. Here blocks are cut by what will stand in them, and a root has few beside it.
 *
 * hyperbee2 asks once per node, in the order in which it packs them, whether the block is full. So that is planned ahead, in
 * the same order: a plan that did not fit would make other blocks, never another tree.
 */
import type Hyperbee from 'hyperbee2'
import type { TreeNode, TreeNodePointer } from 'hyperbee2/lib/tree.js'
import WriteBatch from 'hyperbee2/lib/write.js'
import { MAX_DELTAS } from './context.ts'

/** Of nodes and keys: a block that holds so much takes no further node. */
const KEYS_BYTES = 10 * 1024

/** With values: a full leaf of keys and values of some 130 bytes together. A larger one has a block to itself. */
const NODES_BYTES = 36 * 1024

/** With the root, which every read of a remote log fetches. */
const ROOT_BYTES = 8 * 1024

/** Of values that stand apart. */
const VALUES_BYTES = 8 * 1024

/** Larger values stand apart: hyperbee2's default. */
const INLINE_BYTES = 1024

/** Puts from which on a node gets many changes at once, and is not soon written again with all that it carries. */
const LARGE_BATCH = 256

/** Changes that a node carries before it is written anew: hyperbee2's default. */
const SMALL_BATCH_DELTAS = 16

/** A pointer with its place in a node. */
const POINTER_BYTES = 6

/** What stands around a key and its value, and points at a value that stands apart. */
const KEY_FRAME_BYTES = 9

/** In bytes. */
interface Size {
  /** Without values. */
  readonly keys: number
  readonly all: number
}

const NOTHING: Size = { keys: 0, all: 0 }

export class SizedBatch extends WriteBatch {
  #cuts: Iterator<boolean> | null = null

  /** @param size how many puts will come */
  constructor(tree: Hyperbee, size: number) {
    const deltaMax = size < LARGE_BATCH ? SMALL_BATCH_DELTAS : MAX_DELTAS
    super(tree, { deltaMax, inlineValueSize: INLINE_BYTES })
  }

  /** The size at which the block is full now; asked once for each node, then for each value. */
  override get preferredBlockSize(): number {
    const next = this.#cuts?.next()
    if (next === undefined || next.done === true) return VALUES_BYTES
    return next.value ? 0 : Infinity
  }

  /** Set by hyperbee2's constructor. */
  override set preferredBlockSize(_size: number) {}

  override _flush(): Promise<void> {
    const node = this.root?.value ?? null
    // All of it now: from its first step on, packing changes what is packed.
    if (node !== null) this.#cuts = cutsBelow(node).values()
    return super._flush()
  }
}

/** For each changed node, in hyperbee2's order: whether it begins a block. */
function cutsBelow(root: TreeNode): readonly boolean[] {
  const cuts: boolean[] = []
  const waiting: TreeNode[] = [root]
  let block: Size = NOTHING
  let limit = ROOT_BYTES
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const { keys, all } = sizeOf(node)
    const isFull = block.keys >= KEYS_BYTES || block.all + all > limit
    const isCut = node !== root && isFull
    if (isCut) limit = NODES_BYTES
    block = isCut ? { keys, all } : { keys: block.keys + keys, all: block.all + all }
    waiting.push(...changedBelow(node))
    cuts.push(isCut)
  }
  return cuts
}

function changedBelow({ children }: TreeNode): readonly TreeNode[] {
  const changed: TreeNode[] = []
  for (let i = 0; i < children.ulength; i++) {
    const { value, changed: isChanged }: TreeNodePointer = children.uget(i)
    if (isChanged && value !== null) changed.push(value)
  }
  return changed
}

/** What a node and the keys that are new in it will take, roughly. */
function sizeOf({ keys, children }: TreeNode): Size {
  let own = POINTER_BYTES * (pointersOf(keys) + pointersOf(children))
  let values = 0
  for (let i = 0; i < keys.ulength; i++) {
    const { changed, key, value } = keys.uget(i)
    if (!changed) continue
    own += (key?.byteLength ?? 0) + KEY_FRAME_BYTES
    if (value !== null && value.byteLength <= INLINE_BYTES) values += value.byteLength
  }
  return { keys: own, all: own + values }
}

/** A long list of changes becomes the list of what there is. */
function pointersOf({ delta, ulength }: { delta: readonly unknown[]; ulength: number }): number {
  return delta.length <= MAX_DELTAS ? delta.length : Math.max(ulength, MAX_DELTAS)
}

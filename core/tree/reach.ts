/**
 * Which blocks a tree stands on. A B-tree that only grows leaves its old nodes behind: what the newest tree does not reach is
 * history. Told by nodes, each visited once (a hostile tree may share subtrees, so that walking it by keys never ends): the
 * node's own block, the blocks of its cohorts, of the keys that its deltas name, and of the values that stand apart.
 *
 * Keys that a later delta replaces are reached too: putting a node together reads them (inflate.ts). Children that a later delta
 * replaces are not.
 */
import type Hypercore from 'hypercore'
import { OP_COHORT } from 'hyperbee2/lib/compression.js'
import type { Block, Delta } from 'hyperbee2/lib/encoding.js'
import SessionConfig from 'hyperbee2/lib/session-config.js'
import type { TreeNode, TreeNodePointer } from 'hyperbee2/lib/tree.js'
import type { Work } from '../progress.ts'
import { TreeContext } from './context.ts'
import { inflateNode } from './inflate.ts'
import { refusalOf, type ReadOptions } from './snapshot.ts'
import { TreeRefusal } from './refusal.ts'

/**
 * The blocks that reading the tree of the first `length` blocks can ask for; `length` at the end of a batch. Read from the disk,
 * whatever is in memory.
 * @throws TreeRefusal, BLOCK_UNAVAILABLE
 */
export async function reachableBlocks(
  core: Hypercore,
  length: number,
  options: ReadOptions & Work = {}
): Promise<ReadonlySet<number>> {
  if (length === 0) return new Set()
  const { wait = false, timeout = 0, ...work } = options
  const context = new TreeContext(core)
  const reach = new Reach(context, new SessionConfig([], timeout, wait, null))
  await reach.walk(context.createTreeNode(0, length - 1, 0, false, null), work)
  return reach.blocks
}

/** So many nodes between two words of progress. */
const NODES_PER_REPORT = 256

class Reach {
  readonly blocks = new Set<number>()
  readonly #context: TreeContext
  readonly #config: SessionConfig
  readonly #nodes = new Set<string>()

  constructor(context: TreeContext, config: SessionConfig) {
    this.#context = context
    this.#config = config
  }

  async walk(root: TreeNodePointer, { signal, onprogress }: Work): Promise<void> {
    const stack = [root]
    for (let pointer = stack.pop(); pointer !== undefined; pointer = stack.pop()) {
      signal?.throwIfAborted()
      const id = `${pointer.seq} ${pointer.offset}`
      if (this.#nodes.has(id)) continue
      this.#nodes.add(id)
      if (this.#nodes.size % NODES_PER_REPORT === 0) {
        onprogress?.({ task: 'walking a tree', done: this.blocks.size, unit: 'blocks' })
      }
      const node = await this.#visit(pointer)
      for (let i = 0; i < node.children.length; i++) stack.push(node.children.get(i))
      // The walk goes on by pointers, so nothing needs the node any more.
      pointer.value = null
    }
  }

  async #visit(pointer: TreeNodePointer): Promise<TreeNode> {
    try {
      const block = await this.#context.getBlock(pointer.seq, 0, this.#config)
      const node = await inflateNode(this.#context, pointer, this.#config)
      this.blocks.add(pointer.seq)
      const { keys = [], children = [] } = block.tree?.[pointer.offset] ?? {}
      for (const delta of keys) await this.#addKey(delta)
      for (const { type, pointer: at } of children)
        if (type === OP_COHORT && at !== null) this.blocks.add(at.seq)
      for (let i = 0; i < node.keys.length; i++) {
        const { valuePointer } = node.keys.get(i)
        if (valuePointer !== null) this.blocks.add(valuePointer.seq)
      }
      return node
    } catch (error) {
      throw refusalOf(error, pointer.seq)
    }
  }

  async #addKey({ type, pointer }: Delta): Promise<void> {
    if (pointer === null) return
    this.blocks.add(pointer.seq)
    if (type !== OP_COHORT) return
    const block: Block = await this.#context.getBlock(pointer.seq, 0, this.#config)
    const cohort = block.cohorts?.[pointer.offset]
    if (cohort === undefined) throw new TreeRefusal('malformed-block', pointer.seq)
    for (const delta of cohort) await this.#addKey(delta)
  }
}

/** One storage read for so many blocks. */
const BLOCKS_AT_ONCE = 128

/** The bytes of each block from `start` up to `end`, null for one that is not on this device. */
export async function blockSizes(
  core: Hypercore,
  start: number,
  end: number,
  { signal, onprogress }: Work = {}
): Promise<readonly (number | null)[]> {
  const sizes: (number | null)[] = []
  for (let from = start; from < end; from += BLOCKS_AT_ONCE) {
    signal?.throwIfAborted()
    const rx = core.core.state.storage.read()
    const count = Math.min(BLOCKS_AT_ONCE, end - from)
    const reads = Array.from({ length: count }, (_, i) => rx.getBlock(from + i))
    rx.tryFlush()
    for (const block of await Promise.all(reads)) sizes.push(block?.byteLength ?? null)
    onprogress?.({
      task: 'reading blocks',
      done: sizes.length,
      total: end - start,
      unit: 'blocks'
    })
  }
  return sizes
}

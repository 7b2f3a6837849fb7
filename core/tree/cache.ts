/**
 * The tree nodes in memory, least recently used first out; stands in for hyperbee2's own cache, which departs from what a
 * writer with readers beside it needs in two ways:
 * - It forgets a node's id when the node is used a second time, so the next tree is read from its blocks anew.
 * - It keeps the nodes that a write has replaced. Each put replaces the path to its leaf, so a few hundred puts drive out
 *   every node still in use.
 */
import type { TreeNodePointer } from 'hyperbee2/lib/tree.js'
import type { TreeContext } from './context.ts'
import type { PackedLeaves } from './packed.ts'

export class TreeCache {
  /** Counted up by every write; what the running write has in hand carries a greater number. */
  retained = 0
  /** What the running write changes or makes; hyperbee2 puts it on and takes it off again. */
  readonly dirty = new DirtyNodes((pointer) => this.#noteReplaced(pointer))
  readonly #maxSize: number
  /** In order of last use, the oldest first. */
  readonly #nodes = new Map<number, TreeNodePointer>()
  readonly #packed: PackedLeaves | null
  #replaced: TreeNodePointer[] = []
  /** Replaced by writes that have ended: who reads an older tree uses them still, and must not bring them back. */
  readonly #gone = new WeakSet<TreeNodePointer>()

  /** @param packed where leaves that make room are kept small */
  constructor(maxSize: number, packed: PackedLeaves | null = null) {
    this.#maxSize = maxSize
    this.#packed = packed
  }

  /** The pointer to the same node that is kept, or null. */
  get(pointer: TreeNodePointer): TreeNodePointer | null {
    return this.#nodes.get(idOf(pointer)) ?? null
  }

  /** The node is used now. */
  bump(pointer: TreeNodePointer): void {
    if (this.#gone.has(pointer)) return
    const id = idOf(pointer)
    this.#nodes.delete(id)
    this.#nodes.set(id, pointer)
  }

  /** Of a log that nobody here writes to. */
  clear(): void {
    for (const pointer of this.#nodes.values()) pointer.value = null
    this.#nodes.clear()
  }

  gc(): void {
    if (this.#nodes.size <= this.#maxSize) return
    for (const [id, pointer] of this.#nodes) {
      if (this.#nodes.size <= this.#maxSize || pointer.retained > this.retained) return
      this.#nodes.delete(id)
      if (pointer.value !== null) this.#packed?.keep(id, pointer.value)
      pointer.value = null
    }
  }

  /** Puts a node back into memory that was packed. */
  recall(context: TreeContext, pointer: TreeNodePointer): boolean {
    const node = this.#packed?.recall(context, idOf(pointer)) ?? null
    if (node === null) return false
    pointer.value = node
    this.bump(pointer)
    this.gc()
    return true
  }

  /** Called at the end of each write, failed or not. */
  flush(): void {
    while (this.dirty.length > 0) this.dirty.at(-1)?.unmark()
    // Not emptied: older trees that are being read hold them still.
    for (const pointer of this.#replaced) {
      this.#nodes.delete(idOf(pointer))
      this.#packed?.drop(idOf(pointer))
      this.#gone.add(pointer)
    }
    this.#replaced = []
    this.retained++
    this.gc()
  }

  /** What a write changes and what is kept already, it replaces by a node further on in the log. */
  #noteReplaced(pointer: TreeNodePointer): void {
    if (this.get(pointer) === pointer) this.#replaced.push(pointer)
  }
}

class DirtyNodes extends Array<TreeNodePointer> {
  readonly #onpush: (pointer: TreeNodePointer) => void

  constructor(onpush: (pointer: TreeNodePointer) => void) {
    super()
    this.#onpush = onpush
  }

  override push(pointer: TreeNodePointer): number {
    this.#onpush(pointer)
    return super.push(pointer)
  }
}

/** More nodes than any block of ours holds; a hostile block's nodes beyond may take each other's place in the cache. */
const MAX_NODES_PER_BLOCK = 2 ** 16

/** One core, one cache: block and offset name a node. */
function idOf({ seq, offset }: TreeNodePointer): number {
  return seq * MAX_NODES_PER_BLOCK + offset
}

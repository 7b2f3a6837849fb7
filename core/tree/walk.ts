/**
 * A walk over one tree that stops in front of each subtree as well as at each key, so that whoever walks may pass over a subtree
 * without reading it. Keys are checked to rise, as by a cursor.
 */
import b4a from 'b4a'
import type { KeyPointer, TreeNode, TreeNodePointer } from 'hyperbee2/lib/tree.js'
import { MAX_TREE_DEPTH, type CursorSource, type LoadNode, type TreeEntry } from './cursor.ts'
import { TreeRefusal } from './refusal.ts'
import { keyOf } from './search.ts'

interface Frame {
  readonly node: TreeNode
  /** The block the node stands in. */
  readonly seq: number
  /** The place in reading order: a leaf has keys only; an inner node alternates child, key, ..., child. */
  at: number
}

/** A subtree that was not entered. */
interface Passed {
  readonly pointer: TreeNodePointer
  readonly depth: number
  /** The block that points at it. */
  readonly from: number
}

export class TreeWalk {
  readonly #load: LoadNode
  readonly #source: CursorSource
  #root: TreeNodePointer | null
  readonly #stack: Frame[] = []
  #last: Uint8Array | null = null
  /** How short the stack was at its shortest since the last key or subtree passed over: that frame has both below it. */
  #turn = 0
  /** Passed over since the last key. */
  #passed: Passed | null = null

  constructor(root: TreeNodePointer | null, load: LoadNode, source: CursorSource) {
    this.#root = root
    this.#load = load
    this.#source = source
  }

  /** The subtree that comes next, or null at a key and at the end. */
  get child(): TreeNodePointer | null {
    if (this.#root !== null) return this.#root
    const frame = this.#frame()
    return frame !== null && isChild(frame) ? frame.node.children.get(frame.at >> 1) : null
  }

  /** The key that comes next, or null in front of a subtree and at the end. Not yet open if it stands in a block not read. */
  get key(): KeyPointer | null {
    if (this.#root !== null) return null
    const frame = this.#frame()
    return frame === null || isChild(frame) ? null : keyAt(frame)
  }

  /** From 0 to 1, roughly. */
  get progress(): number {
    if (this.#root !== null) return 0
    if (this.#stack.length === 0) return 1
    let share = 1
    let done = 0
    for (const frame of this.#stack) {
      const places = placesOf(frame.node)
      done += (share * Math.max(0, frame.at - 1)) / places
      share /= places
    }
    return Math.min(1, done)
  }

  /**
   * Goes into the subtree that comes next. Synchronous when it is in memory. @throws TreeRefusal, BLOCK_UNAVAILABLE
   * @param like a subtree that may have most of its keys: where that is in memory, they are not read again
   */
  enter(like: TreeNodePointer | null = null): void | Promise<void> {
    const pointer = this.child
    if (pointer === null) return
    // Too deep is said by `load`.
    const known = this.#stack.length > MAX_TREE_DEPTH ? null : this.#source.node(pointer)
    return known === null ? this.#enterCold(pointer, like) : this.#push(known, pointer)
  }

  /** Passes over the subtree that comes next: it is known to be sound, and to begin above the last key. */
  pass(): void {
    const pointer = this.child
    if (pointer === null) return
    const from = this.#stack.at(-1)?.seq ?? pointer.seq
    this.#passed = { pointer, depth: this.#stack.length, from }
    this.#turn = this.#stack.length
    this.#moveOn()
  }

  /** The bytes of the key that comes next are at hand afterwards. */
  async open(): Promise<void> {
    const frame = this.#frame()
    if (frame !== null && !isChild(frame)) await this.#source.open(frame.node, keyAt(frame))
  }

  /** Takes the key that comes next. @throws TreeRefusal when it is not above the last one */
  take(): KeyPointer | null {
    const pointer = this.key
    if (pointer === null) return null
    const key = keyOf(pointer)
    if (this.#last !== null && b4a.compare(key, this.#last) <= 0) throw this.#unsorted()
    this.#last = key
    this.#passed = null
    this.#turn = this.#stack.length
    this.#moveOn()
    return pointer
  }

  /** Checks that the key that comes next stands above all of a subtree that was passed over since the last key. */
  checkAbovePassed(): void | Promise<void> {
    const passed = this.#passed
    const pointer = this.key
    if (passed !== null && pointer !== null) return this.#checkAbove(passed, pointer)
  }

  async #checkAbove(passed: Passed, pointer: KeyPointer): Promise<void> {
    const greatest = await this.#greatest(passed.pointer, passed.depth, passed.from)
    if (greatest !== null && b4a.compare(keyOf(pointer), greatest) <= 0) throw this.#unsorted()
  }

  entry(pointer: KeyPointer): TreeEntry | Promise<TreeEntry> {
    return this.#source.value(pointer)
  }

  close(): void {
    this.#root = null
    this.#stack.length = 0
    this.#source.release()
  }

  async #enterCold(pointer: TreeNodePointer, like: TreeNodePointer | null): Promise<void> {
    const from = this.#stack.at(-1)?.seq ?? pointer.seq
    const known = like === null ? null : this.#source.node(like)
    this.#push(await this.#load(pointer, this.#stack.length, from, known), pointer)
  }

  #push(node: TreeNode, { seq }: TreeNodePointer): void {
    this.#moveOn()
    this.#stack.push({ node, seq, at: 0 })
  }

  #moveOn(): void {
    const frame = this.#stack.at(-1)
    if (this.#root !== null) this.#root = null
    else if (frame !== undefined) frame.at++
  }

  /** The frame that has something left, or null at the end. */
  #frame(): Frame | null {
    for (;;) {
      const frame = this.#stack.at(-1)
      if (frame === undefined) return null
      if (frame.at < placesOf(frame.node)) return frame
      this.#stack.pop()
      this.#turn = Math.min(this.#turn, this.#stack.length)
    }
  }

  /** The last key below a pointer, or null if there is none. */
  async #greatest(
    pointer: TreeNodePointer,
    depth: number,
    from: number
  ): Promise<Uint8Array | null> {
    const node = await this.#load(pointer, depth, from)
    if (node.children.length > 0) {
      return this.#greatest(node.children.get(node.children.length - 1), depth + 1, pointer.seq)
    }
    if (node.keys.length === 0) return null
    const last = node.keys.get(node.keys.length - 1)
    if (last.key === null) await this.#source.open(node, last)
    return keyOf(last)
  }

  /** The keys may be honest ones, wrongly put together: at fault is the lowest node that has both below it. */
  #unsorted(): TreeRefusal {
    return new TreeRefusal('unsorted', this.#stack[Math.max(0, this.#turn - 1)]?.seq ?? 0)
  }
}

function placesOf(node: TreeNode): number {
  return node.keys.length + node.children.length
}

function isChild({ node, at }: Frame): boolean {
  return node.children.length > 0 && (at & 1) === 0
}

function keyAt({ node, at }: Frame): KeyPointer {
  return node.keys.get(node.children.length === 0 ? at : (at - 1) >> 1)
}

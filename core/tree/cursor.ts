/**
 * A cursor walks one tree in key order, either way, and yields entries in batches.
 *
 * The way down is a stack of frames, one per level. A frame's `at` counts the places of its node in reading order: a leaf has
 * its keys only; an inner node alternates child, key, child, ..., child. Between two nodes in memory nothing is awaited. When
 * a child is not in memory, the next few are asked for with it, as many as the batch size makes likely to be read: locally
 * their blocks come in one storage read, remotely in one round trip.
 */
import b4a from 'b4a'
import type { KeyPointer, TreeNode, TreeNodePointer } from 'hyperbee2/lib/tree.js'
import { TreeRefusal } from './refusal.ts'
import { find, findHere } from './search.ts'

/** Most nodes asked for at once. */
const MAX_PREFETCH = 8

/** One node is asked for per this many entries of a batch; a node holds at least 127. */
const ENTRIES_PER_PREFETCH = 32

/** hyperbee2 nodes hold at least 127 keys, so 2^48 entries reach depth 7. */
export const MAX_TREE_DEPTH = 16

export interface TreeEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** The block in which this entry was written. */
  readonly seq: number
}

/** Bounds are bytes; an absent bound is open. */
export interface TreeRange {
  readonly gte?: Uint8Array
  readonly gt?: Uint8Array
  readonly lte?: Uint8Array
  readonly lt?: Uint8Array
  readonly reverse?: boolean
  /** A hint: how many entries will be asked for, at most. */
  readonly limit?: number
}

/** A checked node; may come from the network. `from` is the block that holds the pointer. */
export type LoadNode = (
  pointer: TreeNodePointer,
  depth: number,
  from: number,
  like?: TreeNode | null
) => Promise<TreeNode>

export interface CursorSource {
  /** A checked node that is in memory, or null. */
  node(pointer: TreeNodePointer): TreeNode | null
  /** Fetches a key that is open. */
  open(node: TreeNode, pointer: KeyPointer): Promise<void>
  value(key: KeyPointer): TreeEntry | Promise<TreeEntry>
  release(): void
}

interface Frame {
  readonly node: TreeNode
  /** The block the node stands in. */
  readonly seq: number
  at: number
}

export class TreeCursor {
  readonly #load: LoadNode
  readonly #source: CursorSource
  readonly #range: TreeRange
  readonly #reverse: boolean
  #root: TreeNodePointer | null
  #stack: Frame[] = []
  #last: Uint8Array | null = null
  /** How short the stack was at its shortest since the last key: that frame has both this key and the last below it. */
  #turn = 0
  #wanted: number

  constructor(
    root: TreeNodePointer | null,
    range: TreeRange,
    load: LoadNode,
    source: CursorSource
  ) {
    this.#root = root
    this.#range = range
    this.#reverse = range.reverse ?? false
    this.#wanted = range.limit ?? Infinity
    this.#load = load
    this.#source = source
  }

  /** At most `size` next entries, [] at the end. Synchronous when all of them are in memory. @throws TreeRefusal */
  nextBatch(size: number): readonly TreeEntry[] | Promise<readonly TreeEntry[]> {
    const keys: KeyPointer[] = []
    const isFull = this.#root === null && this.#fill(keys, size)
    return isFull ? this.#finish(keys) : this.#nextBatchCold(keys, size)
  }

  /** Drops pending requests; idempotent. */
  close(): void {
    this.#root = null
    this.#stack = []
    this.#source.release()
  }

  async #nextBatchCold(keys: KeyPointer[], size: number): Promise<readonly TreeEntry[]> {
    if (this.#root !== null) await this.#seek(this.#root)
    while (!this.#fill(keys, size)) await this.#warm(size - keys.length)
    return this.#finish(keys)
  }

  #finish(keys: readonly KeyPointer[]): readonly TreeEntry[] | Promise<readonly TreeEntry[]> {
    this.#wanted -= keys.length
    const entries = keys.map((key) => this.#source.value(key))
    return entries.every(isPresent) ? entries : settleAll(entries)
  }

  /** Takes keys until the batch is full or the range ends (true), or a child or key is not in memory (false). */
  #fill(keys: KeyPointer[], size: number): boolean {
    while (keys.length < size) {
      const frame = this.#stack.at(-1)
      if (frame === undefined) return true
      const key = this.#step(frame)
      if (key === 'cold') return false
      if (key !== 'moved') keys.push(key)
    }
    return true
  }

  #step(frame: Frame): KeyPointer | 'moved' | 'cold' {
    const { node } = frame
    if (frame.at >= placesOf(node)) {
      this.#stack.pop()
      this.#turn = Math.min(this.#turn, this.#stack.length)
      return 'moved'
    }
    if (isChildPlace(node, frame.at)) {
      const child = this.#childAt(node, frame.at)
      // Too deep is said by `load`.
      const known = this.#stack.length > MAX_TREE_DEPTH ? null : this.#source.node(child)
      return known === null ? 'cold' : this.#push(frame, known, child)
    }
    return this.#take(frame)
  }

  #push(frame: Frame, node: TreeNode, { seq }: TreeNodePointer): 'moved' {
    frame.at++
    this.#stack.push({ node, seq, at: 0 })
    return 'moved'
  }

  #take(frame: Frame): KeyPointer | 'moved' | 'cold' {
    const pointer = this.#keyAt(frame.node, frame.at)
    const { key } = pointer
    if (key === null) return 'cold'
    if (this.#isPastEnd(key)) {
      this.#stack = []
      return 'moved'
    }
    if (!this.#isInOrder(key)) {
      // The keys may be honest ones, wrongly put together: at fault is the lowest node that has both below it.
      const culprit = this.#stack[Math.max(0, this.#turn - 1)] ?? frame
      throw new TreeRefusal('unsorted', culprit.seq)
    }
    this.#last = key
    this.#turn = this.#stack.length
    frame.at++
    return pointer
  }

  #isInOrder(key: Uint8Array): boolean {
    if (this.#last === null) return !this.#isBeforeStart(key)
    const order = b4a.compare(key, this.#last)
    return this.#reverse ? order < 0 : order > 0
  }

  /** Fetches what `#fill` stopped at, and what of it the batch will need next. */
  async #warm(missing: number): Promise<void> {
    const frame = this.#stack.at(-1)
    if (frame === undefined) return
    if (isChildPlace(frame.node, frame.at)) await this.#descend(frame, missing)
    else await this.#openKeys(frame, missing)
  }

  /** The keys from the frame's place on: of a leaf those that the batch misses, of an inner node one. */
  async #openKeys({ node, at }: Frame, missing: number): Promise<void> {
    const isLeaf = node.children.length === 0
    const count = isLeaf ? Math.min(missing, this.#wanted, placesOf(node) - at) : 1
    const pointers = Array.from({ length: count }, (_, i) => this.#keyAt(node, at + i))
    // One per block: each opens all that stand in it.
    const blocks = new Map(
      pointers.filter(({ key }) => key === null).map((each) => [each.seq, each])
    )
    await Promise.all([...blocks.values()].map((each) => this.#source.open(node, each)))
  }

  /** Loads the child at the frame's place, and some that follow. */
  async #descend(frame: Frame, size: number): Promise<void> {
    const depth = this.#stack.length
    const child = this.#childAt(frame.node, frame.at)
    const loading = this.#load(child, depth, frame.seq)
    this.#prefetch(frame, depth, Math.min(size, this.#wanted))
    const node = await loading
    // Closed meanwhile: leave the empty stack alone.
    if (this.#stack.at(-1) === frame) this.#push(frame, node, child)
  }

  #prefetch({ node, seq, at }: Frame, depth: number, entries: number): void {
    const count = Math.min(MAX_PREFETCH, Math.ceil(entries / ENTRIES_PER_PREFETCH))
    for (let i = 1; i < count && at + 2 * i < placesOf(node); i++) {
      const { key } = this.#keyAt(node, at + 2 * i - 1)
      if (key === null || this.#isPastEnd(key)) return
      const child = this.#childAt(node, at + 2 * i)
      // A failure shows when the child is really read.
      if (child.value === null) this.#load(child, depth, seq).catch(() => {})
    }
  }

  /** Goes down to the first entry of the range. */
  async #seek(root: TreeNodePointer): Promise<void> {
    this.#root = null
    let pointer = root
    let from = root.seq
    for (let depth = 0; ; depth++) {
      const node = await this.#load(pointer, depth, from)
      const frame = { node, seq: pointer.seq, at: await this.#firstPlace(node) }
      this.#stack.push(frame)
      if (!isChildPlace(node, frame.at) || frame.at >= placesOf(node)) return
      pointer = this.#childAt(node, frame.at)
      from = frame.seq
      frame.at++
    }
  }

  /** The first place of a node, in reading order, that can hold something of the range. */
  async #firstPlace(node: TreeNode): Promise<number> {
    const { length } = node.keys
    const keys = { length, get: (i: number) => node.keys.get(this.#reverse ? length - 1 - i : i) }
    const isBefore = (key: Uint8Array) => this.#isBeforeStart(key)
    const open = (pointer: KeyPointer) => this.#source.open(node, pointer)
    const before = findHere(keys, isBefore) ?? (await find(keys, isBefore, open))
    return node.children.length === 0 ? before : 2 * before
  }

  #keyAt(node: TreeNode, at: number): KeyPointer {
    const i = node.children.length === 0 ? at : (at - 1) >> 1
    return node.keys.get(this.#reverse ? node.keys.length - 1 - i : i)
  }

  #childAt(node: TreeNode, at: number): TreeNodePointer {
    const i = at >> 1
    return node.children.get(this.#reverse ? node.children.length - 1 - i : i)
  }

  #isBeforeStart(key: Uint8Array): boolean {
    return this.#reverse ? isAbove(key, this.#range) : isBelow(key, this.#range)
  }

  #isPastEnd(key: Uint8Array): boolean {
    return this.#reverse ? isBelow(key, this.#range) : isAbove(key, this.#range)
  }
}

/** Whether a key lies within the bounds. */
export function isInRange(key: Uint8Array, range: TreeRange): boolean {
  return !isBelow(key, range) && !isAbove(key, range)
}

function isBelow(key: Uint8Array, { gte, gt }: TreeRange): boolean {
  if (gte !== undefined && b4a.compare(key, gte) < 0) return true
  return gt !== undefined && b4a.compare(key, gt) <= 0
}

function isAbove(key: Uint8Array, { lte, lt }: TreeRange): boolean {
  if (lte !== undefined && b4a.compare(key, lte) > 0) return true
  return lt !== undefined && b4a.compare(key, lt) >= 0
}

/** Waits for the few that stand in other blocks. */
async function settleAll(
  entries: readonly (TreeEntry | Promise<TreeEntry>)[]
): Promise<readonly TreeEntry[]> {
  return Promise.all(entries.map(async (entry) => entry))
}

function isPresent(entry: TreeEntry | Promise<TreeEntry>): entry is TreeEntry {
  return !(entry instanceof Promise)
}

function placesOf(node: TreeNode): number {
  return node.keys.length + node.children.length
}

function isChildPlace(node: TreeNode, at: number): boolean {
  return node.children.length > 0 && (at & 1) === 0
}

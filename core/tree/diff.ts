/**
 * What differs between two states of one log's tree, in key order, reading only what differs.
 *
 * A write replaces the path to its leaf, and shares all other subtrees with the tree before. Both trees are walked side by side:
 * where both come to the same subtree it is passed over; where they come to different ones the newer is entered, because a node
 * stands in front of its children in the log, so only the newer can contain the other. Keys that both trees share are
 * recognised by their place in the log, the rest by their bytes.
 *
 * What the blocks between two lengths claim to have written is not asked: a hostile writer can put another tree under a root
 * without writing a key. Whatever it does is found here, or refused: the left tree is sound (it is empty, or it was on the
 * right once), a subtree is passed over only right behind a key that both trees have, and a key that then comes in the right
 * tree alone is compared with the end of what was passed over.
 *
 * Costs a path per changed key at most. The slow twin, in the tests, compares two scans.
 */
import b4a from 'b4a'
import type { KeyPointer, TreeNodePointer } from 'hyperbee2/lib/tree.js'
import { isInRange, type TreeEntry, type TreeRange } from './cursor.ts'
import { keyOf } from './search.ts'
import type { ReadOptions, TreeSnapshot } from './snapshot.ts'
import type { TreeWalk } from './walk.ts'

/** A key whose entry is not the same in both trees. */
export interface TreeChange {
  readonly key: Uint8Array
  readonly left: TreeEntry | null
  readonly right: TreeEntry | null
}

export class TreeDiff {
  readonly #left: TreeWalk
  readonly #right: TreeWalk
  readonly #range: TreeRange
  /** From here on the same place in both trees is not the same thing: they are of two histories. */
  readonly #shared: number

  /** @param left sound: empty, or compared with before as a right tree. Both of one log. */
  constructor(
    left: TreeSnapshot,
    right: TreeSnapshot,
    range: TreeRange = {},
    options: ReadOptions = {}
  ) {
    this.#left = left.walk(options)
    this.#right = right.walk(options)
    this.#range = range
    this.#shared = left.sharedWith(right)
  }

  /** How far the walk has come, from 0 to 1, roughly. */
  get progress(): number {
    return this.#right.progress
  }

  /** At most `size` next changes, [] at the end. @throws TreeRefusal, BLOCK_UNAVAILABLE */
  async nextBatch(size: number): Promise<readonly TreeChange[]> {
    const changes: TreeChange[] = []
    while (changes.length < size) {
      const found = this.#step()
      const change = found instanceof Promise ? await found : found
      if (change === 'end') break
      if (change !== null && isInRange(change.key, this.#range)) changes.push(change)
    }
    return changes
  }

  close(): void {
    this.#left.close()
    this.#right.close()
  }

  /** Null when the step found nothing to tell. */
  #step(): TreeChange | 'end' | null | Promise<TreeChange | 'end' | null> {
    const left = this.#left.child
    const right = this.#right.child
    if (left !== null && right !== null) return this.#stepChildren(left, right)
    if (left !== null) return nothing(this.#left.enter())
    if (right !== null) return nothing(this.#right.enter())
    return this.#stepKeys(this.#left.key, this.#right.key)
  }

  #stepChildren(left: TreeNodePointer, right: TreeNodePointer): null | Promise<null> {
    if (this.#isSame(left, right)) {
      this.#left.pass()
      this.#right.pass()
      return null
    }
    const isLeft = isNewer(left, right)
    // Of two histories, one place is not one key.
    const like = this.#shared === Infinity ? (isLeft ? right : left) : null
    return nothing((isLeft ? this.#left : this.#right).enter(like))
  }

  #stepKeys(
    left: KeyPointer | null,
    right: KeyPointer | null
  ): TreeChange | 'end' | null | Promise<TreeChange | 'end' | null> {
    if (left === null && right === null) return 'end'
    if (left?.key === null) return nothing(this.#left.open())
    if (right?.key === null) return nothing(this.#right.open())
    const order = left === null ? 1 : right === null ? -1 : b4a.compare(keyOf(left), keyOf(right))
    if (order > 0) return this.#takeRightAlone()
    this.#left.take()
    if (order < 0) return this.#changeOf(left, null)
    this.#right.take()
    return left !== null && right !== null && this.#isSame(left, right)
      ? null
      : this.#changeOf(left, right)
  }

  /** One log, so a block and an offset in it name one thing. */
  #isSame(a: Place, b: Place): boolean {
    return a.seq === b.seq && a.offset === b.offset && a.seq < this.#shared
  }

  #takeRightAlone(): TreeChange | null | Promise<TreeChange | null> {
    const checked = this.#right.checkAbovePassed()
    return checked instanceof Promise
      ? checked.then(() => this.#changeOf(null, this.#right.take()))
      : this.#changeOf(null, this.#right.take())
  }

  /** Synchronous when the values are in memory. */
  #changeOf(
    left: KeyPointer | null,
    right: KeyPointer | null
  ): TreeChange | null | Promise<TreeChange | null> {
    const pointer = left ?? right
    if (pointer === null) return null
    const key = keyOf(pointer)
    const was = left === null ? null : this.#left.entry(left)
    if (was instanceof Promise) return was.then((before) => this.#changeTo(key, before, right))
    return this.#changeTo(key, was, right)
  }

  #changeTo(
    key: Uint8Array,
    left: TreeEntry | null,
    pointer: KeyPointer | null
  ): TreeChange | Promise<TreeChange> {
    const right = pointer === null ? null : this.#right.entry(pointer)
    return right instanceof Promise
      ? right.then((after) => ({ key, left, right: after }))
      : { key, left, right }
  }
}

interface Place {
  readonly seq: number
  readonly offset: number
}

/** A node stands in a later block than its children, or in front of them in the same one. */
function isNewer(a: Place, b: Place): boolean {
  return a.seq !== b.seq ? a.seq > b.seq : a.offset < b.offset
}

function nothing(done: void | Promise<void>): null | Promise<null> {
  return done instanceof Promise ? done.then(() => null) : null
}

/**
 * Reading one core's tree at one length: lookups and cursors over hyperbee2's nodes, with the checks that a remote tree needs.
 *
 * hyperbee2's own reader trusts its input: a node that is its own child spins it for ever inside one turn. Here every node is
 * checked as it is read (DESIGN section 5): pointers lead strictly backwards, so reading ends; a node has one child more than
 * keys, and a cursor's keys strictly rise, so each step yields something new and no shared subtree can be walked twice;
 * depth is bounded. Between two nodes that are in memory nothing is awaited.
 */
import b4a from 'b4a'
import Hypercore from 'hypercore'
import { inflateValue } from 'hyperbee2/lib/inflate.js'
import SessionConfig from 'hyperbee2/lib/session-config.js'
import { EMPTY, type KeyPointer, type TreeNode, type TreeNodePointer } from 'hyperbee2/lib/tree.js'
import { isManyhandsError } from '../../errors.ts'
import {
  MAX_TREE_DEPTH,
  TreeCursor,
  type CursorSource,
  type LoadNode,
  type TreeEntry,
  type TreeRange
} from './cursor.ts'
import type { Branch, TreeContext } from './context.ts'
import { inflateNode, openKey } from './inflate.ts'
import { NearValue } from './packed.ts'
import { TreeRefusal } from './refusal.ts'
import { find, findHere, keyOf, type IsBefore } from './search.ts'
import { TreeWalk } from './walk.ts'

/** hyperbee2's largest node is 255 keys. */
const MAX_NODE_KEYS = 255

export interface ReadOptions {
  /** False: only what is on this device; else BLOCK_UNAVAILABLE. Default true. */
  readonly wait?: boolean
  /** Milliseconds to wait for one block, 0 for ever. */
  readonly timeout?: number
}

export class TreeSnapshot {
  readonly length: number
  readonly #context: TreeContext
  readonly #root: TreeNodePointer

  /** @param length of whole batches (see wholeBatches) */
  constructor(context: TreeContext, length: number) {
    this.length = length
    this.#context = context
    this.#root = length === 0 ? EMPTY : context.createTreeNode(0, length - 1, 0, false, null)
  }

  /** Which history of the log this is of; null unless it is another than the one that was read first. */
  get branch(): Branch | null {
    return this.#context.branch
  }

  /** How many blocks are the same in another tree of this log: all, unless the log has several histories. */
  sharedWith(other: TreeSnapshot): number {
    const [one, two] = [this.#context.branch, other.#context.branch]
    return one === two ? Infinity : Math.min(one?.from ?? Infinity, two?.from ?? Infinity)
  }

  /**
   * The entry of a key, or null. Synchronous when the way to it is in memory.
   * @throws TreeRefusal on a bad tree, BLOCK_UNAVAILABLE on a missing block with `wait: false`
   */
  get(key: Uint8Array, options: ReadOptions = {}): TreeEntry | null | Promise<TreeEntry | null> {
    let pointer = this.#root
    if (pointer === EMPTY) return null
    let from = pointer.seq
    for (let depth = 0; ; depth++) {
      const node = depth > MAX_TREE_DEPTH ? null : this.#inMemory(pointer)
      if (node === null) return this.#getCold(key, pointer, depth, from, configOf(options))
      const index = findHere(node.keys, isBelow(key))
      if (index === null) return this.#getCold(key, pointer, depth, from, configOf(options))
      if (isAt(node, index, key)) return this.#entry(node.keys.get(index), () => configOf(options))
      if (node.children.length === 0) return null
      from = pointer.seq
      pointer = node.children.get(index)
    }
  }

  /**
   * Puts the way to a key into memory, where it stays until the write that comes next has ended. hyperbee2 would read what is
   * missing there by itself, one block and one promise per key.
   */
  hold(key: Uint8Array): void | Promise<void> {
    let pointer = this.#root
    if (pointer === EMPTY) return
    for (let depth = 0; ; depth++) {
      const node = this.#inMemory(pointer)
      if (node === null) return this.#holdCold(key, pointer, depth)
      pointer.retain()
      if (node.children.length === 0) return
      const index = findHere(node.keys, isBelow(key))
      if (index === null || isAt(node, index, key)) return
      pointer = node.children.get(index)
    }
  }

  async #holdCold(key: Uint8Array, pointer: TreeNodePointer, depth: number): Promise<void> {
    await this.#inflate(pointer, depth, pointer.seq, configOf({ wait: false }))
    pointer.retain()
    // From the root again: it is in memory now, and so is what has been held.
    await this.hold(key)
  }

  /** A cursor over a range. Close it: it may hold requests to peers. */
  cursor(range: TreeRange = {}, options: ReadOptions = {}): TreeCursor {
    const config = configOf(options)
    return new TreeCursor(
      this.#rootOrNull(),
      range,
      this.#loadWith(config),
      this.#sourceWith(config)
    )
  }

  /** A walk that can pass over subtrees (see TreeDiff). Close it. */
  walk(options: ReadOptions = {}): TreeWalk {
    const config = configOf(options)
    return new TreeWalk(this.#rootOrNull(), this.#loadWith(config), this.#sourceWith(config))
  }

  #rootOrNull(): TreeNodePointer | null {
    return this.#root === EMPTY ? null : this.#root
  }

  #loadWith(config: SessionConfig): LoadNode {
    return (pointer, depth, from, like) => this.#inflate(pointer, depth, from, config, like)
  }

  #sourceWith(config: SessionConfig): CursorSource {
    return {
      node: (pointer) => this.#inMemory(pointer),
      open: (node, pointer) => this.#open(node, pointer, config),
      value: (key) => this.#entry(key, () => config),
      release: () => Hypercore.destroyRequests(config.activeRequests, null)
    }
  }

  /** A node that is in memory and sound. */
  #inMemory(pointer: TreeNodePointer): TreeNode | null {
    const node = this.#context.node(pointer)
    if (node === null || !isSound(node, pointer)) return null
    this.#context.cache.bump(pointer)
    return node
  }

  async #getCold(
    key: Uint8Array,
    pointer: TreeNodePointer,
    depth: number,
    from: number,
    config: SessionConfig
  ): Promise<TreeEntry | null> {
    for (; ; depth++) {
      const node = await this.#inflate(pointer, depth, from, config)
      const index = await find(node.keys, isBelow(key), (each) => this.#open(node, each, config))
      if (isAt(node, index, key)) return this.#entry(node.keys.get(index), () => config)
      if (node.children.length === 0) return null
      from = pointer.seq
      pointer = node.children.get(index)
    }
  }

  /** @param from the block that holds the pointer: at fault when it leads to nothing */
  async #inflate(
    pointer: TreeNodePointer,
    depth: number,
    from: number,
    config: SessionConfig,
    like: TreeNode | null = null
  ): Promise<TreeNode> {
    // The node itself may be an honest one that a chain of others was put upon: it is this root that is too far above it.
    if (depth > MAX_TREE_DEPTH) throw new TreeRefusal('too-deep', this.length - 1)
    if (pointer.value === null) await this.#load(pointer, from, config, like)
    const node = pointer.value
    if (node === null) return this.#inflate(pointer, depth, from, config, like) // evicted meanwhile
    checkNode(node, pointer)
    this.#context.cache.bump(pointer)
    this.#context.cache.gc()
    return node
  }

  async #open(node: TreeNode, pointer: KeyPointer, config: SessionConfig): Promise<void> {
    try {
      await openKey(this.#context, node, pointer, config)
    } catch (error) {
      throw this.#explain(refusalOf(error, pointer.seq))
    }
  }

  async #load(
    pointer: TreeNodePointer,
    from: number,
    config: SessionConfig,
    like: TreeNode | null
  ): Promise<void> {
    try {
      const { tree } = await this.#context.getBlock(pointer.seq, 0, config)
      if (tree?.[pointer.offset] === undefined) throw new TreeRefusal('malformed-block', from)
      await inflateSafely(this.#context, pointer, config, like)
    } catch (error) {
      throw this.#explain(error)
    }
  }

  #entry(key: KeyPointer, config: () => SessionConfig): TreeEntry | Promise<TreeEntry> {
    const entry = entryOf(key, config)
    if (!(entry instanceof Promise)) return entry
    return entry.catch((error: unknown) => {
      throw this.#explain(error)
    })
  }

  /** What an older tree has lost by a clearing is no longer to be had; a tree from then on must not miss it. */
  #explain(error: unknown): unknown {
    const isLost = isManyhandsError(error, 'VERSION_UNAVAILABLE')
    if (!isLost || this.length < this.#context.clearedSince) return error
    return new TreeRefusal('cleared', this.length - 1, error)
  }
}

async function inflateSafely(
  context: TreeContext,
  pointer: TreeNodePointer,
  config: SessionConfig,
  like: TreeNode | null
): Promise<TreeNode> {
  try {
    return await inflateNode(context, pointer, config, like)
  } catch (error) {
    throw refusalOf(error, pointer.seq)
  }
}

/** What is no error of ours and no error of the stack's (they have codes) comes from reading where there is nothing. */
export function refusalOf(error: unknown, seq: number): unknown {
  if (error instanceof TreeRefusal || isManyhandsError(error)) return error
  if (error instanceof Error && 'code' in error) return error
  return new TreeRefusal('malformed-block', seq, error)
}

/** hyperbee2 keeps a node in memory before we see it, and goes on keeping it when it is bad: so each is known by itself. */
const sound = new WeakSet<TreeNode>()

function isSound(node: TreeNode, at: TreeNodePointer): boolean {
  try {
    checkNode(node, at)
    return true
  } catch {
    return false // said by whoever loads it again
  }
}

/** @throws TreeRefusal */
function checkNode(node: TreeNode, at: TreeNodePointer): void {
  if (sound.has(node)) return
  const { keys, children } = node
  const childrenFit = children.length === 0 || children.length === keys.length + 1
  if (!childrenFit || keys.length > MAX_NODE_KEYS) throw new TreeRefusal('malformed-node', at.seq)
  if (keys.length === 0 && children.length > 0) throw new TreeRefusal('malformed-node', at.seq)
  for (let i = 0; i < keys.length; i++) {
    if (keys.get(i) === null) throw new TreeRefusal('malformed-node', at.seq)
  }
  for (let i = 0; i < children.length; i++) {
    const child = children.get(i)
    if (child === null) throw new TreeRefusal('malformed-node', at.seq)
    // Writers put a child into an earlier block, or behind its parent in the same one.
    const isLater = child.seq > at.seq || (child.seq === at.seq && child.offset <= at.offset)
    if (isLater) throw new TreeRefusal('forward-pointer', at.seq)
  }
  sound.add(node)
}

function isBelow(key: Uint8Array): IsBefore {
  return (each) => b4a.compare(each, key) < 0
}

/** Whether the key at a place that was found is this one. */
function isAt(node: TreeNode, index: number, key: Uint8Array): boolean {
  return index < node.keys.length && b4a.equals(keyOf(node.keys.get(index)), key)
}

function entryOf(pointer: KeyPointer, config: () => SessionConfig): TreeEntry | Promise<TreeEntry> {
  const { value, seq } = pointer
  return value === null ? entryWithFarValue(pointer, config()) : { key: keyOf(pointer), value, seq }
}

/** Values above 1 KB stand in blocks of their own; those of a leaf that was packed (packed.ts) are left beside their keys. */
async function entryWithFarValue(pointer: KeyPointer, config: SessionConfig): Promise<TreeEntry> {
  const value = await inflateValueSafely(pointer, config)
  if (!(value instanceof Uint8Array)) throw new TreeRefusal('malformed-block', pointer.seq)
  // Whoever writes the key next asks for it again. Copied: it must not keep its block in memory.
  if (pointer.valuePointer instanceof NearValue) pointer.value = b4a.from(value)
  return { key: keyOf(pointer), value, seq: pointer.seq }
}

async function inflateValueSafely(pointer: KeyPointer, config: SessionConfig) {
  try {
    return await inflateValue(pointer, config)
  } catch (error) {
    throw refusalOf(error, pointer.seq)
  }
}

function configOf({ wait = true, timeout = 0 }: ReadOptions): SessionConfig {
  return new SessionConfig([], timeout, wait, null)
}

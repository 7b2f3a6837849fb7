/**
 * Leaves packed small, for a writer whose keys come in no order.
 *
 * A key stands in the block that wrote it, so a leaf of scattered keys refers to as many blocks as it has keys, and reading it
 * from the log costs a hundred blocks and more. While all leaves fit into memory as hyperbee2 wants them (some 500 bytes per
 * key) that happens once; beyond, each put would pay for it. So a leaf that makes room is kept as bytes: what it refers to, and
 * its keys, some 40 bytes each. Values stay in the log: a put needs none, and one that is read is one block.
 *
 *     leaf    t uint, number of ops uint, ops
 *     op      type u8 (0 set, 1 insert, 2 delete; + 4 if it has a key), index uint, [key]
 *     cohort  type u8 (3), seq uint, offset uint, number of ops uint, ops
 *     key     seq uint, offset uint, bytes, place of a value that stands apart: seq + 1 uint (0 for none), [offset uint]
 *
 * In memory only: never written anywhere. What comes out is what went in, but for values (test/core/tree-packed.test.ts).
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { DeltaCohort, DeltaOp, OP_COHORT, type AnyDelta } from 'hyperbee2/lib/compression.js'
import { KeyPointer, Pointer, TreeNode, ValuePointer } from 'hyperbee2/lib/tree.js'
import type { TreeContext } from './context.ts'
import { keyOf } from './search.ts'

/** A leaf whose keys stand in fewer blocks is read from them as fast, and with its values. */
const MIN_BLOCKS = 8

const HAS_KEY = 4

/** More than the numbers of one op take. */
const MAX_OP_BYTES = 64

/** Packed leaves by node id, the least recently used first out. */
export class PackedLeaves {
  /** How often a leaf was put together from here instead of from the log. */
  recalled = 0
  readonly #maxBytes: number
  readonly #leaves = new Map<number, Uint8Array>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Keeps a node that is forgotten otherwise, if it is worth it. */
  keep(id: number, node: TreeNode): void {
    const packed = this.#leaves.get(id) ?? packLeaf(node)
    if (packed === null) return
    this.drop(id)
    this.#leaves.set(id, packed)
    this.#bytes += packed.byteLength
    for (const oldest of this.#leaves.keys()) {
      if (this.#bytes <= this.#maxBytes) return
      this.drop(oldest)
    }
  }

  /** The node, or null. */
  recall(context: TreeContext, id: number): TreeNode | null {
    const packed = this.#leaves.get(id)
    if (packed === undefined) return null
    this.recalled++
    return unpackLeaf(context, packed)
  }

  drop(id: number): void {
    this.#bytes -= this.#leaves.get(id)?.byteLength ?? 0
    this.#leaves.delete(id)
  }

  clear(): void {
    this.#leaves.clear()
    this.#bytes = 0
  }
}

/** A leaf that is not being changed; null for what is no leaf, or not worth it. */
function packLeaf({ t, keys, children }: TreeNode): Uint8Array | null {
  if (children.length > 0 || !isScattered(keys)) return null
  const buffer = b4a.allocUnsafe(boundOf(keys.delta))
  const state: State = { start: 0, end: buffer.byteLength, buffer }
  c.uint.encode(state, t)
  c.uint.encode(state, keys.delta.length)
  for (const delta of keys.delta) packDelta(state, delta)
  return b4a.from(buffer.subarray(0, state.start))
}

function isScattered(keys: TreeNode['keys']): boolean {
  const blocks = new Set<number>()
  for (let i = 0; i < keys.length; i++) {
    const { key, seq } = keys.get(i)
    if (key === null) return false // open: it is not ours
    blocks.add(seq)
  }
  return blocks.size >= MIN_BLOCKS
}

function boundOf(deltas: readonly AnyDelta<KeyPointer>[]): number {
  return deltas.reduce((sum, delta) => {
    if (isCohort(delta)) return sum + boundOf(delta.deltas)
    return sum + MAX_OP_BYTES + (delta.pointer?.key?.byteLength ?? 0)
  }, MAX_OP_BYTES)
}

function packDelta(state: State, delta: AnyDelta<KeyPointer>): void {
  if (!isCohort(delta)) return packOp(state, delta)
  c.uint8.encode(state, OP_COHORT)
  c.uint.encode(state, delta.pointer.seq)
  c.uint.encode(state, delta.pointer.offset)
  c.uint.encode(state, delta.deltas.length)
  for (const op of delta.deltas) packOp(state, op)
}

function packOp(state: State, { type, index, pointer }: DeltaOp<KeyPointer>): void {
  c.uint8.encode(state, pointer === null ? type : type | HAS_KEY)
  c.uint.encode(state, index)
  if (pointer === null) return
  c.uint.encode(state, pointer.seq)
  c.uint.encode(state, pointer.offset)
  c.buffer.encode(state, keyOf(pointer))
  const far = farValueOf(pointer)
  c.uint.encode(state, far === null ? 0 : far.seq + 1)
  if (far !== null) c.uint.encode(state, far.offset)
}

function farValueOf({ valuePointer }: KeyPointer): ValuePointer | null {
  return valuePointer instanceof NearValue ? null : valuePointer
}

function unpackLeaf(context: TreeContext, packed: Uint8Array): TreeNode {
  const state: State = { start: 0, end: packed.byteLength, buffer: packed }
  const t = c.uint.decode(state)
  const deltas = times(c.uint.decode(state), () => unpackDelta(context, state))
  return new TreeNode(t, deltas, [])
}

function unpackDelta(context: TreeContext, state: State): AnyDelta<KeyPointer> {
  const type = c.uint8.decode(state)
  if (type !== OP_COHORT) return unpackOp(context, state, type)
  const seq = c.uint.decode(state)
  const pointer = new Pointer(context, 0, seq, c.uint.decode(state))
  const ops = times(c.uint.decode(state), () => unpackOp(context, state, c.uint8.decode(state)))
  return new DeltaCohort(false, pointer, ops)
}

function unpackOp(context: TreeContext, state: State, type: number): DeltaOp<KeyPointer> {
  const index = c.uint.decode(state)
  if ((type & HAS_KEY) === 0) return new DeltaOp<KeyPointer>(false, type, index, null)
  const seq = c.uint.decode(state)
  const offset = c.uint.decode(state)
  const key = c.buffer.decode(state)
  const far = c.uint.decode(state)
  const value =
    far === 0
      ? new NearValue(context, seq, offset)
      : new ValuePointer(context, 0, far - 1, c.uint.decode(state), 0)
  const pointer = new KeyPointer(context, 0, seq, offset, false, key, null, value)
  return new DeltaOp(false, type - HAS_KEY, index, pointer)
}

/** A value that stands beside its key, and was left there. hyperbee2 reads it as it does one that stands apart. */
export class NearValue extends ValuePointer {
  constructor(context: TreeContext, seq: number, offset: number) {
    super(context.keyValues, 0, seq, offset, 0)
  }
}

function isCohort<P>(delta: AnyDelta<P>): delta is DeltaCohort<P> {
  return delta instanceof DeltaCohort
}

function times<T>(count: number, make: () => T): T[] {
  const all: T[] = []
  for (let i = 0; i < count; i++) all.push(make())
  return all
}

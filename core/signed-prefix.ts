/**
 * What a log's writer has signed of the log's first blocks, in a form that convinces somebody who holds nothing of it: one block's
 * hash, its way up the Merkle tree, the other roots, and the signature over them. Everything in front of the block is shown by the
 * nodes to the left of that way, so one such *prefix* tells what the log hashes to before the block and with it.
 *
 * Two prefixes that agree before a block and differ in it are the proof of a fork: whoever signed both signed two histories. It makes
 * no difference whether the second was passed off as the first (Hypercore's own "conflict") or as a truncated log (a higher fork).
 *
 * Costs one signature to check and some 40 bytes per level of the tree. Byte by byte: docs/FORMAT.md, "Signed prefix".
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import type Hypercore from 'hypercore'
import type { TreeNodeHash } from 'hypercore'
import caps from 'hypercore/lib/caps.js'
import multisig from 'hypercore/lib/multisig.js'
import crypto from 'hypercore-crypto'
import { logKeyOf } from './store.ts'

const VERSION = 1

/** What a prefix shows. */
export interface ShownPrefix {
  /** What the log hashes to before the block. */
  readonly before: Uint8Array
  /** And with the block as its last. */
  readonly through: Uint8Array
  /** The writer signed this many blocks at once. */
  readonly signedLength: number
}

/** What two prefixes show. */
export interface ShownFork {
  /** What both histories hash to up to where they part. */
  readonly before: Uint8Array
}

/** A node of the tree by its height and how many of that height stand to its left. */
interface Place {
  readonly height: number
  readonly position: number
}

interface Node extends TreeNodeHash, Place {}

interface Prefix {
  readonly publicKey: Uint8Array
  readonly fork: number
  readonly length: number
  readonly signature: Uint8Array
  readonly nodes: readonly Node[]
}

/** Of a log that is held here, at its newest signature. Null where the tree is not here, or the log is shorter. */
export async function signedPrefix(core: Hypercore, block: number): Promise<Uint8Array | null> {
  const { fork, length, signature, storage } = core.core.state
  const publicKey = core.manifest?.signers[0]?.publicKey
  if (signature === null || publicKey === undefined || block >= length) return null
  const rx = storage.read()
  const reading = placesOf(block, length).map((place) => rx.getTreeNode(indexOf(place)))
  rx.tryFlush()
  const nodes = (await Promise.all(reading)).flatMap((node) => node ?? [])
  if (nodes.length < reading.length) return null
  const [signed] = multisig.inflate(signature).proofs
  if (signed === undefined) return null
  const bytes = encode({ publicKey, fork, length, signature: signed.signature }, nodes)
  // The log may have been cut and gone on while its nodes were read.
  return checkPrefix(core.key, block, bytes) === null ? null : bytes
}

/** Null where it shows nothing of this log and block. */
export function checkPrefix(key: Uint8Array, block: number, bytes: Uint8Array): ShownPrefix | null {
  const prefix = decode(block, bytes)
  if (prefix === null || !b4a.equals(logKeyOf(prefix.publicKey), key)) return null
  const [leaf, ...rest] = prefix.nodes
  if (leaf === undefined) return null
  const roots = rootsOf(prefix.length)
  const way = rest.slice(0, rest.length - roots.length + 1)
  const others = rest.slice(way.length)
  const top = way.reduce<Node>(parentOf, leaf)
  const left = others.filter(({ index }) => index < top.index)
  const right = others.slice(left.length)
  const treeHash = crypto.tree([...left, top, ...right])
  const signed = caps.treeSignable(key, treeHash, prefix.length, prefix.fork)
  if (!crypto.verify(signed, prefix.signature, prefix.publicKey)) return null
  const before = [...left, ...way.filter(({ index }) => index < leaf.index).reverse()]
  return {
    before: crypto.tree(before),
    through: crypto.tree(append(before, leaf)),
    signedLength: prefix.length
  }
}

/** @param one, other prefixes of one log at the block in which its histories part */
export function encodeForkProof(one: Uint8Array, other: Uint8Array): Uint8Array {
  return b4a.concat([c.encode(c.uint, one.byteLength), one, other])
}

/** Whether the writer of a log signed two histories that agree in exactly `common` blocks; null where that is not shown. */
export function checkForkProof(
  key: Uint8Array,
  common: number,
  proof: Uint8Array
): ShownFork | null {
  const halves = splitProof(proof)
  if (halves === null) return null
  const [one, other] = halves.map((half) => checkPrefix(key, common, half))
  if (!one || !other || !b4a.equals(one.before, other.before)) return null
  return b4a.equals(one.through, other.through) ? null : { before: one.before }
}

function splitProof(proof: Uint8Array): readonly Uint8Array[] | null {
  const state: State = { start: 0, end: proof.byteLength, buffer: proof }
  try {
    const size = c.uint.decode(state)
    if (size > proof.byteLength - state.start) return null
    return [proof.subarray(state.start, state.start + size), proof.subarray(state.start + size)]
  } catch {
    return null
  }
}

// The tree.

/** The block, what stands beside its way up to the root above it, and the other roots from left to right. */
function placesOf(block: number, length: number): readonly Place[] {
  const roots = rootsOf(length)
  const isAbove = ({ height, position }: Place) => Math.floor(block / 2 ** height) === position
  const top = roots.find(isAbove)?.height ?? 0
  const beside = Array.from({ length: top }, (_, height): Place => {
    const position = Math.floor(block / 2 ** height)
    return { height, position: position % 2 === 0 ? position + 1 : position - 1 }
  })
  return [{ height: 0, position: block }, ...beside, ...roots.filter((root) => !isAbove(root))]
}

/** The whole subtrees that so many blocks make, from left to right. */
function rootsOf(length: number): readonly Place[] {
  const roots: Place[] = []
  let start = 0
  for (let height = Math.floor(Math.log2(length)); height >= 0; height--) {
    const span = 2 ** height
    if (start + span > length) continue
    roots.push({ height, position: start / span })
    start += span
  }
  return roots
}

/** As Hypercore numbers them: in order, leaves and parents in turn. */
function indexOf({ height, position }: Place): number {
  return position * 2 ** (height + 1) + 2 ** height - 1
}

function parentOf(a: Node, b: Node): Node {
  const place = { height: a.height + 1, position: Math.floor(a.position / 2) }
  return { ...place, index: indexOf(place), size: a.size + b.size, hash: crypto.parent(a, b) }
}

function append(roots: readonly Node[], leaf: Node): readonly Node[] {
  const grown = [...roots]
  let last = leaf
  for (let before = grown.at(-1); before?.height === last.height; before = grown.at(-1)) {
    grown.pop()
    last = parentOf(before, last)
  }
  return [...grown, last]
}

// The bytes.

function encode(
  { publicKey, fork, length, signature }: Omit<Prefix, 'nodes'>,
  nodes: readonly TreeNodeHash[]
): Uint8Array {
  const numbers = [c.encode(c.uint, fork), c.encode(c.uint, length)]
  const tree = nodes.flatMap(({ size, hash }) => [c.encode(c.uint, size), hash])
  return b4a.concat([b4a.from([VERSION]), publicKey, ...numbers, signature, ...tree])
}

/** Null for what is none: how many nodes there must be follows from the block and the length. */
function decode(block: number, bytes: Uint8Array): Prefix | null {
  const state: State = { start: 0, end: bytes.byteLength, buffer: bytes }
  try {
    if (c.uint8.decode(state) !== VERSION) return null
    const publicKey = c.fixed32.decode(state)
    const fork = c.uint.decode(state)
    const length = c.uint.decode(state)
    if (!Number.isSafeInteger(length) || block < 0 || block >= length) return null
    const signature = c.fixed64.decode(state)
    const nodes = placesOf(block, length).map((place): Node => {
      const size = c.uint.decode(state)
      return { ...place, index: indexOf(place), size, hash: c.fixed32.decode(state) }
    })
    return state.start === state.end ? { publicKey, fork, length, signature, nodes } : null
  } catch {
    return null
  }
}

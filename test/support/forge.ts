/** Blocks as no honest writer makes them, written with hyperbee2's own encoder. */
import b4a from 'b4a'
import { encodeBlock } from 'hyperbee2/lib/encoding.js'
import { encodeEntry, encodeValue, type Position } from '../../crdt/index.ts'
import type { Stamp } from '../../clock/index.ts'

const INSERT = 1
const COHORT = 3

export interface Pointer {
  readonly core?: number
  readonly seq: number
  readonly offset?: number
}

export interface Key {
  readonly key: Uint8Array
  readonly value?: Uint8Array | null
  readonly valuePointer?: (Pointer & { readonly split?: number }) | null
}

export interface Node {
  readonly keys: readonly Pointer[]
  readonly children?: readonly Pointer[]
}

export interface ForgedBlock {
  readonly nodes?: readonly Node[] | null
  readonly keys?: readonly Key[] | null
  readonly values?: readonly Uint8Array[] | null
  readonly batch?: { readonly start: number; readonly end: number }
  /** Other cores that pointers may name. */
  readonly cores?: readonly Uint8Array[] | null
  /** Instead of what `nodes` would give. */
  readonly tree?: unknown
  readonly cohorts?: unknown
  readonly type?: number
}

/** The bytes of a block of hyperbee2; each node's lists stand in cohorts of their own. */
export function forgeBlock(seq: number, block: ForgedBlock): Uint8Array {
  const { nodes = null, keys = null, values = null, cores = null, type = 1 } = block
  const cohorts: unknown[] = []
  const tree = nodes?.map(({ keys, children = [] }) => ({
    keys: cohortOf(keys),
    children: cohortOf(children)
  }))
  return encodeBlock({
    type,
    checkpoint: cores === null ? 0 : seq + 1,
    batch: block.batch ?? { start: 0, end: 0 },
    previous: null,
    metadata: cores === null ? null : { cores: cores.map(coreOf) },
    tree: block.tree ?? tree ?? null,
    keys: keys?.map((key) => ({ value: null, valuePointer: null, ...key })) ?? null,
    values,
    cohorts: block.cohorts ?? (cohorts.length > 0 ? cohorts : null),
    t: 128
  })

  function cohortOf(pointers: readonly Pointer[]) {
    if (pointers.length === 0) return []
    const deltas = pointers.map((pointer, index) => insert(index, pointer))
    return [{ type: COHORT, index: 0, pointer: { core: 0, seq, offset: cohorts.push(deltas) - 1 } }]
  }
}

/** One step of a list of deltas. */
export function insert(index: number, pointer: Pointer | null) {
  return {
    type: INSERT,
    index,
    pointer: pointer === null ? null : { core: 0, offset: 0, ...pointer }
  }
}

function coreOf(key: Uint8Array) {
  return { key, fork: 0, length: 0, treeHash: null }
}

/** A key of the database section without sub-database, as docs/FORMAT.md has it. */
export function dbKey(key: string | Uint8Array): Uint8Array {
  return b4a.concat([b4a.from([0x10, 0x00]), typeof key === 'string' ? b4a.from(key) : key])
}

export interface EntryParts {
  readonly ms?: number
  readonly position?: Position | null
  readonly seen?: readonly Position[]
}

/** A sound entry of the type `value`. */
export function entryOf(
  value: string | Uint8Array,
  { ms = 1, position = null, seen = [] }: EntryParts = {}
) {
  const stamp: Stamp = { ms, counter: 0, tag: b4a.alloc(8) }
  return encodeEntry({ position, stamp, seen, value: encodeValue(value) })
}

/** A leaf of sound entries, in the order given. */
export function forgeLeaf(seq: number, names: readonly string[]): Uint8Array {
  return forgeBlock(seq, {
    nodes: [{ keys: names.map((_, offset) => ({ seq, offset })) }],
    keys: names.map((name) => ({ key: dbKey(name), value: entryOf(`forged ${name}`) }))
  })
}

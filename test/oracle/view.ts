/**
 * The slow twin of the view: every entry of every core, read by hyperbee2's own read stream (not by our cursors), gathered by
 * key in a map and folded from scratch by the slow fold. It shares the codecs, and nothing else, with the view.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import Hyperbee from 'hyperbee2'
import NodeCache from 'hyperbee2/lib/cache.js'
import CoreContext from 'hyperbee2/lib/context.js'
import { decodeBlock } from 'hyperbee2/lib/encoding.js'
import z32 from 'z32'
import { decodeEntry, type PlacedRegister } from '../../crdt/index.ts'
import { foldSlowly } from './fold.ts'

/** A core and how far it counts: Infinity while not sealed. */
export interface Sealed {
  readonly core: Hypercore
  readonly seal: number
}

export interface SlowRegister extends PlacedRegister {
  readonly writer: string
  /** The block in which the entry was first written. */
  readonly seq: number
}

export interface SlowKey {
  readonly key: Uint8Array
  readonly winner: SlowRegister
  readonly conflicts: readonly SlowRegister[]
}

/** Everything that the cores say, folded, in key order; keys won by a tombstone included. */
export async function viewSlowly(cores: readonly Sealed[]): Promise<readonly SlowKey[]> {
  const byKey = new Map<string, SlowRegister[]>()
  const lengths = new Map<string, number>()
  for (const { core, seal } of cores) {
    const length = await roundDown(core, Math.min(core.contiguousLength, seal))
    lengths.set(b4a.toString(core.key, 'hex'), length)
    for await (const { key, value, seq } of entriesOf(core, length)) {
      const id = b4a.toString(key, 'hex')
      byKey.set(id, [...(byKey.get(id) ?? []), readRegister(core, seq, value)])
    }
  }
  const admitted = (core: Uint8Array) => lengths.get(b4a.toString(core, 'hex')) ?? 0
  // Hex sorts as bytes do.
  return [...byKey.keys()].sort().map((id) => ({
    key: b4a.from(id, 'hex'),
    ...foldSlowly(byKey.get(id) ?? [], admitted)
  }))
}

/** Block by block back to the last of a batch. */
async function roundDown(core: Hypercore, length: number): Promise<number> {
  for (; length > 0; length--) {
    const bytes = await core.get(length - 1, { wait: false })
    if (bytes === null) throw new Error(`Block ${length - 1} is missing`)
    if (decodeBlock(bytes, length - 1).batch.end === 0) break
  }
  return length
}

interface BeeEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly seq: number
}

/** What of hyperbee2 only this oracle calls. */
interface ReadingBee {
  checkout(options: { readonly length: number }): ReadingBee
  createReadStream(): AsyncIterable<BeeEntry>
}

function isReadingBee(bee: object): bee is ReadingBee {
  return 'checkout' in bee && 'createReadStream' in bee
}

function entriesOf(core: Hypercore, length: number): AsyncIterable<BeeEntry> {
  const context = new CoreContext({}, core, new NodeCache(4096), core, () => null)
  const bee: object = new Hyperbee({}, { core, context, writable: false, autoUpdate: false })
  if (!isReadingBee(bee)) throw new Error('hyperbee2 has changed')
  return bee.checkout({ length }).createReadStream()
}

function readRegister(core: Hypercore, seq: number, value: Uint8Array): SlowRegister {
  const decoded = decodeEntry(value, core.key)
  if (!decoded.ok) throw new Error(`Block ${seq} holds an entry that cannot be read`)
  const { register } = decoded.entry
  const position = { core: core.key, seq: register.position?.seq ?? seq }
  return { ...register, position, writer: z32.encode(core.key), seq: position.seq }
}

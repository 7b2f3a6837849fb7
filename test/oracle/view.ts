/**
 * The slow twin of the view: every entry of every core, read by hyperbee2's own read stream (not by our cursors), gathered by
 * key in a map and folded from scratch by the slow fold. It shares the codecs with the view, and the fold of what is no plain value
 * (that one has a twin of its own, in test/crdt). How far each log is read is looked for block by block, and once more from the
 * start whenever one of them stood too far.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import Hyperbee from 'hyperbee2'
import NodeCache from 'hyperbee2/lib/cache.js'
import CoreContext from 'hyperbee2/lib/context.js'
import { decodeBlock } from 'hyperbee2/lib/encoding.js'
import z32 from 'z32'
import type { Stamp } from '../../clock/index.ts'
import {
  decodeValue,
  foldEntries,
  unpackEntry,
  type Deletes,
  type PlacedEntry,
  type Value
} from '../../crdt/index.ts'
import { heardLengths, PRUNED_KEY } from '../../multiwriter/log-section.ts'
import { foldFieldsSlowly } from './fold-entries.ts'

/** A core and how far it counts: Infinity while not sealed. */
export interface Sealed {
  readonly core: Hypercore
  readonly seal: number
  /** What keys that count begin with, in latin1; absent: all count. */
  readonly below?: readonly string[] | undefined
}

/** One write, at one place of a value. */
export interface SlowWrite {
  readonly path: readonly string[]
  readonly writer: string
  /** The block in which it was first written. */
  readonly seq: number
  readonly stamp: Stamp
}

export interface SlowKey {
  readonly key: Uint8Array
  readonly type: string | null
  readonly exists: boolean
  readonly value: Value
  /** The latest of what shows, or the latest deletion. */
  readonly winner: SlowWrite
  readonly shown: readonly SlowWrite[]
  readonly conflicts: readonly (SlowWrite & {
    readonly value: Value
    readonly deleted: boolean
  })[]
}

/** Everything that the cores say, folded, in key order; keys won by a tombstone included. */
export async function viewSlowly(
  cores: readonly Sealed[],
  deletes: Deletes = 'add-wins'
): Promise<readonly SlowKey[]> {
  const byKey = new Map<string, PlacedEntry[]>()
  const lengths = await lengthsSlowly(cores)
  for (const { core, below } of cores) {
    const length = lengths.get(b4a.toString(core.key, 'hex')) ?? 0
    for await (const { key, value, seq } of entriesOf(core, length)) {
      const name = b4a.toString(key, 'latin1')
      if (below?.some((each) => name.startsWith(each)) === false) continue
      const id = b4a.toString(key, 'hex')
      byKey.set(id, [...(byKey.get(id) ?? []), readEntry(core, seq, value)])
    }
  }
  const admitted = (core: Uint8Array) => lengths.get(b4a.toString(core, 'hex')) ?? 0
  // Hex sorts as bytes do.
  return [...byKey.keys()].sort().map((id) => ({
    key: b4a.from(id, 'hex'),
    ...foldSlowly(byKey.get(id) ?? [], admitted, deletes)
  }))
}

/** How far each log is read, by its key in hex: no log at a length whose tree relied on more of another. */
export async function lengthsSlowly(
  cores: readonly Sealed[]
): Promise<ReadonlyMap<string, number>> {
  const lengths = new Map<string, number>()
  for (const { core, seal } of cores) {
    const length = await roundDown(core, Math.min(core.contiguousLength, seal))
    lengths.set(b4a.toString(core.key, 'hex'), length)
  }
  const lowerOne = async () => {
    for (const { core } of cores) {
      const id = b4a.toString(core.key, 'hex')
      const length = lengths.get(id) ?? 0
      const relied = await reliedOn(core, length)
      if (relied.every((each) => (lengths.get(b4a.toString(each.core, 'hex')) ?? 0) >= each.length))
        continue
      lengths.set(id, await roundDown(core, length - 1))
      return true
    }
    return false
  }
  while (await lowerOne());
  return lengths
}

async function reliedOn(core: Hypercore, length: number) {
  for await (const { key, value } of entriesOf(core, length)) {
    if (b4a.equals(key, PRUNED_KEY)) return heardLengths(value, core.key) ?? []
  }
  return []
}

/** How far a core could be read here, whatever counts. */
export function heldSlowly(core: Hypercore): Promise<number> {
  return roundDown(core, core.contiguousLength)
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

/** What a core's tree has at a length, which is the end of a batch. */
export function entriesOf(core: Hypercore, length: number): AsyncIterable<BeeEntry> {
  const context = new CoreContext({}, core, new NodeCache(4096), core, () => null)
  const bee: object = new Hyperbee({}, { core, context, writable: false, autoUpdate: false })
  if (!isReadingBee(bee)) throw new Error('hyperbee2 has changed')
  return bee.checkout({ length }).createReadStream()
}

function readEntry(core: Hypercore, seq: number, value: Uint8Array): PlacedEntry {
  const unpacked = unpackEntry(value, core.key, seq)
  if (!unpacked.ok) throw new Error(`Block ${seq} holds an entry that cannot be read`)
  return { core: core.key, entry: unpacked.entry }
}

type Admitted = (core: Uint8Array) => number

function foldSlowly(
  said: readonly PlacedEntry[],
  admitted: Admitted,
  deletes: Deletes
): Omit<SlowKey, 'key'> {
  if (said.some(({ entry }) => entry.type !== 'value')) return foldTogether(said, admitted, deletes)
  const { leaves, hidden, gone, value } = foldFieldsSlowly(said, admitted, deletes)
  const shown = leaves.map(writeOf)
  return {
    type: 'value',
    exists: leaves.length > 0,
    value,
    shown,
    winner: latest(shown.length > 0 ? shown : gone.map(writeOf)),
    conflicts: hidden
      .map((register) => ({
        ...writeOf(register),
        value: register.value === null ? null : decodeValue(register.value),
        deleted: register.value === null
      }))
      .sort((a, b) => compareText(pathText(a.path), pathText(b.path)))
  }
}

function foldTogether(
  said: readonly PlacedEntry[],
  admitted: Admitted,
  deletes: Deletes
): Omit<SlowKey, 'key'> {
  const { type, exists, value, shown, winner, conflicts } = foldEntries(said, admitted, { deletes })
  if (winner === null) throw new Error('Nobody says anything')
  return {
    type,
    exists,
    value,
    winner: writeOf(winner),
    shown: shown.map(writeOf),
    conflicts: conflicts.map(({ of, path, value, isDeleted }) => ({
      ...writeOf({ ...of, path }),
      value,
      deleted: isDeleted
    }))
  }
}

function writeOf({
  path,
  position,
  stamp
}: {
  readonly path: readonly string[]
  readonly position: { readonly core: Uint8Array; readonly seq: number }
  readonly stamp: Stamp
}): SlowWrite {
  return { path, writer: z32.encode(position.core), seq: position.seq, stamp }
}

function latest(writes: readonly SlowWrite[]): SlowWrite {
  const [last] = [...writes].sort((a, b) => compareText(rank(b), rank(a)))
  if (last === undefined) throw new Error('Nobody says anything')
  return last
}

/** Its order is that of the writes. */
function rank({ stamp, writer, seq }: SlowWrite): string {
  const core = b4a.toString(z32.decode(writer), 'hex')
  const numbers = [stamp.ms, stamp.counter].map((each) => String(each).padStart(16, '0'))
  const tag = b4a.toString(stamp.tag, 'hex')
  return [...numbers, tag, core, String(seq).padStart(16, '0')].join(' ')
}

/** Its order is that of the paths: a path stands right before those below it. */
function pathText(path: readonly string[]): string {
  return path.map((name) => `${name}\u0000`).join('')
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

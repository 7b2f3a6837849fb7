/**
 * The slow twin of a document's versions: every block of every core, decoded by hyperbee2's own decoder; what is an update in it, by
 * batches; these merged by looking at all heads for each step; and the document at each of them built from nothing, of everything
 * that was typed until then. No trees, no snapshots. It knows logs of which nothing was cleared, and no quotes.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { decodeBlock } from 'hyperbee2/lib/encoding.js'
import z32 from 'z32'
import { compareStamps, encodeVersion, type Stamp } from '../../clock/index.ts'
import { decodeStatement, decodeUpdate, unpackEntry } from '../../crdt/index.ts'
import type { DocumentEngine, EngineDoc } from '../../crdt/document/engine.ts'

export interface SlowVersion<D> {
  readonly version: string
  readonly writer: string
  readonly stamp: Stamp
  readonly doc: D
}

interface Batch {
  readonly core: Uint8Array
  readonly end: number
  readonly stamp: Stamp
  readonly updates: readonly Uint8Array[]
}

const SECTION_UPDATES = 0x20

export async function versionsSlowly<D extends EngineDoc>(
  cores: readonly Hypercore[],
  id: string,
  tag: Uint8Array,
  engine: Pick<DocumentEngine<D>, 'create' | 'apply'>
): Promise<readonly SlowVersion<D>[]> {
  const queues = await Promise.all(cores.map((core) => batchesOf(core, id)))
  const lengths = new Map<string, { readonly core: Uint8Array; readonly length: number }>()
  const updates: Uint8Array[] = []
  const versions: SlowVersion<D>[] = []
  for (;;) {
    const heads = queues.flatMap((queue) => queue.slice(0, 1)).sort(compareHeads)
    const [next] = heads
    if (next === undefined) return versions
    queues.find((queue) => queue[0] === next)?.shift()
    const writer = z32.encode(next.core)
    lengths.set(writer, { core: next.core, length: next.end })
    updates.push(...next.updates)
    const version = encodeVersion({ space: tag, acl: [], data: [...lengths.values()] })
    const doc = engine.create(id)
    engine.apply(doc, updates, null)
    versions.push({ version, writer, stamp: next.stamp, doc })
  }
}

function compareHeads(a: Batch, b: Batch): number {
  return compareStamps(a.stamp, b.stamp) || b4a.compare(a.core, b.core)
}

async function batchesOf(core: Hypercore, id: string): Promise<Batch[]> {
  const name = b4a.from(id)
  const prefix = b4a.concat([b4a.from([SECTION_UPDATES, name.byteLength]), name, b4a.from([0])])
  const batches: Batch[] = []
  let updates: Uint8Array[] = []
  let stamp: Stamp | null = null
  for (let seq = 0; seq < core.length; seq++) {
    const block = await blockAt(core, seq)
    for (const { key, value, valuePointer } of block.keys ?? []) {
      if (!b4a.equals(key.subarray(0, prefix.byteLength), prefix)) continue
      const far = valuePointer === null ? null : await blockAt(core, valuePointer.seq)
      const bytes = value ?? far?.values?.[valuePointer?.offset ?? 0]
      const unpacked = bytes === undefined ? null : unpackEntry(bytes, core.key, seq)
      if (unpacked?.ok !== true || unpacked.entry.type !== 'unknown') continue
      const update = decodeUpdate(unpacked.entry.payload)
      if (update?.kind !== 'update') continue
      updates.push(decodeStatement(update.bytes)?.update ?? update.bytes)
      stamp = unpacked.entry.head.stamp
    }
    if (block.batch.end > 0) continue
    if (stamp !== null) batches.push({ core: core.key, end: seq + 1, stamp, updates })
    updates = []
    stamp = null
  }
  return batches
}

async function blockAt(core: Hypercore, seq: number) {
  const bytes = await core.get(seq, { wait: false })
  if (bytes === null) throw new Error(`Block ${seq} is missing`)
  return decodeBlock(bytes, seq)
}

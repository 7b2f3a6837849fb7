/**
 * The slow twin of history: every block of every core, decoded by hyperbee2's own decoder, put into batches, and merged by
 * looking at all heads for each step. It shares the codecs, and nothing else, with history.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { decodeBlock } from 'hyperbee2/lib/encoding.js'
import z32 from 'z32'
import { compareStamps, type Stamp } from '../../clock/index.ts'
import { decodeValue, unpackEntry, type Value } from '../../crdt/index.ts'

export interface SlowWrite {
  readonly key: string
  readonly deleted: boolean
  readonly value: Value
  readonly seq: number
  readonly writer: string
  readonly stamp: Stamp
}

interface Batch {
  readonly core: Uint8Array
  readonly writes: SlowWrite[]
  readonly stamp: Stamp
}

/** A core from one length up to another, both at batch ends. */
export interface SlowRange {
  readonly core: Hypercore
  readonly start: number
  readonly end: number
}

/** All that was written to the database itself (no sub-database), oldest first or newest first. */
export async function historySlowly(
  ranges: readonly SlowRange[],
  reverse = false
): Promise<readonly SlowWrite[]> {
  const queues = await Promise.all(ranges.map(batchesOf))
  if (reverse) for (const queue of queues) queue.reverse()
  const merged: SlowWrite[] = []
  for (;;) {
    const heads = queues.flatMap((queue) => queue.slice(0, 1))
    const next = heads.sort((a, b) => (reverse ? -1 : 1) * compareHeads(a, b))[0]
    if (next === undefined) return merged
    queues.find((queue) => queue[0] === next)?.shift()
    const writes = next.writes.sort((a, b) => b4a.compare(b4a.from(a.key), b4a.from(b.key)))
    merged.push(...(reverse ? writes.reverse() : writes))
  }
}

/** By stamp, as it is: taking the least head again and again keeps each log's own order. */
function compareHeads(a: Batch, b: Batch): number {
  return compareStamps(a.stamp, b.stamp) || b4a.compare(a.core, b.core)
}

async function batchesOf({ core, start, end }: SlowRange): Promise<Batch[]> {
  const batches: Batch[] = []
  let writes: SlowWrite[] = []
  for (let seq = start; seq < end; seq++) {
    const block = await blockAt(core, seq)
    for (const { key, value, valuePointer } of block.keys ?? []) {
      if (key[0] !== 0x10 || key[1] !== 0) continue
      const far = valuePointer === null ? null : await blockAt(core, valuePointer.seq)
      const bytes = value ?? far?.values?.[valuePointer?.offset ?? 0]
      if (bytes !== undefined) writes.push(readWrite(core, seq, key, bytes))
    }
    if (block.batch.end > 0) continue
    const stamp = writes[0]?.stamp
    if (stamp !== undefined) batches.push({ core: core.key, writes, stamp })
    writes = []
  }
  return batches
}

async function blockAt(core: Hypercore, seq: number) {
  const bytes = await core.get(seq, { wait: false })
  if (bytes === null) throw new Error(`Block ${seq} is missing`)
  return decodeBlock(bytes, seq)
}

function readWrite(core: Hypercore, seq: number, key: Uint8Array, bytes: Uint8Array): SlowWrite {
  const unpacked = unpackEntry(bytes, core.key, seq)
  if (!unpacked.ok || unpacked.entry.type !== 'value') throw new Error('An entry of no value')
  const { head, registers } = unpacked.entry
  // Here only what was written whole is read again.
  const [whole] = registers.filter(({ position }) => position.seq === head.position.seq)
  const { stamp, value } = whole ?? { ...head, value: null }
  return {
    key: b4a.toString(key.subarray(2)),
    deleted: value === null,
    value: value === null ? null : decodeValue(value),
    seq,
    writer: z32.encode(core.key),
    stamp
  }
}

/** What one writer brought into a Yjs document, as one update: the snapshot that stands for its own updates. */
import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'
import type { Decoded } from './yjs-update.ts'

type Deletions = Decoded['ds']

export interface Clocks {
  readonly start: number
  readonly end: number
}

/** Of each client, from the first item to the end of the last. */
export function rangesOf(parts: readonly Decoded[]): Map<number, Clocks> {
  const ranges = new Map<number, Clocks>()
  for (const { structs } of parts) {
    for (const struct of structs) {
      if (struct instanceof Y.Skip) continue
      const { client, clock } = struct.id
      const { start, end } = ranges.get(client) ?? { start: clock, end: clock }
      ranges.set(client, {
        start: Math.min(start, clock),
        end: Math.max(end, clock + struct.length)
      })
    }
  }
  return ranges
}

export function isDeletedBy(deletions: Deletions, { id, length }: Y.Item): boolean {
  return coversRange(deletions, id.client, id.clock, length)
}

/** An update as Yjs writes it: of each client its structs from a clock on, then the deletions. */
export function encodeContribution(
  doc: Y.Doc,
  ranges: ReadonlyMap<number, Clocks>,
  deletions: Deletions
): Uint8Array {
  const encoder = new Y.UpdateEncoderV2()
  encoding.writeVarUint(encoder.restEncoder, ranges.size)
  // Greater clients first, as Yjs itself does: it resolves fewer conflicts so.
  for (const [client, clocks] of [...ranges].sort(([a], [b]) => b - a)) {
    writeStructs(encoder, doc.store.clients.get(client) ?? [], client, clocks)
  }
  writeDeletions(encoder, deletions)
  return encoder.toUint8Array()
}

function writeStructs(
  encoder: Y.UpdateEncoderV2,
  all: readonly (Y.Item | Y.GC)[],
  client: number,
  { start, end }: Clocks
): void {
  const structs = all.filter(({ id, length }) => id.clock + length > start && id.clock < end)
  encoding.writeVarUint(encoder.restEncoder, structs.length)
  encoder.writeClient(client)
  encoding.writeVarUint(encoder.restEncoder, start)
  for (const struct of structs) struct.write(encoder, Math.max(0, start - struct.id.clock))
}

function writeDeletions(encoder: Y.UpdateEncoderV2, { clients }: Deletions): void {
  encoding.writeVarUint(encoder.restEncoder, clients.size)
  for (const [client, items] of [...clients].sort(([a], [b]) => b - a)) {
    encoder.resetDsCurVal()
    encoding.writeVarUint(encoder.restEncoder, client)
    encoding.writeVarUint(encoder.restEncoder, items.length)
    for (const { clock, len } of items) {
      encoder.writeDsClock(clock)
      encoder.writeDsLen(len)
    }
  }
}

/** A delete set's ranges are sorted and do not touch. */
export function coversRange(
  { clients }: Deletions,
  client: number,
  clock: number,
  len: number
): boolean {
  const items = clients.get(client)
  if (items === undefined) return false
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((items[middle]?.clock ?? Infinity) <= clock) low = middle + 1
    else high = middle
  }
  const item = items[low - 1]
  return item !== undefined && clock + len <= item.clock + item.len
}

/** What one writer brought into a Yjs document, as one update: the snapshot that stands for its own updates. */
import * as Y from 'yjs'
import { encode, type Decoded, type Deletions, type Run } from './yjs-update.ts'

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

export function encodeContribution(
  doc: Y.Doc,
  ranges: ReadonlyMap<number, Clocks>,
  deletions: Deletions
): Uint8Array {
  const runs = [...ranges].map(([client, { start, end }]): Run => {
    const all = doc.store.clients.get(client) ?? []
    const structs = all.filter(({ id, length }) => id.clock + length > start && id.clock < end)
    return { client, start, structs }
  })
  return encode(runs, deletions)
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

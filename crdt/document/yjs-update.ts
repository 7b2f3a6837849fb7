/**
 * Yjs' updates as they are stored: one byte that says how it is encoded, then the update in the smaller of Yjs' own two
 * encodings: single keystrokes in the first (24 bytes instead of 35), bursts and snapshots in the second (1,000 edits: an
 * eighth), and large ones deflated.
 */
import b4a from 'b4a'
import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'
import { deflate, inflate } from './deflate.ts'

const V1 = 1
const V2 = 2
const V2_DEFLATED = 3

/** Below, the columns of the second encoding cost more than they save. */
const MIN_V2_BYTES = 48

/** Yjs sorts all updates anew for each one that it merges: 5,000 at once take 400 ms, in such groups 10. */
const MERGED_AT_ONCE = 32

export type Decoded = ReturnType<typeof Y.decodeUpdateV2>
export type Struct = Decoded['structs'][number]
export type Deletions = Decoded['ds']

/** Of one client: structs without a gap, skips included. The first may begin before `start`. */
export interface Run {
  readonly client: number
  readonly start: number
  readonly structs: readonly Struct[]
}

/** Updates of Yjs, in its first encoding, as one that is stored. */
export function pack(updates: readonly Uint8Array[]): Uint8Array {
  const merged = merge(updates)
  if (merged.byteLength < MIN_V2_BYTES) return packed(V1, merged)
  const columns = Y.convertUpdateFormatV1ToV2(merged)
  const small = packedSmall(columns)
  return small.byteLength <= merged.byteLength ? small : packed(V1, merged)
}

/** For the cache of this device, which opens it often. */
export function packState(doc: Y.Doc): Uint8Array {
  return packed(V2, Y.encodeStateAsUpdateV2(doc))
}

/** For the log: every device pays for its bytes. */
export function packedSmall(columns: Uint8Array): Uint8Array {
  const deflated = deflate(columns)
  return deflated === null ? packed(V2, columns) : packed(V2_DEFLATED, deflated)
}

/** One of Yjs' own updates. */
export interface Opened {
  readonly version: typeof V1 | typeof V2
  readonly bytes: Uint8Array
}

/** @throws Error on what no version packs, or only a newer one */
function open(update: Uint8Array): Opened {
  const bytes = update.subarray(1)
  switch (update[0]) {
    case V1:
      return { version: V1, bytes }
    case V2:
      return { version: V2, bytes }
    case V2_DEFLATED:
      return { version: V2, bytes: inflate(bytes) }
    default:
      throw new Error('An update in an encoding that only a newer version knows')
  }
}

export function bringIn(doc: Y.Doc, { version, bytes }: Opened, origin: unknown): void {
  if (version === V1) Y.applyUpdate(doc, bytes, origin)
  else Y.applyUpdateV2(doc, bytes, origin)
}

interface Read {
  readonly opened: Opened
  readonly decoded: Decoded
}

/** The update that was read last: one that arrives is judged, compared and brought in. More would keep whole histories in memory. */
let last: { readonly update: Uint8Array; readonly read: Read } | null = null

/** @throws Error on bytes that are no update, or one that Yjs could not bring in */
export function decodeOne(update: Uint8Array): Read {
  if (last?.update === update) return last.read
  const opened = open(update)
  const { version, bytes } = opened
  const decoded = version === V1 ? Y.decodeUpdate(bytes) : Y.decodeUpdateV2(bytes)
  const isSound =
    decoded.structs.every(isSoundStruct) &&
    [...decoded.ds.clients.values()].every((items) => items.every(({ len }) => len > 0))
  if (!isSound) throw new Error('An update that contradicts itself')
  last = { update, read: { opened, decoded } }
  return last.read
}

/** What cannot be read brought nothing. */
export function decodedOrNone(update: Uint8Array): readonly Decoded[] {
  try {
    return [decodeOne(update).decoded]
  } catch {
    return []
  }
}

/** An update in Yjs' second encoding. */
export function encode(runs: readonly Run[], deletions: Deletions | null): Uint8Array {
  const encoder = new Y.UpdateEncoderV2()
  encoding.writeVarUint(encoder.restEncoder, runs.length)
  // Greater clients first, as Yjs itself does: it resolves fewer conflicts so.
  for (const { client, start, structs } of runs.toSorted((a, b) => b.client - a.client)) {
    encoding.writeVarUint(encoder.restEncoder, structs.length)
    encoder.writeClient(client)
    encoding.writeVarUint(encoder.restEncoder, start)
    for (const struct of structs) struct.write(encoder, Math.max(0, start - struct.id.clock))
  }
  writeDeletions(encoder, deletions?.clients ?? new Map())
  return encoder.toUint8Array()
}

/** Some structs of an update, with all of each client's or none. */
export function runsOf(structs: readonly Struct[]): readonly Run[] {
  const byClient = new Map<number, Struct[]>()
  for (const struct of structs) {
    const known = byClient.get(struct.id.client)
    if (known === undefined) byClient.set(struct.id.client, [struct])
    else known.push(struct)
  }
  return [...byClient].map(([client, run]) => ({
    client,
    start: run[0]?.id.clock ?? 0,
    structs: run
  }))
}

function writeDeletions(encoder: Y.UpdateEncoderV2, clients: Deletions['clients']): void {
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

function merge(updates: readonly Uint8Array[]): Uint8Array {
  let merged = updates
  while (merged.length > 1) {
    const groups: Uint8Array[] = []
    for (let i = 0; i < merged.length; i += MERGED_AT_ONCE) {
      groups.push(Y.mergeUpdates(merged.slice(i, i + MERGED_AT_ONCE)))
    }
    merged = groups
  }
  return merged[0] ?? new Uint8Array(0)
}

function packed(version: number, update: Uint8Array): Uint8Array {
  return b4a.concat([b4a.from([version]), update])
}

/**
 * What these refuse is all that made Yjs throw in the middle of an integration (800,000 mutated updates): half of an update would
 * count, another half on another device.
 */
function isSoundStruct(struct: Struct): boolean {
  if (struct.length === 0) return false
  if (!(struct instanceof Y.Item)) return true
  const { id, origin, rightOrigin, parent } = struct
  return [origin, rightOrigin, parent].every((place) => isBefore(place, id))
}

/** A place that an item names is written before it, if by the same client. */
function isBefore(place: unknown, { client, clock }: Y.ID): boolean {
  return !(place instanceof Y.ID) || place.client !== client || place.clock < clock
}

/**
 * Yjs as a document engine. Only who uses documents loads it: `yjs` is an optional peer dependency, and has to be the one copy
 * that the application uses, too.
 *
 * A packed update is one byte that says how it is encoded, then the update in the smaller of Yjs' own two encodings: single
 * keystrokes in the first (24 bytes instead of 35), bursts and snapshots in the second (1,000 edits: an eighth), and large ones
 * deflated.
 */
import b4a from 'b4a'
import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'
import { deflate, inflate } from './deflate.ts'
import type { DocumentEngine, Missing, Span, Taken } from './engine.ts'

const V1 = 1
const V2 = 2
const V2_DEFLATED = 3

/** Below, the columns of the second encoding cost more than they save. */
const MIN_V2_BYTES = 48

/**
 * 1 MiB of updates wait for what they stand on. Yjs keeps them in one piece that it writes anew with each, so more would cost more
 * time than reading the logs again.
 */
const MAX_PENDING_BYTES = 1024 * 1024

/** Yjs sorts all updates anew for each one that it merges: 5,000 at once take 400 ms, in such groups 10. */
const MERGED_AT_ONCE = 32

export const yjs: DocumentEngine = {
  name: 'yjs',
  code: 1,

  create: (id) => new Y.Doc({ guid: id }),

  observe(doc, origin, { onupdate, onsubdoc }) {
    const onUpdate = (update: Uint8Array, from: unknown) => {
      if (from !== origin) onupdate(update)
    }
    const onSubdocs = ({ loaded }: { readonly loaded: Set<Y.Doc> }) => loaded.forEach(onsubdoc)
    doc.on('update', onUpdate)
    doc.on('subdocs', onSubdocs)
    return () => {
      doc.off('update', onUpdate)
      doc.off('subdocs', onSubdocs)
    }
  },

  pack(updates) {
    const merged = merge(updates)
    if (merged.byteLength < MIN_V2_BYTES) return packed(V1, merged)
    const columns = Y.convertUpdateFormatV1ToV2(merged)
    const small = packedSmall(columns)
    return small.byteLength <= merged.byteLength ? small : packed(V1, merged)
  },

  apply(doc, updates, origin) {
    const refused: number[] = []
    const missing = new Map<number, number>()
    let held: readonly number[] = []
    const isHeld = (i: number): boolean => {
      const outcome = applyOne(doc, updates[i] ?? new Uint8Array(0), origin)
      if (outcome === 'refused') refused.push(i)
      if (typeof outcome === 'string') return false
      for (const [client, clock] of outcome) addMissing(missing, client, clock)
      return true
    }
    const thrown = thrownBy(() =>
      doc.transact((transaction) => {
        transaction.local = false
        let rest = updates.map((_, i) => i)
        do {
          held = rest
          missing.clear()
          rest = rest.filter(isHeld)
        } while (rest.length > 0 && rest.length < held.length) // what it stands on may have come behind it
        held = rest
      }, origin)
    )
    return { refused, held, missing, thrown }
  },

  take(doc, update, origin) {
    let outcome: Taken['outcome'] = 'refused'
    const thrown = thrownBy(() =>
      doc.transact((transaction) => {
        transaction.local = false
        outcome = takeOne(doc, update, origin)
      }, origin)
    )
    return { outcome, thrown }
  },

  brings(update) {
    const ranges = rangesOf(decodedOrNone(update))
    return Array.from(ranges, ([source, { start, end }]) => ({ source, start, end }))
  },

  refersTo: (update) => decodedOrNone(update).flatMap(referencesIn),

  isDue: (doc, missing) =>
    [...missing].some(([client, clock]) => Y.getState(doc.store, client) > clock),

  state: (doc) => packed(V2, Y.encodeStateAsUpdateV2(doc)),

  contribution(updates) {
    const parts = updates.filter(({ isOwn }) => isOwn).flatMap(({ bytes }) => decodedOrNone(bytes))
    const deletions = Y.mergeDeleteSets(parts.map(({ ds }) => ds))
    const ranges = rangesOf(parts)
    // What somebody else deleted may come back when that is sealed away: only our own deletions may throw content away.
    const doc = new Y.Doc({ gcFilter: (item) => isDeletedBy(deletions, item) })
    try {
      yjs.apply(
        doc,
        updates.map(({ bytes }) => bytes),
        null
      )
      for (const [client, { end }] of ranges) {
        if (Y.getState(doc.store, client) < end) return null
      }
      return packedSmall(encodeContribution(doc, ranges, deletions))
    } finally {
      doc.destroy()
    }
  },

  bind(doc, other, { origin, onsubdoc, ondestroy }) {
    const link = { origin }
    Y.applyUpdateV2(other, Y.encodeStateAsUpdateV2(doc, Y.encodeStateVector(other)), origin)
    const missing = Y.encodeStateAsUpdateV2(other, Y.encodeStateVector(doc))
    if (!isEmpty(doc, missing)) Y.applyUpdateV2(doc, missing, link)
    const stopThere = yjs.observe(doc, link, {
      onupdate: (update) => Y.applyUpdate(other, update, origin),
      onsubdoc: () => {} // its owner's
    })
    const stopBack = yjs.observe(other, origin, {
      onupdate: (update) => Y.applyUpdate(doc, update, link),
      onsubdoc
    })
    other.on('destroy', ondestroy)
    return () => {
      stopThere()
      stopBack()
      other.off('destroy', ondestroy)
    }
  },

  loaded(doc) {
    doc.emit('load', [doc])
    doc.emit('sync', [true, doc])
  },

  destroy: (doc) => doc.destroy()
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

/** For the log: every device pays for its bytes. */
function packedSmall(columns: Uint8Array): Uint8Array {
  const deflated = deflate(columns)
  return deflated === null ? packed(V2, columns) : packed(V2_DEFLATED, deflated)
}

/**
 * Refused when it is no update: then nothing was changed, or as much as every other device changes by it. What it stands on when
 * it is held back.
 */
function applyOne(doc: Y.Doc, update: Uint8Array, origin: unknown): 'done' | 'refused' | Missing {
  try {
    const opened = open(update)
    const decoded = decodeOne(opened) // before anything is integrated: half an update must not count
    if (pendingBytes(doc) > MAX_PENDING_BYTES) {
      const missing = missingFor(doc, decoded)
      if (missing.size > 0) return missing
    }
    integrate(doc, opened, origin)
    return 'done'
  } catch {
    return 'refused'
  }
}

function takeOne(doc: Y.Doc, update: Uint8Array, origin: unknown): Taken['outcome'] {
  try {
    const opened = open(update)
    const decoded = decodeOne(opened)
    if (missingFor(doc, decoded).size > 0) return 'early'
    if (isKnown(doc, decoded)) return 'known'
    integrate(doc, opened, origin)
    return 'done'
  } catch {
    return 'refused'
  }
}

function integrate(doc: Y.Doc, { version, bytes }: Opened, origin: unknown): void {
  if (version === V1) Y.applyUpdate(doc, bytes, origin)
  else Y.applyUpdateV2(doc, bytes, origin)
}

/** Whether a document has all of an update that stands on nothing else. */
function isKnown(doc: Y.Doc, { structs, ds }: Decoded): boolean {
  const isHere = structs.every(
    ({ id, length }) => id.clock + length <= Y.getState(doc.store, id.client)
  )
  return (
    isHere &&
    [...ds.clients].every(([client, items]) =>
      items.every(({ clock, len }) => isDeleted(doc, client, clock, clock + len))
    )
  )
}

function isDeleted(doc: Y.Doc, client: number, start: number, end: number): boolean {
  const structs = doc.store.clients.get(client)
  if (structs === undefined) return false
  for (let i = Y.findIndexSS(structs, start); ; i++) {
    const struct = structs[i]
    if (struct === undefined || struct.id.clock >= end) return true
    if (!struct.deleted) return false
  }
}

function thrownBy(task: () => void): unknown {
  try {
    task()
    return undefined
  } catch (error) {
    return error
  }
}

/** What Yjs keeps because it stands on something that is not here. */
function pendingBytes({ store: { pendingStructs, pendingDs } }: Y.Doc): number {
  return (pendingStructs?.update.byteLength ?? 0) + (pendingDs?.byteLength ?? 0)
}

/** What an update stands on that neither the document nor the update itself has. */
function missingFor(doc: Y.Doc, { structs, ds }: Decoded): Missing {
  const ends = new Map<number, number>()
  const missing = new Map<number, number>()
  const endOf = (client: number) => ends.get(client) ?? Y.getState(doc.store, client)
  const need = (client: number, clock: number) => {
    if (clock > endOf(client)) addMissing(missing, client, endOf(client))
  }
  for (const struct of structs) {
    const { client, clock } = struct.id
    if (struct instanceof Y.Skip) continue
    need(client, clock)
    if (clock <= endOf(client)) ends.set(client, Math.max(endOf(client), clock + struct.length))
  }
  for (const { source, end } of referencesIn({ structs, ds })) need(source, end)
  return missing
}

/** The places that items name, and what is deleted. */
function referencesIn({ structs, ds }: Decoded): readonly Span[] {
  const spans: Span[] = []
  for (const struct of structs) {
    if (!(struct instanceof Y.Item)) continue
    for (const place of [struct.origin, struct.rightOrigin, struct.parent]) {
      if (!(place instanceof Y.ID)) continue
      const { client: source, clock: start } = place
      spans.push({ source, start, end: start + 1 })
    }
  }
  for (const [source, items] of ds.clients)
    for (const { clock: start, len } of items) spans.push({ source, start, end: start + len })
  return spans
}

function addMissing(missing: Map<number, number>, client: number, clock: number): void {
  missing.set(client, Math.min(clock, missing.get(client) ?? Infinity))
}

type Decoded = ReturnType<typeof Y.decodeUpdateV2>
type Deletions = Decoded['ds']

/** One of Yjs' own updates. */
interface Opened {
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

/** @throws Error on bytes that are no update, or one that Yjs could not bring in */
function decodeOne({ version, bytes }: Opened): Decoded {
  const decoded = version === V1 ? Y.decodeUpdate(bytes) : Y.decodeUpdateV2(bytes)
  const isSound =
    decoded.structs.every(isSoundStruct) &&
    [...decoded.ds.clients.values()].every((items) => items.every(({ len }) => len > 0))
  if (!isSound) throw new Error('An update that contradicts itself')
  return decoded
}

/**
 * What these refuse is all that made Yjs throw in the middle of an integration (800,000 mutated updates): half of an update would
 * count, another half on another device.
 */
function isSoundStruct(struct: Decoded['structs'][number]): boolean {
  if (struct.length === 0) return false
  if (!(struct instanceof Y.Item)) return true
  const { id, origin, rightOrigin, parent } = struct
  return [origin, rightOrigin, parent].every((place) => isBefore(place, id))
}

/** A place that an item names is written before it, if by the same client. */
function isBefore(place: unknown, { client, clock }: Y.ID): boolean {
  return !(place instanceof Y.ID) || place.client !== client || place.clock < clock
}

/** What cannot be read brought nothing. */
function decodedOrNone(update: Uint8Array): readonly Decoded[] {
  try {
    return [decodeOne(open(update))]
  } catch {
    return []
  }
}

/** Whether an update has anything that the document has not. */
function isEmpty(doc: Y.Doc, update: Uint8Array): boolean {
  const { structs, ds } = Y.decodeUpdateV2(update)
  if (structs.length > 0) return false
  const known = Y.createDeleteSetFromStructStore(doc.store)
  return [...ds.clients].every(([client, items]) =>
    items.every(({ clock, len }) => coversRange(known, client, clock, len))
  )
}

interface Clocks {
  readonly start: number
  readonly end: number
}

/** Of each client, from the first item to the end of the last. */
function rangesOf(parts: readonly Decoded[]): Map<number, Clocks> {
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

function isDeletedBy(deletions: Deletions, { id, length }: Y.Item): boolean {
  return coversRange(deletions, id.client, id.clock, length)
}

/** A delete set's ranges are sorted and do not touch. */
function coversRange({ clients }: Deletions, client: number, clock: number, len: number): boolean {
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

/** An update as Yjs writes it: of each client its structs from a clock on, then the deletions. */
function encodeContribution(
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

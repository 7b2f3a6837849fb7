/**
 * Yjs as a document engine. Only who uses documents loads it: `yjs` is an optional peer dependency, and has to be the one copy
 * that the application uses, too.
 */
import * as Y from 'yjs'
import { clientIdOf } from './client-id.ts'
import type { DocumentEngine, Taken } from './engine.ts'
import type { Span } from './spans.ts'
import { coversRange, encodeContribution, isDeletedBy, rangesOf } from './yjs-contribution.ts'
import { canStrike, neededOf, SEAL, spansOf, strike } from './yjs-seal.ts'
import { agrees, runsIn, shownIn, typeIn } from './yjs-shown.ts'
import { diff } from './yjs-diff.ts'
import { restore } from './yjs-restore.ts'
import { without } from './yjs-without.ts'
import {
  bringIn,
  encode,
  runsOf,
  decodedOrNone,
  decodeOne,
  pack,
  packedSmall,
  packState,
  type Decoded
} from './yjs-update.ts'

/**
 * 1 MiB of updates wait for what they stand on. Yjs keeps them in one piece that it writes anew with each, so more would cost more
 * time than reading the logs again.
 */
const MAX_PENDING_BYTES = 1024 * 1024

/** Of each client, the first place that is not here. */
type Clocks = ReadonlyMap<number, number>

export const yjs: DocumentEngine<Y.Doc> = {
  name: 'yjs',
  code: 1,
  time: { diff, restore, without: (updates, left) => without(yjs, updates, left) },

  create: (id) => new Y.Doc({ guid: id }),

  observe(doc, origin, observer) {
    const onUpdate = (update: Uint8Array, from: unknown) => {
      if (from !== origin && from !== SEAL) observer.onupdate(update)
    }
    const onSubdocs = ({ loaded }: { readonly loaded: Set<Y.Doc> }) =>
      loaded.forEach((subdoc) => observer.onsubdoc(subdoc))
    doc.on('update', onUpdate)
    doc.on('subdocs', onSubdocs)
    return () => {
      doc.off('update', onUpdate)
      doc.off('subdocs', onSubdocs)
    }
  },

  pack,

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

  brings: (update) => decodedOrNone(update).flatMap((decoded) => [...spansOf(decoded)]),

  refersTo: (update) => decodedOrNone(update).flatMap(referencesIn),

  isDue: (doc, missing) =>
    [...missing].some(
      ([client, clock]) => typeof client === 'number' && Y.getState(doc.store, client) > clock
    ),

  state: (doc) => packState(doc),

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

  bind(doc, other, binding) {
    const { origin, ondestroy } = binding
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
      onsubdoc: (subdoc) => binding.onsubdoc(subdoc)
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

  sourceOf: clientIdOf,

  writeAs(doc, source) {
    if (typeof source === 'number') doc.clientID = source
  },

  writesAs: (doc) => doc.clientID,

  spans(update) {
    const [decoded] = decodedOrNone(update)
    return decoded === undefined ? null : spansOf(decoded)
  },

  only(update, isWanted) {
    const { structs, ds } = decodeOne(update).decoded
    return packedSmall(encode(runsOf(structs.filter(({ id }) => isWanted(id.client))), ds))
  },

  needed: (admitted, past) =>
    neededOf(
      admitted.flatMap(decodedOrNone),
      past.map((update) => decodedOrNone(update)[0] ?? NOTHING)
    ),

  partsAlone: (update) => packedSmall(encode(runsOf(decodeOne(update).decoded.structs), null)),

  canStrike: (update, struck) => decodedOrNone(update).every((each) => canStrike(each, struck)),

  strike(doc, struck) {
    strike(doc, struck)
    return true
  },

  waits: ({ store }) => store.pendingStructs !== null || store.pendingDs !== null,

  agrees: (doc, update) => decodedOrNone(update).every((decoded) => agrees(doc, decoded)),

  isSame: (a, b) => shownIn(a) === shownIn(b),

  runs(doc, of, from, to) {
    const type = typeIn(doc, of)
    if (type === 'none yet') return []
    return type === null ? null : runsIn(type, from, to)
  },

  destroy: (doc) => doc.destroy()
}

/**
 * Refused when it is no update: then nothing was changed, or as much as every other device changes by it. What it stands on when
 * it is held back.
 */
function applyOne(doc: Y.Doc, update: Uint8Array, origin: unknown): 'done' | 'refused' | Clocks {
  try {
    const { opened, decoded } = decodeOne(update) // before anything is integrated: half an update must not count
    if (pendingBytes(doc) > MAX_PENDING_BYTES) {
      const missing = missingFor(doc, decoded)
      if (missing.size > 0) return missing
    }
    bringIn(doc, opened, origin)
    return 'done'
  } catch {
    return 'refused'
  }
}

function takeOne(doc: Y.Doc, update: Uint8Array, origin: unknown): Taken['outcome'] {
  try {
    const { opened, decoded } = decodeOne(update)
    if (missingFor(doc, decoded).size > 0) return 'early'
    if (isKnown(doc, decoded)) return 'known'
    bringIn(doc, opened, origin)
    return 'done'
  } catch {
    return 'refused'
  }
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
/** What cannot be read stands on nothing. */
const NOTHING: Decoded = { structs: [], ds: Y.createDeleteSet() }

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
function missingFor(doc: Y.Doc, { structs, ds }: Decoded): Clocks {
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
  for (const { source, end } of referencesIn({ structs, ds })) {
    if (typeof source === 'number') need(source, end)
  }
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

/** Whether an update has anything that the document has not. */
function isEmpty(doc: Y.Doc, update: Uint8Array): boolean {
  const { structs, ds } = Y.decodeUpdateV2(update)
  if (structs.length > 0) return false
  const known = Y.createDeleteSetFromStructStore(doc.store)
  return [...ds.clients].every(([client, items]) =>
    items.every(({ clock, len }) => coversRange(known, client, clock, len))
  )
}

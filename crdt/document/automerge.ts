/**
 * Automerge as a document engine. Only who uses it loads it: `@automerge/automerge` is an optional peer dependency.
 *
 * An update is a list of changes, each of which names, by hash, the changes that it was made on; Automerge applies a change when
 * it has those. How they are stored says automerge-update.ts.
 *
 * What is sealed away cannot be struck: a change is whole, and so are those that it was made on. Updates past a seal that admitted
 * ones stand on stay visible, and are reported.
 */
import * as A from '@automerge/automerge'
import b4a from 'b4a'
import { AutomergeDocument, type AnyAutomergeDocument } from './automerge-document.ts'
import { runsIn, textPathIn } from './automerge-runs.ts'
import { diff, restore, without } from './automerge-time.ts'
import {
  bundleIn,
  packBundle,
  packChanges,
  packDocument,
  readChanges,
  savedIn,
  type Change
} from './automerge-update.ts'
import type { Applied, DocumentEngine, Missing } from './engine.ts'
import { Spans, type Span } from './spans.ts'

/** As `MAX_PENDING_BYTES` of Yjs: more than 1 MiB that waits is read again from the logs. */
const MAX_WAITING_BYTES = 1024 * 1024

const ACTOR_BYTES = 16

type Doc = AnyAutomergeDocument

export const automerge: DocumentEngine<Doc> = {
  name: 'automerge',
  code: 2,
  time: { diff, restore, without: (updates, left) => without(automerge, updates, left) },

  create: (id) => new AutomergeDocument(id),

  observe(doc, origin, { onupdate }) {
    const onUpdate = (changes: readonly Uint8Array[], from: unknown) => {
      if (from !== origin) onupdate(packChanges(changes))
    }
    doc.on('update', onUpdate)
    return () => doc.off('update', onUpdate)
  },

  pack(updates) {
    const [only] = updates
    if (only !== undefined && updates.length === 1) return only
    return packChanges(updates.flatMap(changesIn))
  },

  apply(doc, updates, origin) {
    const begun = beginWithSaved(doc, updates, origin)
    const refused: number[] = []
    const coming: Coming[] = []
    updates.forEach((update, index) => {
      if (isWholeIn(doc, update)) return
      const changes = readChanges(update)
      if (changes === null) refused.push(index)
      else coming.push(...changes.map((change) => ({ index, change })))
    })
    const { held, missing, ...rest } =
      beginWith(doc, updates, coming, origin) ?? bringInAll(doc, coming, origin)
    const thrown = begun.thrown ?? rest.thrown
    return { refused: [...refused, ...rest.refused], held, missing, thrown }
  },

  take(doc, update, origin) {
    if (isWholeIn(doc, update)) return { outcome: 'known', thrown: undefined }
    const changes = readChanges(update)
    if (changes === null) return { outcome: 'refused', thrown: undefined }
    const isNews = changes.some(({ decoded }) => !has(doc, decoded.hash))
    if (!isNews) return { outcome: 'known', thrown: undefined }
    const coming = changes.map((change) => ({ index: 0, change }))
    const { early } = sortOut(doc, coming)
    if (early.length > 0) return { outcome: 'early', thrown: undefined }
    const { isRefused, thrown } = takeIn(doc, coming, origin)
    return { outcome: isRefused ? 'refused' : 'done', thrown }
  },

  brings: (update) => hashesIn(update).map(spanOf),

  refersTo: (update) => [...hashesIn(update), ...depsOf(update)].map(spanOf),

  isDue: (doc, missing) =>
    [...missing.keys()].some((hash) => typeof hash === 'string' && has(doc, hash)),

  state: (doc) => packDocument(doc.value),

  contribution(updates) {
    const doc = new AutomergeDocument('')
    const { refused, held } = automerge.apply(
      doc,
      updates.map(({ bytes }) => bytes),
      null
    )
    const isAllHere = refused.length === 0 && held.length === 0 && !automerge.waits(doc)
    if (isAllHere && updates.length > 0 && updates.every(({ isOwn }) => isOwn))
      return packDocument(doc.value)
    const own = updates.filter(({ isOwn }) => isOwn).flatMap(({ bytes }) => hashesIn(bytes))
    const hashes = [...new Set(own)]
    if (!isAllHere && !hashes.every((hash) => has(doc, hash))) return null
    return hashes.length === 0 ? packChanges([]) : packBundle(doc.value, hashes)
  },

  bind(doc, other, { origin, ondestroy }) {
    const link = { origin }
    const missingThere = A.getChanges(other.value, doc.value)
    const missingHere = A.getChanges(doc.value, other.value)
    if (missingThere.length > 0) other.bringIn(missingThere, origin)
    if (missingHere.length > 0) doc.bringIn(missingHere, link)
    const there = (changes: readonly Uint8Array[], from: unknown) => {
      if (from !== link) other.bringIn(changes, origin)
    }
    const back = (changes: readonly Uint8Array[], from: unknown) => {
      if (from !== origin) doc.bringIn(changes, link)
    }
    doc.on('update', there)
    other.on('update', back)
    other.on('destroy', ondestroy)
    return () => {
      doc.off('update', there)
      other.off('update', back)
      other.off('destroy', ondestroy)
    }
  },

  loaded: () => {},

  sourceOf: (seed) => b4a.toString(seed.subarray(0, ACTOR_BYTES), 'hex'),

  writeAs(doc, source) {
    if (typeof source === 'string') doc.actAs(source)
  },

  writesAs: (doc) => A.getActorId(doc.value),

  spans(update) {
    const saved = savedIn(update)
    if (saved !== null) return Spans.late(saved.actors, () => spansIn(readChanges(update) ?? []))
    const changes = readChanges(update)
    return changes === null ? null : new Spans(spansIn(changes))
  },

  only(update, isWanted) {
    const wanted = (readChanges(update) ?? []).filter(({ decoded }) => isWanted(decoded.actor))
    return packChanges(wanted.map(({ bytes }) => bytes))
  },

  needed(admitted, past) {
    const here = new Set(admitted.flatMap(hashesIn))
    const by = new Map<string, number>()
    past.forEach((update, i) => {
      for (const hash of hashesIn(update)) if (!by.has(hash)) by.set(hash, i)
    })
    const needed = new Set<number>()
    const queue = admitted.flatMap(depsOf)
    for (let hash = queue.pop(); hash !== undefined; hash = queue.pop()) {
      const index = here.has(hash) ? undefined : by.get(hash)
      if (index === undefined || needed.has(index)) continue
      needed.add(index)
      queue.push(...depsOf(past[index] ?? new Uint8Array(0)))
    }
    return [...needed].sort((a, b) => a - b)
  },

  partsAlone: (update) => update,

  canStrike: () => false,

  strike: () => false,

  waits: (doc) => (waiting.get(doc)?.length ?? 0) > 0,

  // A change that says something else has another name, and its actor's count is taken: it is refused.
  agrees: () => true,

  isSame(a, b) {
    const [heads, others] = [A.getHeads(a.value).sort(), A.getHeads(b.value).sort()]
    return heads.join(' ') === others.join(' ')
  },

  runs(doc, of, from, to) {
    const path = textPathIn(doc, of)
    if (path === 'none yet') return []
    return path === null ? null : runsIn(doc.value, path, from, to)
  },

  destroy: (doc) => doc.destroy()
}

/** One change, and by which update of a call it came; -1 for one that waited. */
interface Coming {
  readonly index: number
  readonly change: Change
}

/** What stands on what is not here. */
const waiting = new WeakMap<Doc, readonly Coming[]>()

/** An empty document is the first of those that were saved, if there is any. */
function beginWithSaved(doc: Doc, updates: readonly Uint8Array[], origin: unknown) {
  const [first] = isEmpty(doc) ? updates.flatMap((update) => savedIn(update) ?? []) : []
  if (first === undefined) return { thrown: undefined }
  return attempt(doc, () => doc.begin(first.bytes, first.heads, origin))
}

/** Whether an update is a saved document of which nothing is missing in a document. */
function isWholeIn(doc: Doc, update: Uint8Array): boolean {
  const saved = savedIn(update)
  return saved !== null && A.hasHeads(doc.value, [...saved.heads])
}

/**
 * An empty document takes bundles in as they are: encoding their changes one by one takes longer than all else. Null where there
 * are none, or anything stands in the way: then it is still empty.
 */
function beginWith(
  doc: Doc,
  updates: readonly Uint8Array[],
  coming: readonly Coming[],
  origin: unknown
): Applied | null {
  const hasBundle = updates.some((update) => bundleIn(update) !== null)
  if (!hasBundle || !isEmpty(doc) || (waiting.get(doc)?.length ?? 0) > 0) return null
  if (sortOut(doc, coming).early.length > 0) return null
  const saved = updates.map((update) => bundleIn(update) ?? b4a.concat([...changesIn(update)]))
  const heads = headsOf(coming)
  const { isRefused, thrown } = attempt(doc, () => doc.begin(b4a.concat(saved), heads, origin))
  return isRefused ? null : { refused: [], held: [], missing: new Map(), thrown }
}

function headsOf(coming: readonly Coming[]): string[] {
  const heads = new Set(coming.map(({ change }) => change.decoded.hash))
  for (const { change } of coming) for (const dep of change.decoded.deps) heads.delete(dep)
  return [...heads]
}

function bringInAll(doc: Doc, coming: readonly Coming[], origin: unknown): Applied {
  // Automerge goes through the whole document for each call: what came ahead is not applied again when its log brings it.
  const news = isEmpty(doc) ? coming : coming.filter(({ change }) => !has(doc, change.decoded.hash))
  const { ready, early } = sortOut(doc, [...(waiting.get(doc) ?? []), ...news])
  const outcome = bringIn(doc, ready, origin)
  let room = MAX_WAITING_BYTES
  const kept: Coming[] = []
  const held: Coming[] = []
  for (const each of early) {
    room -= each.change.bytes.byteLength
    if (room >= 0) kept.push({ ...each, index: -1 })
    else held.push(each)
  }
  waiting.set(doc, kept)
  return { ...outcome, held: indicesOf(held), missing: missingIn(doc, held) }
}

/** A change is ready when all that it was made on is here, or is ready too: then what waits for it is looked at again. */
function sortOut(doc: Doc, coming: readonly Coming[]) {
  const isHere = new Lookup(doc)
  const ready = new Set<Coming>()
  const waiting = new Map<string, Coming[]>()
  for (const first of coming) {
    const due = [first]
    for (let each = due.pop(); each !== undefined; each = due.pop()) {
      const { hash, deps } = each.change.decoded
      const lacking = deps.find((dep) => !isHere.has(dep))
      if (lacking !== undefined) {
        const others = waiting.get(lacking)
        if (others === undefined) waiting.set(lacking, [each])
        else others.push(each)
        continue
      }
      ready.add(each)
      isHere.add(hash)
      due.push(...(waiting.get(hash) ?? []).reverse())
      waiting.delete(hash)
    }
  }
  return { ready: [...ready], early: coming.filter((each) => !ready.has(each)) }
}

/** Which changes are in a document, or will be. Asking Automerge takes as long as some thousand steps of ours. */
class Lookup {
  readonly #doc: Doc
  readonly #isEmpty: boolean
  readonly #known = new Map<string, boolean>()

  constructor(doc: Doc) {
    this.#doc = doc
    this.#isEmpty = isEmpty(doc)
  }

  has(hash: string): boolean {
    const known = this.#known.get(hash) ?? (this.#isEmpty ? false : undefined)
    if (known !== undefined) return known
    const isHere = has(this.#doc, hash)
    this.#known.set(hash, isHere)
    return isHere
  }

  add(hash: string): void {
    this.#known.set(hash, true)
  }
}

/** All at once; where something in it is refused, one by one. */
function bringIn(doc: Doc, ready: readonly Coming[], origin: unknown) {
  if (ready.length === 0) return { refused: [], thrown: undefined }
  const all = takeIn(doc, ready, origin)
  if (!all.isRefused) return { refused: [], thrown: all.thrown }
  const refused: Coming[] = []
  let thrown: unknown
  for (const each of ready) {
    const one = takeIn(doc, [each], origin)
    if (one.isRefused) refused.push(each)
    thrown ??= one.thrown
  }
  return { refused: indicesOf(refused), thrown }
}

function takeIn(doc: Doc, coming: readonly Coming[], origin: unknown) {
  const changes = coming.map(({ change }) => change.bytes)
  return attempt(doc, () => doc.bringIn(changes, origin))
}

/** What Automerge refuses changes nothing; what an observer throws comes after the change. */
function attempt(doc: Doc, task: () => void) {
  const before = doc.value
  const thrown = thrownBy(task)
  const isRefused = thrown !== undefined && doc.value === before
  return { isRefused, thrown: isRefused ? undefined : thrown }
}

function missingIn(doc: Doc, coming: readonly Coming[]): Missing {
  const deps = coming.flatMap(({ change }) => change.decoded.deps)
  return new Map(deps.filter((hash) => !has(doc, hash)).map((hash) => [hash, 0]))
}

/** Each once. */
function indicesOf(coming: readonly Coming[]): readonly number[] {
  return [...new Set(coming.map(({ index }) => index))].filter((index) => index >= 0)
}

/** Of what is in none: asking for each takes long. */
function isEmpty(doc: Doc): boolean {
  return A.getHeads(doc.value).length === 0
}

function has(doc: Doc, hash: string): boolean {
  return A.hasHeads(doc.value, [hash])
}

function spansIn(changes: readonly Change[]): readonly Span[] {
  return changes.map(({ decoded: { actor, startOp, ops } }) => ({
    source: actor,
    start: startOp,
    end: startOp + ops.length
  }))
}

/** Changes refer to others by their hashes. */
function spanOf(hash: string): Span {
  return { source: hash, start: 0, end: 1 }
}

function bytesOf(changes: readonly Change[] | null): readonly Uint8Array[] {
  return (changes ?? []).map(({ bytes }) => bytes)
}

function changesIn(update: Uint8Array): readonly Uint8Array[] {
  return bytesOf(readChanges(update))
}

function hashesIn(update: Uint8Array): readonly string[] {
  return (readChanges(update) ?? []).map(({ decoded }) => decoded.hash)
}

function depsOf(update: Uint8Array): readonly string[] {
  return (readChanges(update) ?? []).flatMap(({ decoded }) => decoded.deps)
}

/** Undefined for nothing. */
function thrownBy(task: () => void): unknown {
  try {
    task()
    return undefined
  } catch (error) {
    return error
  }
}

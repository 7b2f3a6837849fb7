/**
 * One open document in memory, whoever holds it: the live document, what was changed in it and is not written yet, and how far
 * the logs are brought in. Keystrokes gather for some milliseconds, and while an earlier write is under way; each gathering
 * becomes one entry in our log.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import {
  encodeUpdate,
  TYPE_DOCUMENT_UPDATE,
  type Binding,
  type DocumentEngine,
  type EngineDoc,
  type Missing,
  type UpdateKind
} from '../../crdt/index.ts'
import type { ReadOptions, TreeEntry } from '../../core/index.ts'
import type { RefusalReason } from '../refusals.ts'
import type { CoreEntry, View } from '../view.ts'
import type { CachedDocument, Covered, OwnShare } from './cache.ts'
import { compactionOf, isWorthIt } from './compaction.ts'
import { parseUpdateKey, UpdateKeys } from './keys.ts'
import type { DocumentParts, TypingTimers } from './parts.ts'
import { readAll, readBack, readSince } from './read.ts'
import { readUpdates, type Update } from './updates.ts'

/** How much of what was changed on this device is safe where. */
export interface DocumentStatus {
  /** Changes that are not on this device's log yet: some milliseconds' worth, unless writing fails. */
  readonly unsaved: number
  /** Changes that no other device has, the unsaved ones included. */
  readonly unsynced: number
}

export interface ReplicaEvents {
  status: [DocumentStatus]
  /** Changes could not be written (they are tried again with the next ones), or an observer of the document threw. */
  error: [unknown]
}

/**
 * What is typed after a rest is written at once, as somebody may be watching. What comes within so many milliseconds of a write
 * gathers, so that a burst is few entries.
 */
const GATHER_MS = 5

/** A process that is killed reads so many again at most. */
const CHANGES_PER_SAVE = 512

/** What of earlier sessions nobody has is counted no further. */
const MAX_COUNTED = 1000

/** Sources whose updates are waited for: an honest document has one per device and session. */
const MAX_MISSING = 10_000

const NOTHING: OwnShare = { entries: 0, bytes: 0, snapshot: 0 }

/** Changes in our log, and the length that a peer must hold to have them. */
interface Written {
  readonly length: number
  readonly changes: number
}

export class Replica {
  readonly id: string
  readonly doc: EngineDoc
  readonly events = new EventEmitter<ReplicaEvents>()
  readonly #parts: DocumentParts
  readonly #engine: DocumentEngine
  readonly #keys: UpdateKeys
  readonly #timers: TypingTimers
  readonly #unobserve: () => void
  #pending: Uint8Array[] = []
  #inFlight = 0
  /** Ends the rest after a write. */
  #cancel: (() => void) | null = null
  /** A write begins as soon as what runs now is done. */
  #isDue = false
  #isClosed = false
  #writing: Promise<void> | null = null
  /** The number of our next update. */
  #next = 0
  #unsynced: Written[] = []
  #isTold = false
  /** What our log holds of the document. */
  #share: OwnShare = NOTHING
  /** Who wrote anything of it. */
  readonly #writers = new Set<string>()
  /** How far each log is brought in, by writer. */
  readonly #covered = new Map<string, number>()
  /** What updates stand on that were held back. */
  #missing = new Map<number, number>()
  #rereading: Promise<void> | null = null
  /** The document has more than its cached row. */
  #isDirty = false
  /** Since it was saved. */
  #changes = 0
  #saving: Promise<void> | null = null

  constructor(id: string, parts: DocumentParts, engine: DocumentEngine) {
    this.id = id
    this.#parts = parts
    this.#engine = engine
    this.#keys = new UpdateKeys(id)
    this.#timers = parts.timers
    this.doc = engine.create(id)
    this.#unobserve = engine.observe(this.doc, this, {
      onupdate: (update) => this.#changed(update),
      onsubdoc: (subdoc) => parts.onsubdoc(subdoc)
    })
  }

  /** Brings in what the logs hold. @throws BLOCK_UNAVAILABLE, only from sparse logs */
  async load(options: ReadOptions): Promise<void> {
    const view = await this.#parts.union.view(options)
    const cached = await this.#cached(view)
    if (cached !== null) this.#begin(cached)
    const entries =
      (cached && (await this.#entriesSince(view, cached, options))) ??
      (await this.#allEntries(view, options))
    const updates = this.#read(view, entries)
    this.#apply(updates)
    for (const { part } of updates) this.#writers.add(part.writer)
    this.#share = addTo(this.#share, updates)
    for (const { writer, tree } of view.parts) this.#covered.set(writer, tree.length)
    await this.#findOwn(view)
    this.#isDirty = updates.length > 0
    this.#engine.loaded(this.doc)
  }

  /** Brings in what has arrived. */
  receive(view: View, entries: readonly CoreEntry[]): void {
    const updates = this.#read(view, entries).filter(
      ({ part, number }) => !part.isOwn || number >= this.#next
    )
    this.#apply(updates)
    this.#readHeld()
    for (const { part } of updates) this.#writers.add(part.writer)
    this.#changes += updates.length
    this.#isDirty ||= updates.length > 0
    if (this.#changes >= CHANGES_PER_SAVE) void this.save()
  }

  /** What the logs held up to these lengths is in; by writer. */
  cover(lengths: ReadonlyMap<string, number>): void {
    for (const [writer, length] of lengths) {
      this.#covered.set(writer, Math.max(length, this.#covered.get(writer) ?? 0))
    }
  }

  /**
   * Makes the next opening fast, and our share of the log small where that pays. Nothing is lost when it cannot be done: what
   * fails here costs room and time. Call when nothing is unsaved.
   */
  async save(): Promise<void> {
    this.#changes = 0
    this.#saving ??= this.#save()
      .catch(() => {}) // as said above
      .finally(() => (this.#saving = null))
    await this.#saving
  }

  get status(): DocumentStatus {
    const unsaved = this.#pending.length + this.#inFlight
    return { unsaved, unsynced: this.#unsynced.reduce((sum, each) => sum + each.changes, unsaved) }
  }

  /** Writes what was changed until now, and resolves when it is as durable as the store promises. @throws STORE_ codes */
  async flush(): Promise<void> {
    await Promise.resolve() // so that edits which are each flushed, and not awaited, go together
    // What is under way may have begun before the last change.
    while (this.#writing !== null || this.#pending.length > 0) await this.#write()
  }

  /** Keeps a document of the application's the same as this one. @returns how to stop */
  bind(other: EngineDoc, binding: Binding): () => void {
    return this.#engine.bind(this.doc, other, binding)
  }

  /** Tells a bound document's observers that it is what is stored. */
  tellLoaded(other: EngineDoc): void {
    this.#engine.loaded(other)
  }

  /** The document is gone from memory afterwards. What is unsaved must be flushed before. */
  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    this.#unobserve()
    this.events.removeAllListeners()
    this.#engine.destroy(this.doc)
  }

  async #save(): Promise<void> {
    if (isWorthIt(this.#share)) await this.#compact()
    await this.#rereading
    // A row would say that it has what was held back.
    if (!this.#isDirty || this.#missing.size > 0) return
    this.#isDirty = false
    const covered = await this.#coveredLogs()
    const state = this.#engine.state(this.doc)
    const row = { engine: this.#engine.code, own: this.#share, covered, state }
    await this.#parts.cache.put(this.id, row)
  }

  /** Lengths are read before the state is: it may hold more than they say, never less. */
  async #coveredLogs(): Promise<readonly Covered[]> {
    const { union, own } = this.#parts
    const covered: Covered[] = []
    for (const log of union.logs()) {
      const length = this.#covered.get(log.id) ?? 0
      const isOurs = b4a.equals(log.key, own.core.key)
      if (length === 0 || !(isOurs || this.#writers.has(log.id))) continue
      const treeHash = await log.treeHash(length, { wait: false })
      if (treeHash !== null) covered.push({ core: log.key, length, treeHash })
    }
    return covered
  }

  /** In turn with other writing. */
  async #compact(): Promise<void> {
    while (this.#writing !== null) await this.#writing
    this.#writing = this.#writeSnapshot()
      .catch(() => {}) // the updates stand as they are
      .finally(() => {
        this.#writing = null
        if (this.#pending.length > 0) this.#gather()
      })
    await this.#writing
  }

  async #writeSnapshot(): Promise<void> {
    const view = await this.#parts.union.view({ wait: false })
    const updates = this.#read(view, await readAll(view, this.#keys.range, { wait: false }))
    const compaction = compactionOf(this.#engine, this.#keys, updates, this.#next)
    if (compaction === null) return
    const { operations, next, share } = compaction
    await this.#parts.queue.write(operations)
    this.#next = next
    this.#share = share
    this.#isDirty = true
  }

  /** Null when there is none, or a log is not what it was when it was made. */
  async #cached(view: View): Promise<CachedDocument | null> {
    const cached = await this.#parts.cache.get(this.id)
    if (cached === null || cached.engine !== this.#engine.code) return null
    for (const { core, length, treeHash } of cached.covered) {
      const log = this.#parts.union.log(core)
      if (log === null || view.admitted(core) < length) return null
      const now = await log.treeHash(length, { wait: false }).catch(() => null)
      if (now === null || !b4a.equals(now, treeHash)) return null
    }
    return cached
  }

  #begin({ state, own, covered }: CachedDocument): void {
    this.#engine.apply(this.doc, [state], this)
    this.#share = own
    for (const { core } of covered) this.#writers.add(z32.encode(core))
  }

  /** What a cached document lacks; null when that cannot be told from the rest. */
  async #entriesSince(
    view: View,
    { covered }: CachedDocument,
    options: ReadOptions
  ): Promise<readonly CoreEntry[] | null> {
    const lengths = new Map(covered.map(({ core, length }) => [z32.encode(core), length]))
    try {
      const parts = view.parts.map(async (part) => {
        const before = this.#parts.union.log(part.core)?.treeAt(lengths.get(part.writer) ?? 0)
        return before === undefined ? [] : readSince(part, before, this.#keys.range, options)
      })
      return (await Promise.all(parts)).flat()
    } catch {
      return null // a bad tree, or a cleared one: reading all of it says what is to be said
    }
  }

  #allEntries(view: View, options: ReadOptions): Promise<readonly CoreEntry[]> {
    this.#share = NOTHING
    return readAll(view, this.#keys.range, options)
  }

  /** Our last number, and what of ours nobody else has: of earlier sessions, too. */
  async #findOwn(view: View): Promise<void> {
    const part = view.parts.find(({ isOwn }) => isOwn)
    if (part === undefined) return
    const { remoteContiguousLength } = this.#parts.own.core
    const { range } = this.#keys
    const [last] = await readBack(part, range, () => true, { wait: false }, 1)
    if (last === undefined) return
    this.#next = (parseUpdateKey(last.key)?.number ?? -1) + 1
    const isUnsynced = ({ seq }: TreeEntry) => seq >= remoteContiguousLength
    for (const { seq } of await readBack(part, range, isUnsynced, { wait: false }, MAX_COUNTED))
      this.#unsynced.push({ length: seq + 1, changes: 1 })
  }

  #read(view: View, entries: readonly CoreEntry[]): readonly Update[] {
    const { refusals } = this.#parts
    return readUpdates({ view, refusals, engine: this.#engine.code }, entries)
  }

  #apply(updates: readonly Update[]): void {
    if (updates.length === 0) return
    const bytes = updates.map((update) => update.bytes)
    const { refused, held, missing, thrown } = this.#engine.apply(this.doc, bytes, this)
    for (const i of refused) this.#count(updates[i], 'document-update-refused')
    for (const i of held) this.#count(updates[i], 'document-update-held')
    this.#miss(missing)
    if (thrown !== undefined) this.events.emit('error', thrown) // an observer's: the updates are in
  }

  #count(update: Update | undefined, reason: RefusalReason): void {
    if (update !== undefined) this.#parts.refusals.add(update.part.writer, reason, update.seq)
  }

  #miss(missing: Missing): void {
    for (const [source, place] of missing) {
      if (this.#missing.size >= MAX_MISSING) return
      this.#missing.set(source, Math.min(place, this.#missing.get(source) ?? Infinity))
    }
  }

  /** What was held back stands in the logs: it is read again when something that it stands on is here. */
  #readHeld(): void {
    if (this.#rereading !== null || !this.#engine.isDue(this.doc, this.#missing)) return
    this.#rereading = this.#readAgain()
      .catch(() => {}) // the next arrival tries again
      .finally(() => (this.#rereading = null))
  }

  async #readAgain(): Promise<void> {
    const view = await this.#parts.union.view({ wait: false })
    const entries = await readAll(view, this.#keys.range, { wait: false })
    if (this.doc.isDestroyed) return
    this.#missing.clear()
    this.#apply(this.#read(view, entries))
  }

  #changed(update: Uint8Array): void {
    this.#pending.push(update)
    if (this.#writing === null) this.#gather()
    this.#tellStatus()
  }

  /** What is changed in one go is one entry, and what is changed during a rest. */
  #gather(): void {
    if (this.#isDue || this.#cancel !== null) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      this.#writeGathered()
    })
  }

  /** Begins when a write is done. */
  #rest(): void {
    this.#cancel?.()
    this.#cancel = this.#timers.after(GATHER_MS, () => {
      this.#cancel = null
      this.#writeGathered()
    })
  }

  #writeGathered(): void {
    if (this.#writing !== null || this.#pending.length === 0 || this.#isClosed) return
    this.#write().catch((error: unknown) => this.events.emit('error', error))
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writePending()
      .then(() => this.#rest())
      .finally(() => {
        this.#writing = null
        this.#tellStatus()
      })
    return this.#writing
  }

  async #writePending(): Promise<void> {
    const updates = this.#pending
    const first = this.#next
    this.#pending = []
    this.#inFlight = updates.length
    let told = Promise.resolve()
    try {
      const bytes = this.#engine.pack(updates)
      const operations = encodeUpdate(this.#engine.code, 'update', bytes).map((value, i) => ({
        key: this.#keys.at(first + i),
        value,
        opaque: { type: TYPE_DOCUMENT_UPDATE, position: null }
      }))
      // Ahead of the write: what comes back of it from our own log is in the document already.
      this.#next += operations.length
      told = this.#tellOfIt() // in the same batch, mostly
      told.catch(() => {}) // shown below
      await this.#parts.queue.write(operations)
      this.#wrote(operations.length, bytes.byteLength)
      this.#unsynced.push({ length: this.#parts.own.core.length, changes: updates.length })
    } catch (error) {
      this.#next = first
      this.#pending = [...updates, ...this.#pending]
      throw error
    } finally {
      this.#inFlight = 0
    }
    await told
  }

  #wrote(entries: number, bytes: number): void {
    const { snapshot } = this.#share
    this.#share = {
      entries: this.#share.entries + entries,
      bytes: this.#share.bytes + bytes,
      snapshot
    }
    this.#isDirty = true
    this.#changes += 1
    if (this.#changes >= CHANGES_PER_SAVE) void this.save()
  }

  /** A document is listed from its first change on. */
  async #tellOfIt(): Promise<void> {
    if (this.#isTold) return
    await this.#parts.tellOf()
    this.#isTold = true
  }

  /** Another device has our log up to this length. */
  synced(length: number): void {
    const before = this.#unsynced.length
    this.#unsynced = this.#unsynced.filter((written) => written.length > length)
    if (this.#unsynced.length !== before) this.#tellStatus()
  }

  #tellStatus(): void {
    this.events.emit('status', this.status)
  }
}

function addTo(share: OwnShare, updates: readonly Update[]): OwnShare {
  const own = updates.filter(({ part }) => part.isOwn)
  const sizes = (kind: UpdateKind) =>
    own.filter((each) => each.kind === kind).reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
  return {
    entries: own.reduce((sum, { first, number }) => sum + number - first + 1, share.entries),
    bytes: share.bytes + sizes('update'),
    snapshot: Math.max(share.snapshot, sizes('snapshot'))
  }
}

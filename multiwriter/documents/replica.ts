/**
 * One open document in memory, whoever holds it: the live document, and how far the logs are brought in. What is changed in it goes
 * out by own-updates.ts. What others send ahead of their logs is shown at once, and remembered until a log confirms it.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import type {
  Binding,
  DocumentEngine,
  EngineDoc,
  Missing,
  Source,
  UpdateKind
} from '../../crdt/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { ReadOptions, TreeEntry } from '../../core/index.ts'
import type { PresenceRefusalReason } from '../presence/counts.ts'
import type { RefusalReason } from '../refusals.ts'
import type { CoreEntry, View } from '../view.ts'
import type { AheadUpdate } from './ahead.ts'
import type { CachedDocument, Covered, OwnShare } from './cache.ts'
import { compactionOf, isWorthIt } from './compaction.ts'
import { parseUpdateKey, UpdateKeys } from './keys.ts'
import { OwnUpdates, type DocumentStatus, type OwnWritten } from './own-updates.ts'
import type { DocumentParts } from './parts.ts'
import { readAll, readBack, readSince } from './read.ts'
import { UnconfirmedList, type AheadPath } from './unconfirmed.ts'
import { isOfOtherEngine, isOurs, readUpdates, type Update } from './updates.ts'

export interface ReplicaEvents {
  status: [DocumentStatus]
  /** Changes could not be written (they are tried again with the next ones), or an observer of the document threw. */
  error: [unknown]
}

/** A process that is killed reads so many again at most. */
const CHANGES_PER_SAVE = 512

/** What of earlier sessions nobody has is counted no further. */
const MAX_COUNTED = 1000

/** What is sent ahead waits for what it stands on, for so many keystrokes of a fast typist. */
const MAX_EARLY = 64

/** How often it is looked for what no log confirms. Devices take turns, so that mostly one quotes it for all. */
const ROUND_MS = 1000

/** Sources whose updates are waited for: an honest document has one per device and session. */
const MAX_MISSING = 10_000

const NOTHING: OwnShare = { entries: 0, bytes: 0, snapshot: 0 }

/** An update that stands on what is not here yet. */
interface Early {
  readonly ahead: AheadUpdate
  readonly path: AheadPath
}

export class Replica<D extends EngineDoc> {
  readonly id: string
  readonly doc: D
  readonly events = new EventEmitter<ReplicaEvents>()
  readonly #parts: DocumentParts<D>
  readonly #engine: DocumentEngine<D>
  readonly #keys: UpdateKeys
  readonly #unobserve: () => void
  readonly #own: OwnUpdates
  readonly #unconfirmed = new UnconfirmedList()
  #early: Early[] = []
  /** Until then, nothing can be told to be early. */
  #isLoaded = false
  #endRound: (() => void) | null = null
  /** Nothing is shown any more that no log holds. */
  #isSettled = false
  #isClosed = false
  /** What our log holds of the document. */
  #share: OwnShare = NOTHING
  /** Who wrote anything of it. */
  readonly #writers = new Set<string>()
  /** How far each log is brought in, by writer. */
  readonly #covered = new Map<string, number>()
  /** What updates stand on that were held back. */
  #missing = new Map<Source, number>()
  #rereading: Promise<void> | null = null
  /** The document has more than its cached row. */
  #isDirty = false
  /** Since it was saved. */
  #changes = 0
  #saving: Promise<void> | null = null
  /** It could not be saved while something was unconfirmed. */
  #isSaveDue = false

  constructor(id: string, parts: DocumentParts<D>, engine: DocumentEngine<D>) {
    this.id = id
    this.#parts = parts
    this.#engine = engine
    this.#keys = new UpdateKeys(id)
    this.doc = engine.create(id)
    this.#own = new OwnUpdates(id, parts, engine, this.#keys, {
      ground: (updates) => this.#unconfirmed.ground(engine, updates),
      onwritten: (written) => this.#wrote(written),
      onstatus: () => this.events.emit('status', this.status),
      onerror: (error) => this.events.emit('error', error)
    })
    this.#unobserve = engine.observe(this.doc, this, {
      onupdate: (update) => this.#own.add(update),
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
    if (cached === null && updates.length === 0) this.#checkEngine(view, entries)
    this.#apply(updates)
    for (const { part } of updates) this.#writers.add(part.writer)
    this.#share = addTo(this.#share, updates)
    for (const { writer, tree } of view.parts) this.#covered.set(writer, tree.length)
    await this.#findOwn(view)
    this.#isDirty = updates.length > 0
    this.#isLoaded = true
    this.#hearEarly()
    this.#engine.loaded(this.doc)
  }

  /** A document that there is must not look empty, and then be two. @throws DOCUMENT_ENGINE */
  #checkEngine(view: View, entries: readonly CoreEntry[]): void {
    const { name, code } = this.#engine
    if (!isOfOtherEngine({ view, engine: code }, entries)) return
    throw new ManyhandsError('DOCUMENT_ENGINE', `"${this.id}" is no document of ${name}`)
  }

  /** Brings in what has arrived. */
  receive(view: View, entries: readonly CoreEntry[]): void {
    const updates = this.#read(view, entries).filter(
      ({ part, number }) => !part.isOwn || number >= this.#own.next
    )
    this.#apply(this.#unconfirmed.confirm(updates))
    this.#readHeld()
    this.#hearEarly()
    for (const { part } of updates) this.#writers.add(part.writer)
    this.#changes += updates.length
    this.#isDirty ||= updates.length > 0
    if (this.#changes >= CHANGES_PER_SAVE || (this.#isSaveDue && this.#unconfirmed.size === 0))
      void this.save()
  }

  /** Brings in what somebody says that its log will hold. @returns why not, if no honest device says so */
  hear(ahead: AheadUpdate, path: AheadPath): PresenceRefusalReason | null {
    if (ahead.engine !== this.#engine.code || this.#isSettled) return null
    const { outcome, thrown } = this.#isLoaded
      ? this.#engine.take(this.doc, ahead.bytes, this)
      : EARLY
    if (thrown !== undefined) this.events.emit('error', thrown) // an observer's: the update is in
    switch (outcome) {
      case 'done':
        this.#unconfirmed.add(ahead, path, this.#engine.brings(ahead.bytes))
        this.#writers.add(z32.encode(ahead.core))
        this.#waitForLog()
        return null
      case 'early':
        if (this.#early.length === MAX_EARLY) this.#early.shift()
        this.#early.push({ ahead, path })
        return null
      case 'known':
        return null
      case 'refused':
        return 'malformed'
      default:
        return outcome satisfies never
    }
  }

  /** A connection is gone, over which something may have been heard. */
  lose(path: AheadPath): void {
    this.#unconfirmed.lose(path)
    this.#early = this.#early.filter((each) => each.path !== path) // nobody saw it
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
    return this.#own.status
  }

  /** Writes what was changed until now, and resolves when it is as durable as the store promises. @throws STORE_ codes */
  flush(): Promise<void> {
    return this.#own.flush()
  }

  /** Another device has our log up to this length. */
  synced(length: number): void {
    this.#own.synced(length)
  }

  /** The document closes: what was shown here, and no log holds, goes into ours. Never rejects: when it fails, it may still come. */
  async settle(): Promise<void> {
    this.#isSettled = true
    await this.#own.quote(this.#unconfirmed.all()).catch(() => {}) // its own log may still bring it
  }

  /** Keeps a document of the application's the same as this one. @returns how to stop */
  bind(other: D, binding: Binding<D>): () => void {
    return this.#engine.bind(this.doc, other, binding)
  }

  /** Tells a bound document's observers that it is what is stored. */
  tellLoaded(other: D): void {
    this.#engine.loaded(other)
  }

  /** The document is gone from memory afterwards. What is unsaved must be flushed before. */
  close(): void {
    this.#isClosed = true
    this.#endRound?.()
    this.#own.close()
    this.#unobserve()
    this.events.removeAllListeners()
    this.#engine.destroy(this.doc)
  }

  async #save(): Promise<void> {
    if (isWorthIt(this.#share)) await this.#compact()
    await this.#rereading
    const covered = await this.#coveredLogs()
    // A row would say that the logs hold what is unconfirmed, and that it has what was held back.
    this.#isSaveDue = this.#unconfirmed.size > 0
    if (!this.#isDirty || this.#isSaveDue || this.#missing.size > 0) return
    this.#isDirty = false
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
    await this.#own.alone((next) => this.#writeSnapshot(next)).catch(() => {}) // the updates stand as they are
  }

  /** @returns the number behind it */
  async #writeSnapshot(first: number): Promise<number> {
    const view = await this.#parts.union.view({ wait: false })
    const updates = this.#read(view, await readAll(view, this.#keys.range, { wait: false }))
    const compaction = compactionOf(this.#engine, this.#keys, updates, first)
    if (compaction === null) return first
    const { operations, next, share } = compaction
    await this.#parts.queue.write(operations)
    this.#share = share
    this.#isDirty = true
    return next
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
    const isUnsynced = ({ seq }: TreeEntry) => seq >= remoteContiguousLength
    const unsynced = await readBack(part, range, isUnsynced, { wait: false }, MAX_COUNTED)
    this.#own.begin(
      (parseUpdateKey(last.key)?.number ?? -1) + 1,
      unsynced.map(({ seq }) => seq + 1)
    )
  }

  #read(view: View, entries: readonly CoreEntry[]): readonly Update[] {
    const { id } = this
    const { refusals, codec } = this.#parts
    return readUpdates({ view, refusals, engine: this.#engine.code, id, codec }, entries)
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

  /** What had stood on what is here now. */
  #hearEarly(): void {
    for (let before = Infinity; this.#early.length > 0 && this.#early.length < before;) {
      const early = this.#early
      before = early.length
      this.#early = []
      for (const { ahead, path } of early) this.hear(ahead, path) // one may stand on one behind it
    }
  }

  /** Some time later, what no log has confirmed by then is quoted in ours. */
  #waitForLog(): void {
    if (this.#endRound !== null || this.#isClosed) return
    const turn = ((this.#parts.own.core.key[0] ?? 0) / 256) * ROUND_MS
    this.#endRound = this.#parts.timers.after(ROUND_MS + turn, () => {
      this.#endRound = null
      const due = this.#unconfirmed.wait()
      if (due.length > 0) this.#own.quote(due).catch(() => {}) // tried again after the next round
      if (this.#unconfirmed.size > 0) this.#waitForLog()
    })
  }

  #wrote({ entries, bytes, quoted }: OwnWritten): void {
    this.#unconfirmed.remove(quoted)
    this.#share = {
      entries: this.#share.entries + entries,
      bytes: this.#share.bytes + bytes,
      snapshot: this.#share.snapshot
    }
    this.#isDirty = true
    this.#changes += 1
    if (this.#changes >= CHANGES_PER_SAVE) void this.save()
  }
}

/** Before a document is loaded, everything is. */
const EARLY = { outcome: 'early', thrown: undefined } as const

function addTo(share: OwnShare, updates: readonly Update[]): OwnShare {
  const own = updates.filter(isOurs)
  const sizes = (kind: UpdateKind) =>
    own.filter((each) => each.kind === kind).reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
  return {
    entries: own.reduce((sum, { first, number }) => sum + number - first + 1, share.entries),
    bytes: share.bytes + sizes('update'),
    snapshot: Math.max(share.snapshot, sizes('snapshot'))
  }
}

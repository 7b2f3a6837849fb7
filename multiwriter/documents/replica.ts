/**
 * One open document in memory, whoever holds it: the live document, and how far the logs are brought in. What is changed in it goes
 * out by own-updates.ts. What others send ahead of their logs is shown at once, and remembered until a log confirms it.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import {
  Authors,
  contentOf,
  Minutes,
  neededBy,
  type Author,
  type Authored,
  type Binding,
  type Counted,
  type DocumentEngine,
  type EngineDoc,
  type Missing,
  type Source,
  type Spans,
  type Statement,
  type UpdateKind
} from '../../crdt/index.ts'
import type { Stamp } from '../../clock/index.ts'
import { invalid, ManyhandsError } from '../../errors.ts'
import type { ReadOptions, TreeEntry } from '../../core/index.ts'
import type { PresenceRefusalReason } from '../presence/counts.ts'
import type { CoreEntry, View } from '../view.ts'
import type { AheadUpdate } from './ahead.ts'
import { authorship, type AuthoredRun } from './authorship.ts'
import type { CachedDocument, Covered, OwnShare } from './cache.ts'
import { compactionOf, isWorthIt } from './compaction.ts'
import { DocumentReader, type Everything, type Filled } from './document-reader.ts'
import { parseUpdateKey } from './keys.ts'
import { OwnUpdates, type DocumentStatus, type OwnWritten } from './own-updates.ts'
import type { DocumentParts } from './parts.ts'
import { readBack, readSince } from './read.ts'
import type { Seals } from './seals.ts'
import { OwnSources } from './sources.ts'
import { UnconfirmedList, type AheadPath } from './unconfirmed.ts'
import { isOfOtherEngine, isOurs, type Update } from './updates.ts'

export interface ReplicaEvents {
  status: [DocumentStatus]
  /** Changes could not be written (they are tried again with the next ones), or an observer of the document threw. */
  error: [unknown]
  /** This was taken out of what is shown, as it lies past a seal: nothing brings it back, no undo either. */
  seal: [Spans]
  /** `doc` is another one from now on: what is shown had to be made anew. */
  reload: []
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

const HERE: ReadOptions = { wait: false }

/** An update that stands on what is not here yet. */
interface Early {
  readonly ahead: AheadUpdate
  readonly path: AheadPath
}

export class Replica<D extends EngineDoc> {
  readonly id: string
  readonly events = new EventEmitter<ReplicaEvents>()
  readonly #parts: DocumentParts<D>
  readonly #engine: DocumentEngine<D>
  readonly #reader: DocumentReader<D>
  readonly #own: OwnUpdates
  readonly #ownSources: OwnSources
  readonly #unconfirmed = new UnconfirmedList()
  #doc: D
  #unobserve: () => void
  /** Documents of the application's that are kept the same, and how to end that. */
  readonly #bound = new Map<D, () => void>()
  /** Whose what is in it is. */
  #authors = new Authors()
  #seals: Seals | null = null
  /** What lies past seals. */
  #past: readonly Update[] = []
  /** What was quoted, and counts. Null when it is not known: the document comes from the cache. */
  #quotes: readonly Update[] | null = []
  /** Two writers brought one source: all is to be judged together. */
  #isContested = false
  /** Seals have moved, or more than that: `due` says what is to be done about it. */
  #due: 'nothing' | 'seals' | 'remake' = 'nothing'
  #tidying: Promise<void> | null = null
  /** What arrives while the document is made of what was there waits. */
  #later: (() => void)[] | null = []
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
  /** What came since then. */
  readonly #arrived = new Set<string>()
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
    this.#reader = new DocumentReader(id, parts, engine)
    this.#ownSources = new OwnSources(engine, this.#reader.sources, parts.own.core.key)
    this.#own = new OwnUpdates(id, parts, engine, this.#reader.keys, {
      stateOf: (update) => this.#ownSources.stateOf(update, this.#authors),
      ground: (updates) => this.#unconfirmed.ground(engine, updates),
      onwritten: (written) => this.#wrote(written),
      onstatus: () => this.events.emit('status', this.status),
      onerror: (error) => this.events.emit('error', error)
    })
    this.#doc = engine.create(id)
    this.#unobserve = this.#observe(this.#doc)
  }

  get doc(): D {
    return this.#doc
  }

  /** Brings in what the logs hold. @throws BLOCK_UNAVAILABLE, only from sparse logs */
  async load(options: ReadOptions): Promise<void> {
    const view = await this.#parts.union.view(options)
    const updates =
      (await this.#loadFromCache(view, options)) ?? (await this.#loadFromLogs(view, options))
    this.#noteWriters(updates)
    this.#share = addTo(this.#share, updates)
    this.#coverAll(view)
    await this.#findOwn(view)
    this.#isDirty = updates.length > 0
    this.#isLoaded = true
    this.#engine.writeAs(this.#doc, this.newSource())
    this.#catchUp()
    this.#hearEarly()
    this.#engine.loaded(this.#doc)
  }

  /** Brings in what has arrived. */
  receive(view: View, entries: readonly CoreEntry[]): void {
    this.#whenMade(() => this.#receive(view, entries))
  }

  /** Brings in what somebody says that its log will hold. @returns why not, if no honest device says so */
  hear(ahead: AheadUpdate, path: AheadPath): PresenceRefusalReason | null {
    if (ahead.engine !== this.#engine.code || this.#isSettled) return null
    const authored = this.#reader.authored(ahead, NO_TIME)
    if (authored === null) return 'malformed'
    if (!this.#isLoaded) return this.#hearLater(ahead, path)
    const bytes = this.#authors.judge(this.#engine, authored)
    if (bytes === 'contested') return null // its log tells
    if (bytes === 'forged') return bytes
    const { outcome, thrown } = this.#engine.take(this.#doc, bytes, this)
    this.#keepSources()
    if (thrown !== undefined) this.events.emit('error', thrown) // an observer's: the update is in
    switch (outcome) {
      case 'done':
        this.#unconfirmed.add(ahead, path, this.#engine.brings(bytes))
        this.#writers.add(z32.encode(ahead.core))
        this.#waitForLog()
        return null
      case 'early':
        return this.#hearLater(ahead, path)
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
    this.#whenMade(() => {
      for (const [writer, length] of lengths) {
        this.#covered.set(writer, Math.max(length, this.#covered.get(writer) ?? 0))
      }
      this.#arrived.clear()
    })
  }

  /** Seals have moved, or there is more or less behind them. */
  reseal(): void {
    this.#whenMade(() => this.#tidy('seals'))
  }

  /** Whose each stretch of a text is. @throws INVALID_ARGUMENT */
  authorship(of: unknown, from: number, to: number): readonly AuthoredRun[] {
    const runs = this.#engine.runs(this.#doc, of, from, to)
    if (runs === null) return invalid('of', 'the name of a text in the document', of)
    return authorship(runs, this.#authors, (source) => this.#authorHere(source))
  }

  /** One more source of this device's: what is written under it, in a copy that is bound to this document, is proved to be ours. */
  newSource(): Source {
    return this.#ownSources.draw((source) => this.#authors.of(source) !== null)
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

  /** This device may write again. */
  retry(): void {
    this.#own.retry()
  }

  /** The same for who closes: what this device may not write does not stand in the way. @throws STORE_ codes */
  flushIfAllowed(): Promise<void> {
    return this.#own.flushIfAllowed()
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

  /**
   * Keeps a document of the application's the same as this one, until `doc` is another.
   * @param session that the document writes under already @returns how to stop
   */
  bind(other: D, binding: Binding<D>, session?: number): () => void {
    if (session !== undefined) this.#ownSources.take(session)
    const unbind = this.#engine.bind(this.#doc, other, binding)
    const stop = () => {
      unbind()
      this.#bound.delete(other)
    }
    this.#bound.set(other, stop)
    this.#keepSources()
    return stop
  }

  /** Tells a bound document's observers that it is what is stored. */
  tellLoaded(other: D): void {
    this.#engine.loaded(other)
  }

  /** The document is gone from memory afterwards. What is unsaved must be flushed before, or is gone with it. */
  close(): void {
    this.#isClosed = true
    this.#endRound?.()
    this.#own.close()
    this.#unobserve()
    this.events.removeAllListeners()
    this.#engine.destroy(this.#doc)
  }

  #observe(doc: D): () => void {
    return this.#engine.observe(doc, this, {
      onupdate: (update) => this.#own.add(update),
      onsubdoc: (subdoc) => this.#parts.onsubdoc(subdoc)
    })
  }

  /** @returns what the cached document lacked; null when there is none to go on from */
  async #loadFromCache(view: View, options: ReadOptions): Promise<readonly Update[] | null> {
    const cached = await this.#parts.cache.get(this.id)
    const seals = await this.#reader.seals(view)
    if (cached === null || !(await this.#isTrue(cached, view, seals))) return null
    const entries = await this.#entriesSince(view, cached, options)
    if (entries === null) return null
    const updates = this.#reader.updatesIn(view, entries)
    this.#authors = cached.authors
    this.#seals = seals
    this.#past = this.#reader.behind(view, seals)
    if (this.#past.some((update) => seals.isHearsay(update))) return null
    this.#quotes = cached.hasQuotes ? null : []
    const counted = this.#judge(updates)
    if (this.#isContested) return null
    this.#engine.apply(this.#doc, [cached.state], this)
    this.#share = cached.own
    for (const { core } of cached.covered) this.#writers.add(z32.encode(core))
    this.#bringIn(counted)
    return updates
  }

  /** @returns all updates */
  async #loadFromLogs(view: View, options: ReadOptions): Promise<readonly Update[]> {
    const all = await this.#reader.everything(view, options)
    if (all.admitted.length === 0) this.#checkEngine(view, all.entries)
    this.#share = NOTHING
    this.#adopt(all, this.#reader.fill(this.#doc, all, this))
    return all.admitted
  }

  /** A document that there is must not look empty, and then be two. @throws DOCUMENT_ENGINE */
  #checkEngine(view: View, entries: readonly CoreEntry[]): void {
    const { name, code } = this.#engine
    if (!isOfOtherEngine({ view, engine: code }, entries)) return
    throw new ManyhandsError('DOCUMENT_ENGINE', `"${this.id}" is no document of ${name}`)
  }

  /** What is known of a document that was made of all that there is. */
  #adopt({ admitted, past, seals }: Everything, { authors, missing, thrown }: Filled): void {
    this.#authors = authors
    this.#seals = seals
    this.#past = past
    this.#quotes = admitted.filter(({ kind }) => kind === 'quote')
    this.#isContested = false
    this.#missing.clear()
    this.#miss(missing)
    if (thrown !== undefined) this.events.emit('error', thrown) // an observer's: the updates are in
  }

  #whenMade(task: () => void): void {
    if (this.#later === null) task()
    else this.#later.push(task)
  }

  #catchUp(): void {
    const tasks = this.#later ?? []
    this.#later = null
    for (const task of tasks) task()
  }

  #receive(view: View, entries: readonly CoreEntry[]): void {
    const updates = this.#reader
      .updatesIn(view, entries)
      .filter(({ part, last }) => !part.isOwn || last >= this.#own.next)
    this.#countAgain(updates)
    const counted = this.#judge(updates)
    const news = new Set(this.#unconfirmed.confirm(updates))
    this.#bringIn(counted.filter(({ update }) => news.has(update)))
    if (this.#isContested || this.#due !== 'nothing') this.#tidy('remake')
    this.#readHeld()
    this.#hearEarly()
    this.#noteWriters(updates)
    this.#changes += updates.length
    this.#isDirty ||= updates.length > 0
    if (this.#changes >= CHANGES_PER_SAVE || (this.#isSaveDue && this.#unconfirmed.size === 0))
      void this.save()
  }

  /** What arrives is no longer past a seal, even if seals are not followed yet. */
  #countAgain(updates: readonly Update[]): void {
    for (const update of updates) this.#arrived.add(placeOf(update))
    if (this.#past.length > 0)
      this.#past = this.#past.filter((update) => !this.#arrived.has(placeOf(update)))
  }

  /** What of each update counts, one by one. */
  #judge(updates: readonly Update[]): readonly Counted<Update>[] {
    return updates.flatMap((update) => {
      if (this.#seals?.isPast(update) === true) {
        this.#past = [...this.#past, update]
        return []
      }
      if (update.kind === 'quote') this.#quotes = this.#quotes && [...this.#quotes, update]
      const bytes = this.#authors.judge(this.#engine, update)
      if (bytes === 'forged') this.#reader.refuse(update, 'document-author-forged')
      const isUndisputed = bytes !== 'contested' && this.#engine.agrees(this.#doc, update.bytes)
      this.#isContested ||= !isUndisputed || this.#isKnownByHearsay(update)
      return typeof bytes === 'string' || !isUndisputed ? [] : [{ update, bytes }]
    })
  }

  /** Whether it may have been struck, as nobody whose log counts had said it. */
  #isKnownByHearsay(update: Update): boolean {
    const hearsay = this.#past.filter((each) => this.#seals?.isHearsay(each) === true)
    if (hearsay.length === 0) return false
    const heard = this.#reader.spansOf(hearsay)
    return [...this.#reader.spansOf([update])].some((span) => {
      const rest = heard.without(span)
      return rest.length !== 1 || rest[0]?.start !== span.start || rest[0].end !== span.end
    })
  }

  /** Brings in what counts, with what of the past it stands on. */
  #bringIn(counted: readonly Counted<Update>[]): void {
    if (counted.length === 0) return
    const bytes = counted.map((each) => each.bytes)
    const needed = neededBy(this.#engine, bytes, this.#past)
    const { missing, thrown } = this.#reader.apply(this.#doc, [...counted, ...needed], this)
    this.#miss(missing)
    this.#keepSources()
    if (thrown !== undefined) this.events.emit('error', thrown) // an observer's: the updates are in
    if (needed.some(({ update }) => update.kind === 'snapshot')) this.#tidy('remake')
    else if (needed.length > 0) this.#strike(needed)
  }

  /** A library may have changed what a document writes as. */
  #keepSources(): void {
    for (const doc of [this.#doc, ...this.#bound.keys()])
      if (this.#ownSources.sessionOf(this.#engine.writesAs(doc)) === null)
        this.#engine.writeAs(doc, this.newSource())
  }

  /** Takes out what lies past seals; from the application's documents, too, and from what an undo may bring back. */
  #strike(past: readonly Counted<Update | Authored>[]): void {
    const struck = this.#reader.spansOf(past.map(({ update }) => update))
    if (!this.#reader.strike(this.#doc, struck, past)) return
    for (const other of this.#bound.keys()) this.#engine.strike(other, struck)
    this.events.emit('seal', struck)
  }

  /** One after the other: each looks at what there is by then. */
  #tidy(due: 'seals' | 'remake'): void {
    this.#due = due === 'remake' || this.#due === 'remake' ? 'remake' : 'seals'
    this.#tidying ??= this.#tidyAll()
  }

  /** Never rejects: what fails is tried again when something arrives. */
  async #tidyAll(): Promise<void> {
    try {
      while (this.#due !== 'nothing' && !this.#isClosed) {
        const isDone = this.#due === 'seals' && (await this.#strikeNew())
        // What came due meanwhile is looked at again.
        if (!isDone) await this.#own.alone((next) => this.#remake(next))
      }
    } catch {
      this.#due = 'remake'
    }
    // In the turn of the last look: what comes due any later must not wait for this.
    this.#tidying = null
  }

  /** Follows seals that count less than before, where that is to strike, and no more. @returns whether it is done */
  async #strikeNew(): Promise<boolean> {
    this.#due = 'nothing'
    const view = await this.#parts.union.view(HERE)
    const seals = await this.#reader.seals(view)
    const known = new Set(this.#past.map(placeOf))
    const quotes = [...(this.#quotes ?? []), ...this.#past.filter(({ kind }) => kind === 'quote')]
    const past = [
      ...this.#reader.behind(view, seals),
      ...quotes.filter((update) => seals.isPast(update))
    ]
    const shown = past.filter((update) => !known.has(placeOf(update)) && this.#isIn(update))
    if (!this.#canStrike(seals, past, shown)) return false
    this.#seals = seals
    this.#past = past
    this.#quotes = this.#quotes && quotes.filter((update) => !seals.isPast(update))
    for (const { writer, tree } of view.parts) {
      const covered = this.#covered.get(writer) ?? 0
      this.#covered.set(writer, Math.min(covered, tree.length))
    }
    this.#isDirty = true
    if (shown.length > 0) this.#strike(shown.map((update) => ({ update, bytes: update.bytes })))
    return true
  }

  #canStrike(seals: Seals, past: readonly Update[], shown: readonly Update[]): boolean {
    const isKnown = this.#quotes !== null && !this.#isContested && !this.#engine.waits(this.#doc)
    const isPast = ({ ahead }: { readonly ahead: AheadUpdate }) =>
      seals.isPast({ ...ahead, kind: 'quote' })
    const counts = (update: Update) => seals.isHearsay(update)
    if (!isKnown || !seals.isWithin(this.#seals?.list ?? [])) return false
    if ([...this.#past, ...past].some(counts) || this.#unconfirmed.all().some(isPast)) return false
    const struck = this.#reader.spansOf(past)
    return shown.every(
      ({ kind, bytes }) => kind !== 'snapshot' && this.#engine.canStrike(bytes, struck)
    )
  }

  /** Whether the document may have an update. What we write ourselves is in it first. */
  #isIn(update: Update): boolean {
    const { part, kind, seq } = update
    const isCovered = seq < (this.#covered.get(part.writer) ?? 0)
    return kind === 'quote' || part.isOwn || isCovered || this.#arrived.has(placeOf(update))
  }

  /** Makes the document anew; where it shows something else, it takes the old one's place. @returns `next`: nothing was written */
  async #remake(next: number): Promise<number> {
    this.#due = 'nothing'
    this.#later ??= []
    try {
      const view = await this.#parts.union.view(HERE)
      const all = await this.#reader.everything(view, HERE)
      if (this.#isClosed) return next
      this.#replace(all)
      this.#coverAll(view)
      return next
    } finally {
      this.#catchUp()
    }
  }

  #replace(all: Everything): void {
    const ahead = this.#unconfirmed
      .all()
      .flatMap(({ ahead }) => this.#reader.authored(ahead, NO_TIME) ?? [])
    const unwritten = {
      admitted: ahead.filter((update) => !all.seals.isPast(update)),
      past: ahead.filter((update) => all.seals.isPast(update)),
      ours: this.#own.unwritten
    }
    const doc = this.#engine.create(this.id)
    const unobserve = this.#observe(doc)
    this.#adopt(all, this.#reader.fill(doc, all, this, unwritten))
    this.#isDirty = true
    if (this.#comesToShow(doc)) {
      unobserve()
      return this.#engine.destroy(doc)
    }
    const old = this.#doc
    this.#unobserve()
    for (const stop of this.#bound.values()) stop()
    this.#doc = doc
    this.#unobserve = unobserve
    this.#engine.writeAs(doc, this.newSource())
    this.#engine.loaded(doc)
    this.events.emit('reload')
    this.#engine.destroy(old)
  }

  /** Whether the document lacks nothing but what another one can bring. */
  #comesToShow(other: D): boolean {
    if (this.#engine.isSame(other, this.#doc)) return true
    const { thrown } = this.#engine.apply(this.#doc, [this.#engine.state(other)], this)
    if (thrown !== undefined) this.events.emit('error', thrown) // an observer's
    return this.#engine.isSame(other, this.#doc)
  }

  async #save(): Promise<void> {
    if (isWorthIt(this.#share, this.#own.next)) await this.#compact()
    await this.#rereading
    await this.#tidying
    const covered = await this.#coveredLogs()
    // A row would say that the logs hold what is unconfirmed or refused, and that it has what was held back.
    this.#isSaveDue = this.#unconfirmed.size > 0
    const isWhole = this.#missing.size === 0 && !this.#isContested && this.#later === null
    if (!this.#isDirty || this.#isSaveDue || !isWhole || this.#own.isRefused) return
    this.#isDirty = false
    await this.#parts.cache.put(this.id, {
      engine: this.#engine.code,
      own: this.#share,
      covered,
      seals: this.#seals?.list ?? [],
      hasQuotes: this.#quotes === null || this.#quotes.length + this.#past.length > 0,
      authors: this.#authors,
      state: this.#engine.state(this.#doc)
    })
  }

  /** Lengths are read before the state is: it may hold more than they say, never less. */
  async #coveredLogs(): Promise<readonly Covered[]> {
    const { union, own } = this.#parts
    const covered: Covered[] = []
    for (const log of union.logs()) {
      const length = this.#covered.get(log.id) ?? 0
      const isOurs = b4a.equals(log.key, own.core.key)
      if (length === 0 || !(isOurs || this.#writers.has(log.id))) continue
      const treeHash = await log.treeHash(length, HERE)
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
    if (this.#own.isRefused) return first // those have their numbers
    const view = await this.#parts.union.view(HERE)
    const { admitted, past } = await this.#reader.everything(view, HERE)
    const { updates, needed } = contentOf(this.#engine, admitted, past)
    const compaction = compactionOf(this.#engine, this.#reader.keys, [...updates, ...needed], first)
    if (compaction === null) return first
    const { operations, next, share } = compaction
    await this.#parts.queue.write(operations)
    this.#share = share
    this.#isDirty = true
    return next
  }

  /** Whether each log is still what it was when a row was made. */
  async #isTrue(cached: CachedDocument, view: View, seals: Seals): Promise<boolean> {
    if (cached.engine !== this.#engine.code || !seals.have(cached.seals)) return false
    for (const { core, length, treeHash } of cached.covered) {
      const log = this.#parts.union.log(core)
      if (log === null || view.admitted(core) < length) return false
      const now = await log.treeHash(length, HERE).catch(() => null)
      if (now === null || !b4a.equals(now, treeHash)) return false
    }
    return true
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
        return before === undefined ? [] : readSince(part, before, this.#reader.keys.range, options)
      })
      return (await Promise.all(parts)).flat()
    } catch {
      return null // a bad tree, or a cleared one: reading all of it says what is to be said
    }
  }

  /** Our last number, and what of ours nobody else has: of earlier sessions, too. */
  async #findOwn(view: View): Promise<void> {
    const counted = view.parts.find(({ isOwn }) => isOwn)
    if (counted === undefined) return
    const { core, tree } = this.#parts.own
    const { remoteContiguousLength } = core
    const part = { ...counted, tree: tree.snapshot() } // sealed or not: numbers are never used again
    const { range } = this.#reader.keys
    const [last] = await readBack(part, range, () => true, HERE, 1)
    if (last === undefined) return
    const isUnsynced = ({ seq }: TreeEntry) => seq >= remoteContiguousLength
    const unsynced = await readBack(part, range, isUnsynced, HERE, MAX_COUNTED)
    this.#own.begin(
      (parseUpdateKey(last.key)?.number ?? -1) + 1,
      unsynced.map(({ seq }) => seq + 1)
    )
  }

  #noteWriters(updates: readonly Update[]): void {
    for (const { part } of updates) this.#writers.add(part.writer)
  }

  #coverAll(view: View): void {
    for (const { writer, tree } of view.parts) this.#covered.set(writer, tree.length)
  }

  #miss(missing: Missing): void {
    for (const [source, place] of missing) {
      if (this.#missing.size >= MAX_MISSING) return
      this.#missing.set(source, Math.min(place, this.#missing.get(source) ?? Infinity))
    }
  }

  /** What was held back stands in the logs: it is read again when something that it stands on is here. */
  #readHeld(): void {
    if (this.#rereading !== null || !this.#engine.isDue(this.#doc, this.#missing)) return
    this.#rereading = this.#readAgain()
      .catch(() => {}) // the next arrival tries again
      .finally(() => (this.#rereading = null))
  }

  async #readAgain(): Promise<void> {
    const view = await this.#parts.union.view(HERE)
    const { admitted } = await this.#reader.everything(view, HERE)
    if (this.#isClosed) return
    this.#missing.clear()
    this.#bringIn(this.#judge(admitted))
  }

  /** Before its time, it is kept for later. */
  #hearLater(ahead: AheadUpdate, path: AheadPath): null {
    if (this.#early.length === MAX_EARLY) this.#early.shift()
    this.#early.push({ ahead, path })
    return null
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

  #wrote({ entries, bytes, statements, stamp, quoted }: OwnWritten): void {
    this.#unconfirmed.remove(quoted)
    for (const statement of statements) this.#noteOwn(statement, stamp ?? NO_TIME)
    this.#share = {
      entries: this.#share.entries + entries,
      bytes: this.#share.bytes + bytes,
      snapshot: this.#share.snapshot
    }
    this.#isDirty = true
    this.#changes += 1
    if (this.#changes >= CHANGES_PER_SAVE) void this.save()
  }

  /** What we bring is in already; but somebody else may bring it, too. */
  #noteOwn({ sessions, isImport, update }: Statement, stamp: Stamp): void {
    const { core } = this.#parts.own
    const verdict = this.#authors.judge(this.#engine, {
      core: core.key,
      number: this.#own.next,
      stamp,
      derived: this.#reader.sources.derived(core.key, sessions),
      isImport,
      kind: 'update',
      minutes: new Minutes(),
      bytes: update
    })
    if (verdict === 'contested') this.#tidy('remake')
  }

  /** Who wrote what no log says yet. */
  #authorHere(source: Source): Author | null {
    const { key } = this.#parts.own.core
    const session = this.#ownSources.sessionOf(source)
    return session === null ? null : { core: key, session }
  }
}

/** Of what goes ahead of its log, its log tells when it was written. */
const NO_TIME: Stamp = { ms: 0, counter: 0, tag: new Uint8Array(8) }

function placeOf({ part, first, seq }: Update): string {
  return `${part.writer} ${first} ${seq}`
}

function addTo(share: OwnShare, updates: readonly Update[]): OwnShare {
  const own = updates.filter(isOurs)
  const sizes = (kind: UpdateKind) =>
    own
      .filter((each) => each.kind === kind)
      .reduce((sum, { statement }) => sum + statement.byteLength, 0)
  return {
    entries: own.reduce((sum, { first, last }) => sum + last - first + 1, share.entries),
    bytes: share.bytes + sizes('update'),
    snapshot: Math.max(share.snapshot, sizes('snapshot'))
  }
}

/**
 * One open document in memory, whoever holds it: the live document, and how far the logs are brought in. What is changed in it goes
 * out by own-updates.ts. What others send ahead of their logs is shown at once, and remembered until a log confirms it.
 */
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import type {
  Author,
  Authored,
  Binding,
  Counted,
  DocumentEngine,
  EngineDoc,
  Missing,
  Source,
  Spans
} from '../../crdt/index.ts'
import type { Stamp } from '../../clock/index.ts'
import { invalid, ManyhandsError } from '../../errors.ts'
import type { ReadOptions, TreeEntry } from '../../core/index.ts'
import type { PresenceRefusalReason } from '../presence/counts.ts'
import type { CoreEntry, View } from '../view.ts'
import type { AheadUpdate } from './ahead.ts'
import { authorship, type AuthoredRun } from './authorship.ts'
import { Coverage } from './coverage.ts'
import { DocumentReader, type Everything, type Filled } from './document-reader.ts'
import { Judgement } from './judgement.ts'
import { Keeper } from './keeper.ts'
import { parseUpdateKey } from './keys.ts'
import { OwnUpdates, type DocumentStatus, type OwnWritten } from './own-updates.ts'
import type { DocumentParts } from './parts.ts'
import { readBack } from './read.ts'
import { OwnSources } from './sources.ts'
import { UnconfirmedList, type AheadPath } from './unconfirmed.ts'
import { isOfOtherEngine, type Update } from './updates.ts'

export interface ReplicaEvents {
  status: [DocumentStatus]
  /** Changes could not be written (they are tried again with the next ones), or an observer of the document threw. */
  error: [unknown]
  /** This was taken out of what is shown, as it lies past a seal: nothing brings it back, no undo either. */
  seal: [Spans]
  /** `doc` is another one from now on: what is shown had to be made anew. */
  reload: []
}

/** What of earlier sessions nobody has is counted no further. */
const MAX_COUNTED = 1000

/** What is sent ahead waits for what it stands on, for so many keystrokes of a fast typist. */
const MAX_EARLY = 64

/** How often it is looked for what no log confirms. Devices take turns, so that mostly one quotes it for all. */
const ROUND_MS = 1000

/** Sources whose updates are waited for: an honest document has one per device and session. */
const MAX_MISSING = 10_000

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
  readonly #coverage = new Coverage()
  readonly #judgement: Judgement<D>
  readonly #keeper: Keeper<D>
  #doc: D
  #unobserve: () => void
  /** Documents of the application's that are kept the same, and how to end that. */
  readonly #bound = new Map<D, () => void>()
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
  /** What updates stand on that were held back. */
  #missing = new Map<Source, number>()
  #rereading: Promise<void> | null = null

  constructor(id: string, parts: DocumentParts<D>, engine: DocumentEngine<D>) {
    this.id = id
    this.#parts = parts
    this.#engine = engine
    this.#reader = new DocumentReader(id, parts, engine)
    this.#ownSources = new OwnSources(engine, this.#reader.sources, parts.own.core.key)
    this.#judgement = new Judgement(this.#reader, engine)
    this.#own = new OwnUpdates(id, parts, engine, this.#reader.keys, {
      stateOf: (update) => this.#ownSources.stateOf(update, this.#judgement.authors),
      ground: (updates) => this.#unconfirmed.ground(engine, updates),
      onwritten: (written) => this.#wrote(written),
      onstatus: () => this.events.emit('status', this.status),
      onerror: (error) => this.events.emit('error', error)
    })
    this.#keeper = new Keeper(id, parts, engine, this.#reader, {
      coverage: this.#coverage,
      judgement: this.#judgement,
      own: this.#own,
      kept: {
        state: () => engine.state(this.#doc),
        settle: () => this.#settleChanges(),
        isAhead: () => this.#unconfirmed.size > 0,
        isWhole: () =>
          this.#missing.size === 0 && !this.#judgement.isContested && this.#later === null
      }
    })
    this.#doc = engine.create(id)
    this.#unobserve = this.#observe(this.#doc)
  }

  get doc(): D {
    return this.#doc
  }

  /** How all keys of its updates begin. */
  get prefix(): Uint8Array {
    return this.#reader.keys.prefix
  }

  /** Brings in what the logs hold. @throws BLOCK_UNAVAILABLE, only from sparse logs */
  async load(options: ReadOptions): Promise<void> {
    const view = await this.#parts.union.view(options)
    if (!(await this.#loadFromCache(view, options))) await this.#loadFromLogs(view, options)
    this.#coverage.follow(view)
    await this.#findOwn(view)
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
    if (this.#judgement.isPast(ahead)) return null // sealed since it came
    const bytes = this.#judgement.authors.judge(this.#engine, authored)
    if (bytes === 'contested') return null // its log tells
    if (bytes === 'forged') return bytes
    const { outcome, thrown } = this.#engine.take(this.#doc, bytes, this)
    this.#keepSources()
    if (thrown !== undefined) this.events.emit('error', thrown) // an observer's: the update is in
    switch (outcome) {
      case 'done':
        this.#unconfirmed.add(ahead, path, this.#engine.brings(bytes))
        this.#coverage.noteWriter(z32.encode(ahead.core))
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
    this.#whenMade(() => this.#coverage.raise(lengths))
  }

  /** Seals have moved, or there is more or less behind them. */
  reseal(): void {
    this.#whenMade(() => this.#tidy('seals'))
  }

  /** Whose each stretch of a text is. @throws INVALID_ARGUMENT */
  authorship(of: unknown, from: number, to: number): readonly AuthoredRun[] {
    const runs = this.#engine.runs(this.#doc, of, from, to)
    if (runs === null) return invalid('of', 'the name of a text in the document', of)
    return authorship(runs, this.#judgement.authors, (source) => this.#authorHere(source))
  }

  /** One more source of this device's: what is written under it, in a copy that is bound to this document, is proved to be ours. */
  newSource(): Source {
    return this.#ownSources.draw((source) => this.#judgement.authors.of(source) !== null)
  }

  /** @see Keeper.save */
  save(): Promise<void> {
    return this.#keeper.save()
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

  /** The same until there is nothing more. @throws STORE_ codes */
  flushAllIfAllowed(): Promise<void> {
    return this.#own.flushAllIfAllowed()
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

  /** @returns false when there is no cached document to go on from */
  async #loadFromCache(view: View, options: ReadOptions): Promise<boolean> {
    const found = await this.#keeper.find(view, options)
    if (found === null) return false
    const { cached, seals, entries } = found
    const updates = this.#reader.updatesIn(view, entries)
    if (!this.#judgement.resume(view, cached, { seals, updates })) return false
    const counted = this.#judgement.judge(this.#doc, updates)
    if (this.#judgement.isContested) return false
    this.#engine.apply(this.#doc, [cached.state], this)
    this.#keeper.begin(cached, updates)
    for (const { core } of cached.covered) this.#coverage.noteWriter(z32.encode(core))
    this.#noteWriters(updates)
    this.#bringIn(counted)
    return true
  }

  async #loadFromLogs(view: View, options: ReadOptions): Promise<void> {
    const all = await this.#reader.everything(view, options)
    if (all.admitted.length === 0) this.#checkEngine(view, all.entries)
    this.#adopt(all, this.#reader.fill(this.#doc, all, this))
    this.#keeper.begin(null, all.admitted)
    this.#noteWriters(all.admitted)
  }

  /** A document that there is must not look empty, and then be two. @throws DOCUMENT_ENGINE */
  #checkEngine(view: View, entries: readonly CoreEntry[]): void {
    const { name, code } = this.#engine
    if (!isOfOtherEngine({ view, engine: code }, entries)) return
    throw new ManyhandsError('DOCUMENT_ENGINE', `"${this.id}" is no document of ${name}`)
  }

  /** What is known of a document that was made of all that there is. */
  #adopt(all: Everything, { authors, missing, thrown }: Filled): void {
    this.#judgement.adopt(all, authors)
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
    this.#coverage.noteArrived(updates)
    this.#judgement.countAgain(this.#coverage)
    const counted = this.#judgement.judge(this.#doc, updates)
    const news = new Set(this.#unconfirmed.confirm(updates))
    this.#bringIn(counted.filter(({ update }) => news.has(update)))
    if (this.#judgement.isContested || this.#due !== 'nothing') this.#tidy('remake')
    this.#readHeld()
    this.#hearEarly()
    this.#noteWriters(updates)
    this.#keeper.noteArrived(updates)
  }

  /** Brings in what counts, with what of the past it stands on. */
  #bringIn(counted: readonly Counted<Update>[]): void {
    if (counted.length === 0) return
    const needed = this.#judgement.neededBy(counted)
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
    const quoted = this.#judgement.lacksQuotes ? await this.#reader.ownQuotes(view, HERE) : []
    const struck = this.#judgement.follow(view, seals, {
      doc: this.#doc,
      coverage: this.#coverage,
      unconfirmed: this.#unconfirmed.all(),
      quoted
    })
    if (struck === null) return false
    this.#coverage.lower(view)
    this.#keeper.noteChanged()
    if (struck.length > 0) this.#strike(struck.map((update) => ({ update, bytes: update.bytes })))
    return true
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
      this.#coverage.follow(view)
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
    this.#keeper.noteChanged()
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

  async #settleChanges(): Promise<void> {
    await this.#rereading
    await this.#tidying
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
    for (const { part } of updates) this.#coverage.noteWriter(part.writer)
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
    this.#bringIn(this.#judgement.judge(this.#doc, admitted))
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

  #wrote(written: OwnWritten): void {
    this.#unconfirmed.remove(written.quoted)
    this.#judgement.noteQuoted(written.quoted.length)
    const { core } = this.#parts.own
    const place = { core: core.key, number: this.#own.next, stamp: written.stamp ?? NO_TIME }
    for (const statement of written.statements)
      if (this.#judgement.noteOwn(place, statement)) this.#tidy('remake')
    this.#keeper.noteWritten(written)
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

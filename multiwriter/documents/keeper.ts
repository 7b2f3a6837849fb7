/**
 * What makes the next opening of a document fast and its share of our log small: its row in the cache, and the snapshot that takes
 * the place of our updates. Nothing is lost where that cannot be done: what fails here costs room and time.
 */
import b4a from 'b4a'
import z32 from 'z32'
import {
  contentOf,
  type DocumentEngine,
  type EngineDoc,
  type UpdateKind
} from '../../crdt/index.ts'
import type { ReadOptions } from '../../core/index.ts'
import type { CoreEntry, View } from '../view.ts'
import type { CachedDocument, Covered, OwnShare } from './cache.ts'
import { compactionOf, isWorthIt } from './compaction.ts'
import type { Coverage } from './coverage.ts'
import type { DocumentReader } from './document-reader.ts'
import type { Judgement } from './judgement.ts'
import type { OwnUpdates, OwnWritten } from './own-updates.ts'
import type { DocumentParts } from './parts.ts'
import { readSince } from './read.ts'
import type { Seals } from './seals.ts'
import { isOurs, type Update } from './updates.ts'

/** What is known of the document that is kept. */
export interface Kept {
  state(): Uint8Array
  /** Waits for what is being changed in it, other than by people. */
  settle(): Promise<void>
  /** Whether something is shown that no log holds yet. */
  isAhead(): boolean
  /** False while it lacks something of what its lengths cover. */
  isWhole(): boolean
}

/** A row, and what it lacks. */
interface Found {
  readonly cached: CachedDocument
  readonly seals: Seals
  readonly entries: readonly CoreEntry[]
}

const NOTHING: OwnShare = { entries: 0, bytes: 0, snapshot: 0 }

const HERE: ReadOptions = { wait: false }

type KeeperParts = Pick<DocumentParts<EngineDoc>, 'union' | 'own' | 'queue' | 'cache' | 'upkeep'>

export class Keeper<D extends EngineDoc> {
  readonly #id: string
  readonly #parts: KeeperParts
  readonly #engine: DocumentEngine<D>
  readonly #reader: DocumentReader<D>
  readonly #coverage: Coverage
  readonly #judgement: Judgement<D>
  readonly #own: OwnUpdates
  readonly #kept: Kept
  /** What our log holds of the document. */
  #share = NOTHING
  /** The document has more than its cached row. */
  #isDirty = false
  /** Since it was saved. */
  #changes = 0
  #saving: Promise<void> | null = null
  /** It could not be saved while something was unconfirmed. */
  #isDue = false

  constructor(
    id: string,
    parts: KeeperParts,
    engine: DocumentEngine<D>,
    reader: DocumentReader<D>,
    known: {
      readonly coverage: Coverage
      readonly judgement: Judgement<D>
      readonly own: OwnUpdates
      readonly kept: Kept
    }
  ) {
    this.#id = id
    this.#parts = parts
    this.#engine = engine
    this.#reader = reader
    this.#coverage = known.coverage
    this.#judgement = known.judgement
    this.#own = known.own
    this.#kept = known.kept
  }

  /** The row, if the logs are still what it was made of; null when there is none to go on from. */
  async find(view: View, options: ReadOptions): Promise<Found | null> {
    const cached = await this.#parts.cache.get(this.#id)
    const seals = await this.#reader.seals(view)
    if (cached === null || !(await this.#isTrue(cached, view, seals))) return null
    const entries = await this.#entriesSince(view, cached, options)
    return entries === null ? null : { cached, seals, entries }
  }

  /** The document is open. @param cached what it was made of, if not of the logs alone */
  begin(cached: CachedDocument | null, updates: readonly Update[]): void {
    this.#share = addTo(cached?.own ?? NOTHING, updates)
    this.#isDirty = updates.length > 0
  }

  noteArrived(updates: readonly Update[]): void {
    this.#isDirty ||= updates.length > 0
    const isDue = this.#isDue && !this.#kept.isAhead()
    this.#note(updates.length, isDue)
  }

  noteWritten({ entries, bytes }: OwnWritten): void {
    const { entries: before, bytes: bytesBefore, snapshot } = this.#share
    this.#share = { entries: before + entries, bytes: bytesBefore + bytes, snapshot }
    this.#isDirty = true
    this.#note(1, false)
  }

  /** The document shows something else. */
  noteChanged(): void {
    this.#isDirty = true
  }

  /** Call when nothing is unsaved. Never rejects. */
  async save(): Promise<void> {
    this.#changes = 0
    this.#saving ??= this.#save()
      .catch(() => {}) // as said above
      .finally(() => (this.#saving = null))
    await this.#saving
  }

  #note(changes: number, isDue: boolean): void {
    this.#changes += changes
    if (isDue || this.#changes >= this.#parts.upkeep.changesPerSave) void this.save()
  }

  async #save(): Promise<void> {
    if (isWorthIt(this.#share, this.#own.next, this.#parts.upkeep)) await this.#compact()
    await this.#kept.settle()
    await this.#own.alone((next) => this.#saveRow().then(() => next))
  }

  /** Who types on gets none this time: the changes until the next are no more. */
  async #saveRow(): Promise<void> {
    const covered = await this.#coveredLogs()
    // A row would say that the logs hold what is unconfirmed or not written, and that it has what was held back.
    this.#isDue = this.#kept.isAhead()
    const isStored = !this.#isDue && this.#own.status.unsaved === 0
    if (!this.#isDirty || !isStored || !this.#kept.isWhole()) return
    this.#isDirty = false
    await this.#parts.cache.put(this.#id, {
      engine: this.#engine.code,
      own: this.#share,
      covered,
      seals: this.#judgement.seals,
      hasQuotes: this.#judgement.hasQuotes,
      authors: this.#judgement.authors,
      state: this.#kept.state()
    })
  }

  /** Lengths are read before the state is: it may hold more than they say, never less. */
  async #coveredLogs(): Promise<readonly Covered[]> {
    const { union, own } = this.#parts
    const covered: Covered[] = []
    for (const log of union.logs()) {
      const length = this.#coverage.lengthOf(log.id)
      const isOurs = b4a.equals(log.key, own.core.key)
      if (length === 0 || !(isOurs || this.#coverage.isWriter(log.id))) continue
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

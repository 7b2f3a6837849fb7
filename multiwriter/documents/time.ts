/**
 * A document's versions, and what it was at them.
 *
 * A version is a set of logs, each up to the end of a batch, as a version of the space is, and is named alike: but only logs that had
 * written in the document by then are in it. Versions follow each other as what was written does: each log in its own order, whatever
 * its stamps say, and all of them by stamp. That order is the same on all devices that hold the same logs; a version that was
 * named once names the same for ever, whatever arrives in between later.
 *
 * A version is opened from the logs as they were: each holds, beside what was typed last, the snapshot that it had then.
 */
import b4a from 'b4a'
import z32 from 'z32'
import {
  compareStamps,
  encodeVersion,
  type CoreLength,
  type Stamp,
  type Version
} from '../../clock/index.ts'
import {
  judge,
  type DifferenceBy,
  type DocumentEngine,
  type EngineDoc,
  type Source,
  type SourceDifference
} from '../../crdt/index.ts'
import type { ReadOptions } from '../../core/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../../errors.ts'
import type { Engine, MembershipThen } from '../engine.ts'
import { checkRead, READ_OPTIONS, streamRead } from '../options.ts'
import type { Part } from '../part.ts'
import { msOf, versionIn } from '../versions.ts'
import type { CoreEntry } from '../view.ts'
import type { AheadCodec } from './ahead.ts'
import { DocumentReader } from './document-reader.ts'
import type { UpdateKeys } from './keys.ts'
import { pastOf, type PastOptions, type Step } from './past.ts'
import { readPart } from './read.ts'
import type { Sources } from './sources.ts'
import { isOfOtherEngine, readUpdates, type Update, type UpdateReader } from './updates.ts'

/** A moment of a document: right behind something that was written in it. */
export interface DocumentVersion {
  /** Names the document as it was then, for ever: what `at` takes. */
  readonly version: string
  /** Who wrote what came with it. */
  readonly writer: string
  readonly stamp: Stamp
  /**
   * 'edit': what was typed in one go. 'summary': all that its writer had written up to then; what came before was cleared, and
   * has no versions any more.
   */
  readonly kind: 'edit' | 'summary'
}

/** A version's text, a Date, or milliseconds since 1970. */
export type DocumentMoment = string | Date | number

export interface DocumentVersionsOptions extends ReadOptions {
  /** Only what was written after this version, or from this time on. */
  readonly from?: DocumentMoment
  /** Only what is in this version, or was written until this time. */
  readonly to?: DocumentMoment
  /** Versions at most; default all. */
  readonly limit?: number
  /** The newest first. */
  readonly reverse?: boolean
}

/** Whose it is, of what was inserted and is in the logs; null otherwise. */
export interface ByWriter {
  readonly writer: string | null
}

export type DocumentDifference = DifferenceBy<ByWriter>

export interface DocumentRevertOptions extends ReadOptions {
  /** Whose edits, as versions name it. */
  readonly writer: string
  /** The moment up to which these edits stay. */
  readonly after: DocumentMoment
}

export interface DocumentRevertReport {
  /** Updates of the writer from after that moment. */
  readonly updates: number
  /** Those of them whose parts had to stay, as others built on them: of Automerge documents only. */
  readonly kept: number
}

/** A state of a document, and the updates that made it. */
export interface State<D> {
  readonly doc: D
  readonly updates: readonly Update[]
}

/** What was done as a document shows it, without and with a writer's later edits. */
export interface RevertStates<D> {
  readonly now: D
  readonly without: D
  readonly report: DocumentRevertReport
}

export interface DocumentTimeParts<D extends EngineDoc> {
  readonly id: string
  readonly engine: Engine
  readonly library: DocumentEngine<D>
  readonly codec: AheadCodec
}

/** A step among those of all logs. */
interface Placed {
  readonly step: Step
  /** Never falls along a log. */
  readonly order: Stamp
  /** How far the log was with its step before; 0 for none. */
  readonly before: number
}

const VERSIONS_OPTIONS = [...READ_OPTIONS, 'from', 'to', 'limit', 'reverse']

export class DocumentTime<D extends EngineDoc> {
  readonly #id: string
  readonly #engine: Engine
  readonly #library: DocumentEngine<D>
  readonly #codec: AheadCodec
  readonly #document: DocumentReader<D>
  readonly #keys: UpdateKeys
  readonly #sources: Sources

  constructor({ id, engine, library, codec }: DocumentTimeParts<D>) {
    this.#id = id
    this.#engine = engine
    this.#library = library
    this.#codec = codec
    const { union, refusals } = engine
    this.#document = new DocumentReader(id, { union, refusals, codec }, library)
    this.#keys = this.#document.keys
    this.#sources = this.#document.sources
  }

  /** @throws INVALID_ARGUMENT, VERSION_INVALID, VERSION_FOREIGN, at once */
  versions(options: DocumentVersionsOptions = {}): AsyncGenerator<DocumentVersion, void, void> {
    checkOptions('versions', options, VERSIONS_OPTIONS)
    const { from, to, ...stream } = options
    const { limit, reverse, read } = streamRead(stream)
    const [isAfter, isWithin] = [from, to].map((moment) =>
      moment === undefined ? null : this.#test(moment)
    )
    const isWanted = (placed: Placed) =>
      isAfter?.(placed, false) !== true && isWithin?.(placed, true) !== false
    return this.#versions({ isWanted, limit, reverse, read })
  }

  /** The document at a moment. @throws INVALID_ARGUMENT, VERSION_ codes, BLOCK_UNAVAILABLE */
  async at(moment: DocumentMoment, read: ReadOptions): Promise<State<D>> {
    checkOptions('at', read, READ_OPTIONS)
    checkRead(read)
    const { membership } = this.#engine
    if (typeof moment === 'string' && membership !== null) {
      const version = versionIn(this.#engine, moment)
      if (version.acl.length > 0) return this.#asSeen(version, membership, read)
    }
    const lengths = await this.#lengthsAt(moment, read)
    return this.#open(await this.#updatesIn(await this.#partsAt(lengths, read), read))
  }

  /** By the membership of then, as it was shown then: without what lay past seals, with what others had built on that. */
  async #asSeen(version: Version, then: MembershipThen, read: ReadOptions): Promise<State<D>> {
    const { union } = this.#engine
    await union.ready()
    const ended = then.endedAt(version).filter(({ core }) => union.log(core) !== null)
    const view = await union.exactly([...then.placesAt(version), ...ended], read)
    const { entries, admitted, past } = await this.#document.everything(view, read)
    this.#checkLibrary(await this.#reader(), admitted, entries)
    const doc = this.#library.create(this.#id)
    this.#document.fill(doc, { admitted, past }, null)
    return { doc, updates: admitted }
  }

  /** What is not the same in two states, and whose it is as far as their updates say. */
  diff(from: D, to: D, updates: Iterable<Update>): readonly DocumentDifference[] {
    const differences = this.#library.time.diff(from, to)
    return withWriters(differences, this.#writersOf(sourcesIn(differences), updates))
  }

  /** @see crdt/document/time.ts */
  restore(doc: D, then: D, base?: D): void {
    this.#library.time.restore(doc, then, base)
  }

  discard(doc: D): void {
    this.#library.destroy(doc)
  }

  /** All updates that the logs hold now. */
  async updates(read: ReadOptions): Promise<readonly Update[]> {
    return this.#updatesIn((await this.#engine.union.view(read)).parts, read)
  }

  /** @throws INVALID_ARGUMENT for a writer that is not of this space; VERSION_ codes, BLOCK_UNAVAILABLE */
  async revertStates({
    writer,
    after,
    ...read
  }: DocumentRevertOptions): Promise<RevertStates<D> | null> {
    const { union } = this.#engine
    await union.ready()
    const log = union.logs().find(({ id }) => id === writer)
    if (log === undefined) return invalid('writer', 'a writer of this space', writer)
    const lengths = await this.#lengthsAt(after, read)
    const length = lengths.find(({ core }) => b4a.equals(core, log.key))?.length ?? 0
    const { parts } = await union.view(read)
    const others = parts.filter((part) => part.writer !== writer)
    const [now] = parts.filter((part) => part.writer === writer)
    if (now === undefined || now.tree.length <= length) return null
    const older = length === 0 ? [] : await this.#partsAt([{ core: log.key, length }], read)
    const steps = await pastOf(log, now, this.#pastOptions(read))
    const late = steps.filter(({ batch }) => batch.end > length).flatMap(({ entries }) => entries)
    const kept = await this.#updatesIn([...others, ...older], read)
    const numbers = kept.filter(({ part }) => part.writer === writer).map(({ last }) => last)
    const known = numbers.reduce((a, b) => Math.max(a, b), -1)
    // What others have quoted of it is its own.
    const isLate = ({ core, number }: Update) => b4a.equals(core, log.key) && number > known
    const admitted = kept.filter((update) => !isLate(update))
    const past = [...readUpdates(await this.#reader(), late.sort(byKey)), ...kept.filter(isLate)]
    if (past.length === 0) return null
    return this.#statesOf(admitted, past)
  }

  /** The document with what a writer wrote later, and without it as far as that can be told apart. */
  #statesOf(admitted: readonly Update[], past: readonly Update[]): RevertStates<D> {
    const [given, late] = [admitted, past].map((each) => this.#countedIn(each))
    const { doc: without, kept } = this.#library.time.without(given ?? [], late ?? [])
    const { doc: now } = this.#open([...admitted, ...past])
    return { now, without, report: { updates: past.length, kept } }
  }

  async *#versions({
    isWanted,
    limit,
    reverse,
    read
  }: {
    readonly isWanted: (placed: Placed) => boolean
    readonly limit: number
    readonly reverse: boolean
    readonly read: ReadOptions
  }): AsyncGenerator<DocumentVersion, void, void> {
    if (limit === 0) return
    const all = await this.#past(read)
    const lengths = new Map<string, CoreLength>()
    const put = ({ core, writer }: Part, length: number) => lengths.set(writer, { core, length })
    if (reverse) for (const { step } of all) put(step.part, step.batch.end)
    let count = 0
    for (const placed of reverse ? all.toReversed() : all) {
      const { step, before } = placed
      if (!reverse) put(step.part, step.batch.end)
      if (isWanted(placed)) {
        yield await this.#versionOf(step, [...lengths.values()])
        if (++count === limit) return
      }
      if (reverse) put(step.part, before)
    }
  }

  async #versionOf(
    { part, stamp, entries, isSummary }: Step,
    data: readonly CoreLength[]
  ): Promise<DocumentVersion> {
    const version = encodeVersion({ space: this.#engine.tag, acl: [], data })
    const isQuote = entries.every(({ piece }) => piece.kind === 'quote')
    const writer = (isQuote ? await this.#quotedIn(entries) : null) ?? part.writer
    return { version, writer, stamp, kind: isSummary ? 'summary' : 'edit' }
  }

  /** Whose words a batch of quotes holds; null where they are nobody's. */
  async #quotedIn(entries: Step['entries']): Promise<string | null> {
    const [quoted] = readUpdates(await this.#reader(), entries)
    return quoted === undefined ? null : z32.encode(quoted.core)
  }

  /** Everything that was written, in the order of versions. */
  async #past(read: ReadOptions): Promise<readonly Placed[]> {
    const { union } = this.#engine
    const { parts } = await union.view(read)
    const byLog = parts.map(async (part) => {
      const log = union.log(part.core)
      return log === null ? [] : placed(await pastOf(log, part, this.#pastOptions(read)))
    })
    return (await Promise.all(byLog)).flat().sort(comparePlaced)
  }

  #pastOptions(read: ReadOptions): PastOptions {
    const { refusals } = this.#engine
    return { range: this.#keys.range, engine: this.#library.code, refusals, read }
  }

  /** Whether something is in a moment; a time holds itself where it ends, not where it begins. */
  #test(moment: DocumentMoment): (placed: Placed, isEnd: boolean) => boolean {
    if (typeof moment === 'string') {
      const { data } = versionIn(this.#engine, moment)
      const lengths = new Map(data.map(({ core, length }) => [z32.encode(core), length]))
      return ({ step }) => step.batch.end <= (lengths.get(step.part.writer) ?? 0)
    }
    const ms = msOf(moment)
    return ({ order }, isEnd) => (isEnd ? order.ms <= ms : order.ms < ms)
  }

  async #lengthsAt(moment: DocumentMoment, read: ReadOptions): Promise<readonly CoreLength[]> {
    if (typeof moment === 'string') return versionIn(this.#engine, moment).data
    const isIn = this.#test(moment)
    const lengths = new Map<string, CoreLength>()
    for (const each of await this.#past(read)) {
      const { core, writer } = each.step.part
      if (isIn(each, true)) lengths.set(writer, { core, length: each.step.batch.end })
    }
    return [...lengths.values()]
  }

  async #partsAt(lengths: readonly CoreLength[], read: ReadOptions): Promise<readonly Part[]> {
    return (await this.#engine.union.exactly(lengths, read)).parts
  }

  async #updatesIn(parts: readonly Part[], read: ReadOptions): Promise<readonly Update[]> {
    const byPart = parts.map((part) => readPart(part, this.#keys.range, read))
    const entries = (await Promise.all(byPart)).flat()
    const reader = await this.#reader()
    const updates = readUpdates(reader, entries)
    this.#checkLibrary(reader, updates, entries)
    return updates
  }

  #checkLibrary(
    reader: UpdateReader,
    updates: readonly Update[],
    entries: readonly CoreEntry[]
  ): void {
    if (updates.length > 0 || !isOfOtherEngine(reader, entries)) return
    const message = `"${this.#id}" is no document of ${this.#library.name}`
    throw new ManyhandsError('DOCUMENT_ENGINE', message)
  }

  async #reader(): Promise<UpdateReader> {
    const { union, refusals } = this.#engine
    const view = await union.view({ wait: false })
    const [engine, id, codec] = [this.#library.code, this.#id, this.#codec]
    return { view, refusals, engine, id, codec, sources: this.#sources }
  }

  #open(updates: readonly Update[]): State<D> {
    const doc = this.#library.create(this.#id)
    this.#library.apply(doc, this.#countedIn(updates), null)
    return { doc, updates }
  }

  /** What of updates counts, in the order in which it does. */
  #countedIn(updates: readonly Update[]): readonly Uint8Array[] {
    return judge(this.#library, updates).updates.map(({ bytes }) => bytes)
  }

  /** Of sources, whose log brought them first. */
  #writersOf(wanted: ReadonlySet<Source>, updates: Iterable<Update>): ReadonlyMap<Source, string> {
    const writers = new Map<Source, string>()
    for (const { core, bytes } of updates) {
      if (writers.size === wanted.size) break
      for (const source of this.#library.spans(bytes)?.sources ?? []) {
        if (wanted.has(source) && !writers.has(source)) writers.set(source, z32.encode(core))
      }
    }
    return writers
  }
}

/** The steps of one log: what was written later is not earlier, whatever its stamp. */
function placed(steps: readonly Step[]): readonly Placed[] {
  let order: Stamp | null = null
  let before = 0
  return steps.map((step) => {
    if (order === null || compareStamps(order, step.stamp) < 0) order = step.stamp
    const each = { step, order, before }
    before = step.batch.end
    return each
  })
}

function comparePlaced(a: Placed, b: Placed): number {
  return (
    compareStamps(a.order, b.order) ||
    b4a.compare(a.step.part.core, b.step.part.core) ||
    a.step.batch.end - b.step.batch.end
  )
}

function byKey(a: CoreEntry, b: CoreEntry): number {
  return b4a.compare(a.entry.key, b.entry.key)
}

function sourcesIn(differences: readonly SourceDifference[]): ReadonlySet<Source> {
  const sources = differences.flatMap((each) =>
    each.type === 'value' ? [] : each.changes.flatMap(({ source }) => source ?? [])
  )
  return new Set(sources)
}

function withWriters(
  differences: readonly SourceDifference[],
  writers: ReadonlyMap<Source, string>
): readonly DocumentDifference[] {
  const by = <C extends { readonly source: Source | null }>({ source, ...change }: C) => ({
    ...change,
    writer: source === null ? null : (writers.get(source) ?? null)
  })
  return differences.map((each): DocumentDifference => {
    switch (each.type) {
      case 'text':
        return { ...each, changes: each.changes.map(by) }
      case 'list':
        return { ...each, changes: each.changes.map(by) }
      case 'value':
        return each
    }
  })
}

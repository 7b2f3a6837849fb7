/** Reads one document from the logs of a view, and makes of it what the document is (crdt/document/content.ts). */
import type { Stamp } from '../../clock/index.ts'
import {
  contentOf,
  isForged,
  type Authored,
  type Authors,
  type Counted,
  type DocumentEngine,
  type EngineDoc,
  type Missing,
  Spans
} from '../../crdt/index.ts'
import type { ReadOptions } from '../../core/index.ts'
import type { RefusalReason } from '../refusals.ts'
import type { CoreEntry, View } from '../view.ts'
import type { AheadUpdate } from './ahead.ts'
import { UpdateKeys } from './keys.ts'
import type { DocumentParts } from './parts.ts'
import { readAll, readPart } from './read.ts'
import { Seals } from './seals.ts'
import { Sources } from './sources.ts'
import { authoredAhead, readUpdates, type Update } from './updates.ts'

/** All that there is of a document. */
export interface Everything {
  readonly entries: readonly CoreEntry[]
  readonly admitted: readonly Update[]
  /** What lies past seals. */
  readonly past: readonly Update[]
  readonly seals: Seals
}

/** What came of a document that was filled. */
export interface Filled {
  readonly authors: Authors
  readonly missing: Missing
  /** As in the engine's `Applied`. */
  readonly thrown: unknown
}

/** What counts of a document that no log holds yet. */
export interface Unwritten {
  readonly admitted: readonly Authored[]
  readonly past: readonly Authored[]
  /** Of this device. */
  readonly ours: readonly Uint8Array[]
}

/** What is brought in, and what it stands in; null for what stands nowhere. */
interface Applicable {
  readonly update: Update | Authored | null
  readonly bytes: Uint8Array
}

const NOTHING: Unwritten = { admitted: [], past: [], ours: [] }

export class DocumentReader<D extends EngineDoc> {
  readonly keys: UpdateKeys
  readonly sources: Sources
  readonly #id: string
  readonly #parts: Pick<DocumentParts<D>, 'union' | 'refusals' | 'codec'>
  readonly #engine: DocumentEngine<D>

  constructor(
    id: string,
    parts: Pick<DocumentParts<D>, 'union' | 'refusals' | 'codec'>,
    engine: DocumentEngine<D>
  ) {
    this.#id = id
    this.#parts = parts
    this.#engine = engine
    this.keys = new UpdateKeys(id)
    this.sources = new Sources(engine, id)
  }

  /** The updates in entries, in no order but that of each log. */
  updatesIn(view: View, entries: readonly CoreEntry[]): readonly Update[] {
    const { refusals, codec } = this.#parts
    const { sources } = this
    const engine = this.#engine.code
    return readUpdates({ view, refusals, engine, id: this.#id, codec, sources }, entries)
  }

  /** What goes ahead of its log; null when it does not read. */
  authored(ahead: AheadUpdate, stamp: Stamp): Authored | null {
    return authoredAhead(this.sources, ahead, stamp)
  }

  async everything(view: View, options: ReadOptions): Promise<Everything> {
    const seals = await this.seals(view)
    const entries = await readAll(view, this.keys.range, options)
    const updates = this.updatesIn(view, entries)
    const admitted = updates.filter((update) => !seals.isPast(update))
    const behind = this.#unsaid(this.behind(view, seals), admitted, seals)
    const past = [...behind, ...updates.filter((update) => seals.isPast(update))]
    return { entries, admitted, past, seals }
  }

  /** What this device has quoted of others, by its log. */
  async ownQuotes(view: View, options: ReadOptions): Promise<readonly Update[]> {
    const own = view.parts.find(({ isOwn }) => isOwn)
    if (own === undefined) return []
    const updates = this.updatesIn(view, await readPart(own, this.keys.range, options))
    return updates.filter(({ kind }) => kind === 'quote')
  }

  /** What somebody who counts has said in a log that counts as well must not be struck for being quoted in one that does not. */
  #unsaid(behind: readonly Update[], admitted: readonly Update[], seals: Seals): readonly Update[] {
    if (!behind.some((update) => seals.isHearsay(update))) return behind
    const said = this.spansOf(admitted)
    return behind.filter(
      (update) =>
        !seals.isHearsay(update) ||
        [...this.spansOf([update])].some((span) => said.without(span).length > 0)
    )
  }

  spansOf(updates: readonly Authored[]): Spans {
    return new Spans(updates.flatMap(({ bytes }) => [...(this.#engine.spans(bytes) ?? [])]))
  }

  seals(view: View): Promise<Seals> {
    return Seals.read(this.#parts.union, view, this.keys)
  }

  /** What stands behind seals. Nobody vouches for it: what is under another's source is none of its writer's. */
  behind(view: View, { entries }: Seals): readonly Update[] {
    return this.updatesIn(view, entries).filter((update) => !isForged(this.#engine, update))
  }

  /** Brings all that there is into an empty document. */
  fill(
    doc: D,
    { admitted, past }: Pick<Everything, 'admitted' | 'past'>,
    origin: unknown,
    unwritten = NOTHING
  ): Filled {
    const content = contentOf<Update | Authored>(
      this.#engine,
      [...admitted, ...unwritten.admitted],
      [...past, ...unwritten.past],
      unwritten.ours
    )
    const { updates, needed, struck, refused, authors } = content
    for (const { update, reason } of refused) this.refuse(update, `document-author-${reason}`)
    const ours = unwritten.ours.map((bytes) => ({ update: null, bytes }))
    const applied = this.apply(doc, [...updates, ...ours, ...needed], origin)
    this.strike(doc, struck, needed)
    return { authors, ...applied }
  }

  /**
   * Takes what lies past seals out of what is shown. @param needed what of it was brought in
   * @returns false when nothing was: some engines cannot
   */
  strike(doc: D, struck: Spans, needed: readonly Counted<Update | Authored>[]): boolean {
    const isStruck = !struck.isEmpty && this.#engine.strike(doc, struck)
    if (!isStruck) for (const { update } of needed) this.refuse(update, 'document-sealed-shown')
    return isStruck
  }

  /** Brings updates into a document. */
  apply(
    doc: D,
    counted: readonly Applicable[],
    origin: unknown
  ): Pick<Filled, 'missing' | 'thrown'> {
    const bytes = counted.map((each) => each.bytes)
    const { refused, held, missing, thrown } = this.#engine.apply(doc, bytes, origin)
    for (const i of refused) this.refuse(counted[i]?.update, 'document-update-refused')
    for (const i of held) this.refuse(counted[i]?.update, 'document-update-held')
    return { missing, thrown }
  }

  refuse(update: Applicable['update'] | undefined, reason: RefusalReason): void {
    if (update === undefined || update === null || !('part' in update)) return // of no log
    this.#parts.refusals.add(update.part.writer, reason, update.seq)
  }
}

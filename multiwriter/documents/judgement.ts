/**
 * What counts in one open document, update by update: whose each is, what lies past seals, and what was quoted. It is told here
 * when one by one is not enough, because two writers brought one source, or a seal moved where striking does not do: then all is
 * judged together, and the document made anew (document-reader.ts).
 */
import {
  Minutes,
  neededBy,
  Authors,
  type Counted,
  type DocumentEngine,
  type EngineDoc,
  type Statement
} from '../../crdt/index.ts'
import type { Stamp } from '../../clock/index.ts'
import type { View } from '../view.ts'
import type { CachedDocument } from './cache.ts'
import { placeOf, type Coverage } from './coverage.ts'
import type { DocumentReader, Everything } from './document-reader.ts'
import type { Seals } from './seals.ts'
import type { Unconfirmed } from './unconfirmed.ts'
import type { Update } from './updates.ts'

/** What seals are to be followed in. */
interface Shown<D> {
  readonly doc: D
  readonly coverage: Coverage
  readonly unconfirmed: readonly Unconfirmed[]
  /** All that this device has quoted. @see Judgement.lacksQuotes */
  readonly quoted: readonly Update[]
}

export class Judgement<D extends EngineDoc> {
  readonly #reader: DocumentReader<D>
  readonly #engine: DocumentEngine<D>
  #authors = new Authors()
  #seals: Seals | null = null
  /** What lies past seals. */
  #past: readonly Update[] = []
  /** What was quoted, and counts. Null when it is not known: the document comes from the cache. */
  #quotes: readonly Update[] | null = []
  /** So many that this device wrote are not among them: they never arrive. */
  #unread = 0
  #isContested = false

  constructor(reader: DocumentReader<D>, engine: DocumentEngine<D>) {
    this.#reader = reader
    this.#engine = engine
  }

  /** Whose what is in the document is. */
  get authors(): Authors {
    return this.#authors
  }

  /** All is to be judged together. */
  get isContested(): boolean {
    return this.#isContested
  }

  get seals(): Seals['list'] {
    return this.#seals?.list ?? []
  }

  /** Whether anything was quoted, as far as is known. */
  get hasQuotes(): boolean {
    return this.lacksQuotes || this.#quotes === null || this.#quotes.length + this.#past.length > 0
  }

  /** What this device quoted is to be read before seals are followed. */
  get lacksQuotes(): boolean {
    return this.#unread > 0
  }

  /** Whether what somebody says ahead of its log lies past a seal. */
  isPast(ahead: Unconfirmed['ahead']): boolean {
    return this.#seals?.isPast({ ...ahead, kind: 'quote' }) === true
  }

  /** The document was made of all that there is. */
  adopt({ admitted, past, seals }: Everything, authors: Authors): void {
    this.#authors = authors
    this.#seals = seals
    this.#past = past
    this.#quotes = admitted.filter(({ kind }) => kind === 'quote')
    this.#unread = 0
    this.#isContested = false
  }

  /** Goes on from a document that was cached. @param updates since then @returns false when that cannot be */
  resume(
    view: View,
    { authors, hasQuotes, seals: earlier }: CachedDocument,
    { seals, updates }: { readonly seals: Seals; readonly updates: readonly Update[] }
  ): boolean {
    // Where a sealed log ends, or how far it has come, decides which of its writer's words count that were quoted.
    const isMoved = !seals.areAmong(earlier) || updates.some(({ part }) => part.seal !== Infinity)
    if (hasQuotes && isMoved) return false
    this.#authors = authors
    this.#seals = seals
    this.#past = this.#reader.behind(view, seals)
    this.#quotes = hasQuotes ? null : []
    return !this.#past.some((update) => seals.isHearsay(update))
  }

  /** What of each update counts in a document, one by one. */
  judge(doc: D, updates: readonly Update[]): readonly Counted<Update>[] {
    return updates.flatMap((update) => {
      if (this.#seals?.isPast(update) === true) {
        this.#past = [...this.#past, update]
        return []
      }
      if (update.kind === 'quote') this.#quotes = this.#quotes && [...this.#quotes, update]
      const bytes = this.#authors.judge(this.#engine, update)
      if (bytes === 'forged') this.#reader.refuse(update, 'document-author-forged')
      const isUndisputed = bytes !== 'contested' && this.#engine.agrees(doc, update.bytes)
      this.#isContested ||= !isUndisputed || this.#isKnownByHearsay(update)
      return typeof bytes === 'string' || !isUndisputed ? [] : [{ update, bytes }]
    })
  }

  /** What we bring is in already; but somebody else may bring it, too. @returns whether that is so */
  noteOwn({ core, number, stamp }: Place, { sessions, isImport, update }: Statement): boolean {
    const verdict = this.#authors.judge(this.#engine, {
      core,
      number,
      stamp,
      derived: this.#reader.sources.derived(core, sessions),
      isImport,
      kind: 'update',
      minutes: new Minutes(),
      bytes: update
    })
    return verdict === 'contested'
  }

  /** Our log has quotes of others now, of what the document shows. */
  noteQuoted(count: number): void {
    this.#unread += count
  }

  /** Of the past, what these stand on. */
  neededBy(counted: readonly Counted<Update>[]): readonly Counted<Update>[] {
    return neededBy(
      this.#engine,
      counted.map(({ bytes }) => bytes),
      this.#past
    )
  }

  /** What arrives is no longer past a seal, even if seals are not followed yet. */
  countAgain(coverage: Coverage): void {
    if (this.#past.length > 0)
      this.#past = this.#past.filter((update) => !coverage.hasArrived(update))
  }

  /**
   * Follows seals that count less than before, where that is to strike, and no more.
   * @returns what is shown and is to be struck; null where the document must be made anew
   */
  follow(view: View, seals: Seals, shown: Shown<D>): readonly Update[] | null {
    const known = new Set(this.#past.map(placeOf))
    const noted = [...(this.#quotes ?? []), ...this.#past.filter(({ kind }) => kind === 'quote')]
    const unread = unreadOf(noted, shown.quoted)
    const quotes = [...noted, ...unread]
    const past = [
      ...this.#reader.behind(view, seals),
      ...quotes.filter((update) => seals.isPast(update))
    ]
    const struck = past.filter(
      (update) => !known.has(placeOf(update)) && shown.coverage.has(update)
    )
    // Where they are others than were written, the log has grown since it was read, or was written anew.
    if (unread.length !== this.#unread || !this.#canStrike(seals, past, struck, shown)) return null
    this.#unread = 0
    this.#seals = seals
    this.#past = past
    this.#quotes = this.#quotes && quotes.filter((update) => !seals.isPast(update))
    return struck
  }

  #canStrike(
    seals: Seals,
    past: readonly Update[],
    struck: readonly Update[],
    { doc, unconfirmed }: Shown<D>
  ): boolean {
    const isKnown = this.#quotes !== null && !this.#isContested && !this.#engine.waits(doc)
    const isPast = ({ ahead }: Unconfirmed) => seals.isPast({ ...ahead, kind: 'quote' })
    const counts = (update: Update) => seals.isHearsay(update)
    if (!isKnown || !seals.isWithin(this.seals)) return false
    if ([...this.#past, ...past].some(counts) || unconfirmed.some(isPast)) return false
    const spans = this.#reader.spansOf(past)
    return struck.every(
      ({ kind, bytes }) => kind !== 'snapshot' && this.#engine.canStrike(bytes, spans)
    )
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
}

function unreadOf(noted: readonly Update[], quoted: readonly Update[]): readonly Update[] {
  const places = new Set(noted.map(placeOf))
  return quoted.filter((each) => !places.has(placeOf(each)))
}

/** Where an update of ours stands. */
interface Place {
  readonly core: Uint8Array
  readonly number: number
  readonly stamp: Stamp
}

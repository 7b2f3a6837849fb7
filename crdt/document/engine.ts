/**
 * What a kind of live document must be able to do: the one place where another CRDT library comes in. An engine knows bytes and
 * documents, nothing of logs or devices. Its updates are commutative and idempotent: any order, any repetition gives one document.
 */
import type { Doc } from 'yjs'
import type { AnyAutomergeDocument } from './automerge-document.ts'
import type { Source, Span, Spans } from './spans.ts'
import type { DocumentTime } from './time.ts'

/** The live documents that there are, by their engines: an application uses them by their own library's API. */
export interface EngineDocs {
  readonly yjs: Doc
  readonly automerge: AnyAutomergeDocument
}

export type EngineName = keyof EngineDocs

export type EngineDoc = EngineDocs[EngineName]

/** A stretch of a text, from one index to another, all of one source. */
export interface TextRun {
  readonly from: number
  readonly to: number
  readonly source: Source
  /** What its first character is counted as. */
  readonly start: number
}

/** One update among everybody's. */
export interface OneOfAll {
  readonly bytes: Uint8Array
  readonly isOwn: boolean
}

/** Of each of the engine's own sources, the first place that a document does not have. Automerge names changes, by their hashes. */
export type Missing = ReadonlyMap<Source, number>

/** How updates were brought in, by their indices. */
export interface Applied {
  readonly refused: readonly number[]
  /** They stand on what is not here, and more than a document keeps of such is here already: nothing of them is in. */
  readonly held: readonly number[]
  /** What those stand on. */
  readonly missing: Missing
  /** What an observer of the application threw; undefined for nothing. Everything was applied by then. */
  readonly thrown: unknown
}

/** What came of an update that was brought in alone. */
export interface Taken {
  /** 'early': it stands on what is not here. 'known': all of it is here. Only 'done' changed anything. */
  readonly outcome: 'done' | 'known' | 'early' | 'refused'
  /** As in `Applied`. */
  readonly thrown: unknown
}

/** What a document of the application's is bound with. */
export interface Binding<D> {
  readonly origin: unknown
  /** A sub-document of `other` is wanted. */
  onsubdoc(subdoc: D): void
  /** `other` is gone. */
  readonly ondestroy: () => void
}

/** What happens to a live document, told to its owner. */
export interface DocObserver<D> {
  /** A change that was not made by `apply` with this owner as `origin`. */
  readonly onupdate: (update: Uint8Array) => void
  /** A sub-document is wanted: it is bound to the document with its guid. */
  onsubdoc(subdoc: D): void
}

export interface DocumentEngine<D extends EngineDoc> {
  readonly name: string
  /** Names the engine in entries. */
  readonly code: number
  /** Comparing states, and going back to one. */
  readonly time: DocumentTime<D>
  create(id: string): D
  /** @param origin of updates that the owner applied itself @returns how to stop */
  observe(doc: D, origin: unknown, observer: DocObserver<D>): () => void
  /** Several updates of `observe` as one, as small as can be had quickly. */
  pack(updates: readonly Uint8Array[]): Uint8Array
  /**
   * Brings packed updates into a document, in one step, marked with `origin`. What cannot be read changes nothing.
   */
  apply(doc: D, updates: readonly Uint8Array[], origin: unknown): Applied
  /** Brings one packed update in, if everything that it stands on is here: nothing of it waits inside the document. */
  take(doc: D, update: Uint8Array, origin: unknown): Taken
  /** What a packed update brings in; nothing, when it does not read. */
  brings(update: Uint8Array): readonly Span[]
  /** What a packed update refers to, among it what it brings in itself; nothing, when it does not read. */
  refersTo(update: Uint8Array): readonly Span[]
  /** Whether a document has any of what something was held back for: then it is to be applied again. */
  isDue(doc: D, missing: Missing): boolean
  /** Everything in a document, as one packed update. */
  state(doc: D): Uint8Array
  /**
   * What one writer brought into a document, as one packed update that says the same as its own updates together, and no more:
   * nothing of the others, so that what is sealed of theirs later stays out.
   * @param updates everybody's, in an order in which what an update stands on mostly comes before it
   * @returns null while not all that its own stand on is among them
   */
  contribution(updates: readonly OneOfAll[]): Uint8Array | null
  /**
   * Keeps two documents the same from now on; changes that only one of them has are brought into the other.
   * @param binding its `origin` marks in `other` what comes from `doc` @returns how to stop
   */
  bind(doc: D, other: D, binding: Binding<D>): () => void
  /** Tells the document's observers that it stands for what is stored. */
  loaded(doc: D): void
  /** A source's name, of bytes that nobody chose. @param seed at least 16 bytes */
  sourceOf(seed: Uint8Array): Source
  /** What is edited in a document from now on is counted under this source. */
  writeAs(doc: D, source: Source): void
  /** What that is. A library may have changed it: Yjs does when somebody else writes under it. */
  writesAs(doc: D): Source
  /** What an update brings, and under which sources; null for what cannot be read. */
  spans(update: Uint8Array): Spans | null
  /** An update without what it brings under other sources. */
  only(update: Uint8Array, isWanted: (source: Source) => boolean): Uint8Array
  /**
   * The indices of those updates past a seal that admitted ones stand on, over any number of steps: they are brought in by `partsAlone`,
   * and what they brought is struck.
   */
  needed(admitted: readonly Uint8Array[], past: readonly Uint8Array[]): readonly number[]
  /** An update without its deletions. */
  partsAlone(update: Uint8Array): Uint8Array
  /** Whether a live document that has an update needs no more than `strike` to show what one shows that never had it. */
  canStrike(update: Uint8Array, struck: Spans): boolean
  /**
   * Shows as deleted what is in these spans, for good: no undo brings it back. It is no edit: `observe` does not tell it.
   * @returns false where the library cannot
   */
  strike(doc: D, struck: Spans): boolean
  /** Whether something in a document waits for what it stands on. */
  waits(doc: D): boolean
  /** Whether an update says of what a document has already nothing else than the document: a liar may say two things of one place. */
  agrees(doc: D, update: Uint8Array): boolean
  /** Whether two documents show the same, under the same sources. */
  isSame(a: D, b: D): boolean
  /**
   * Whose each stretch of a text is.
   * @param of names the text; undefined for the only one there is @returns null where there is no such text
   */
  runs(doc: D, of: unknown, from: number, to: number): Iterable<TextRun> | null
  destroy(doc: D): void
}

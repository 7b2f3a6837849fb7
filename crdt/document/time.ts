/**
 * What an engine can say of two states of one document: what differs between them, and how to go back from one to the other. It
 * knows documents only; which state belongs to which moment, the logs tell (multiwriter/documents/time.ts).
 */
import type { EngineDoc } from './engine.ts'
import type { Source } from './spans.ts'

/** Where something stands in a document: the name of a shared type, then keys and indices. */
export type DocumentPath = readonly (string | number)[]

interface Change {
  readonly kind: 'inserted' | 'deleted'
  /** Where it stands in the later state; of what was deleted, where it would stand. */
  readonly at: number
}

/** A stretch of a text. What is in a text and no letter counts as one letter, U+FFFC. */
export interface TextChange extends Change {
  readonly text: string
}

/** Some values of a list. */
export interface ListChange extends Change {
  readonly values: readonly unknown[]
}

/** Something that holds one value at a time: a key of a map, an attribute. Undefined where there is none. */
export interface ValueDifference {
  readonly type: 'value'
  readonly path: DocumentPath
  readonly before: unknown
  readonly after: unknown
}

interface ChangedText<C> {
  readonly type: 'text'
  readonly path: DocumentPath
  /** In the order of the text. */
  readonly changes: readonly C[]
}

interface ChangedList<C> {
  readonly type: 'list'
  readonly path: DocumentPath
  readonly changes: readonly C[]
}

/** One place of a document that is not the same in two states. `By` says who changed it. */
export type DifferenceBy<By> =
  ChangedText<TextChange & By> | ChangedList<ListChange & By> | ValueDifference

export interface BySource {
  /** Of what was inserted, where the engine can tell; null otherwise. */
  readonly source: Source | null
}

export type SourceDifference = DifferenceBy<BySource>

export interface Without<D> {
  readonly doc: D
  /** How many of those that were to be left out show all the same, as others stand on them. */
  readonly kept: number
}

export interface DocumentTime<D extends EngineDoc> {
  /** What of `from` is not in `to`, and the other way round; [] for states that show the same. */
  diff(from: D, to: D): readonly SourceDifference[]
  /**
   * Changes a document as its user could, in one step and by no more than needed, so that it shows what another state of it shows.
   * What both have stays what it is.
   * @param base a state that the document has all of: only what is not the same in it and in `then` is changed
   */
  restore(doc: D, then: D, base?: D): void
  /**
   * What a document shows without some of its updates. What others stand on is there to carry them, and shows nothing, as far as the
   * library can tell the two apart.
   * @param updates packed; the rest of the document
   */
  without(updates: readonly Uint8Array[], left: readonly Uint8Array[]): Without<D>
}

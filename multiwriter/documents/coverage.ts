/** What of the logs is in a document: how far each is brought in, what has arrived since, and who wrote anything of it. By writer. */
import type { View } from '../view.ts'
import type { Update } from './updates.ts'

export class Coverage {
  readonly #lengths = new Map<string, number>()
  /** Brought in, and not yet told of by a length. */
  readonly #arrived = new Set<string>()
  readonly #writers = new Set<string>()

  lengthOf(writer: string): number {
    return this.#lengths.get(writer) ?? 0
  }

  /** Whether anything in the document is of a log, as far as is known. */
  isWriter(writer: string): boolean {
    return this.#writers.has(writer)
  }

  noteWriter(writer: string): void {
    this.#writers.add(writer)
  }

  noteArrived(updates: readonly Update[]): void {
    for (const update of updates) this.#arrived.add(placeOf(update))
  }

  hasArrived(update: Update): boolean {
    return this.#arrived.has(placeOf(update))
  }

  /** Whether the document may have an update. What we write ourselves is in it first. */
  has(update: Update): boolean {
    const { part, kind, seq } = update
    const isCovered = seq < this.lengthOf(part.writer)
    return kind === 'quote' || part.isOwn || isCovered || this.hasArrived(update)
  }

  /** What the logs held up to these lengths is in. */
  raise(lengths: ReadonlyMap<string, number>): void {
    for (const [writer, length] of lengths)
      this.#lengths.set(writer, Math.max(length, this.lengthOf(writer)))
    this.#arrived.clear()
  }

  /** The document was made of a view. */
  follow(view: View): void {
    for (const { writer, tree } of view.parts) this.#lengths.set(writer, tree.length)
  }

  /** What a view does not have any more is in no more. */
  lower(view: View): void {
    for (const { writer, tree } of view.parts)
      this.#lengths.set(writer, Math.min(this.lengthOf(writer), tree.length))
  }
}

/** Names an update among all of a document. */
export function placeOf({ part, first, seq }: Update): string {
  return `${part.writer} ${first} ${seq}`
}

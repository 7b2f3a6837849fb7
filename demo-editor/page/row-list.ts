/**
 * The list of documents as this page has it: what the device has told, and the titles that were given here and that it has not yet
 * called durable. Those are shown at once, and told again at the next connection.
 */
import type { DocumentRow } from '../protocol.ts'

const { compare } = new Intl.Collator()

export class RowList {
  /** Titles of which the device has not yet said that they are durable, by document. */
  readonly unsaved = new Map<string, string>()
  /** Null until the device has told. */
  #told: Map<string, DocumentRow> | null = null
  /** The device speaks anew: what it says first is all there is. */
  #isStale = false
  #shown = new Map<string, DocumentRow>()
  #sorted: readonly DocumentRow[] | null = null

  /** In the order of the titles; null until anything is known. */
  get sorted(): readonly DocumentRow[] | null {
    return this.#sorted
  }

  get(id: string): DocumentRow | null {
    return this.#shown.get(id) ?? null
  }

  rename(id: string, title: string): void {
    this.unsaved.set(id, title)
    this.#arrange()
  }

  named(id: string, title: string): void {
    if (this.unsaved.get(id) !== title) return // it was given another one since
    this.unsaved.delete(id)
    this.#arrange()
  }

  update(rows: readonly DocumentRow[], gone: readonly string[]): void {
    if (this.#told === null || this.#isStale) this.#told = new Map()
    this.#isStale = false
    for (const row of rows) this.#told.set(row.id, row)
    for (const id of gone) this.#told.delete(id)
    this.#arrange()
  }

  reconnected(): void {
    this.#isStale = true
  }

  /** But for what is not saved. */
  forget(): void {
    this.#told = null
    this.#sorted = null
    this.#arrange()
  }

  #arrange(): void {
    this.#shown = new Map(this.#told)
    for (const [id, title] of this.unsaved) this.#shown.set(id, { id, title, otherTitles: [] })
    if (this.#told === null && this.unsaved.size === 0) return
    this.#sorted = [...this.#shown.values()].sort(
      (a, b) => compare(a.title, b.title) || (a.id < b.id ? -1 : 1)
    )
  }
}

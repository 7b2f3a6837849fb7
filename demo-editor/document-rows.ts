/**
 * The list of a notebook's documents, kept up to date at a cost that does not depend on how much is written: titles come one by
 * one, as they are given. Of deletions, and of edits that undo one, nothing tells: for them everything is listed anew from time to
 * time, which takes a tenth of the time at most, however many documents there are.
 */
import { EventEmitter } from 'eventemitter3'
import type { Entry, ListedDocument, Space, Value } from '../index.ts'
import type { DocumentRow } from './protocol.ts'

/** After a listing there is none for so many times as long as it took. */
const REST = 9

interface RowEvents {
  /** Something in `rows` is different. */
  change: []
  /** The list cannot be read. */
  broken: [error: unknown]
}

export type Rows = ReadonlyMap<string, DocumentRow>

export class DocumentRows extends EventEmitter<RowEvents> {
  readonly #space: Space
  readonly #changes: AsyncIterator<{ readonly key: string; readonly current: Told | null }>
  #rows: Map<string, DocumentRow> | null = null
  /** What was heard of while a listing was under way: it may not have seen that. */
  #heard: Map<string, DocumentRow | null> | null = null
  /** Of the logs, when the list was last read. */
  #lengths = ''
  /** There is no listing before this moment. */
  #rested = 0

  constructor(space: Space) {
    super()
    this.#space = space
    this.#changes = space.documents.metadata.watch()
    void this.#follow()
  }

  /** By id; null until they are listed. A row that says the same is the same object. */
  get rows(): Rows | null {
    return this.#rows
  }

  /** Lists what nothing tells of, if anything was written since. */
  async look(): Promise<void> {
    const lengths = this.#space.writers().map(({ length }) => length)
    if (this.#heard !== null || lengths.join() === this.#lengths) return
    const began = performance.now()
    if (began < this.#rested) return
    this.#lengths = lengths.join()
    this.#heard = new Map()
    try {
      await this.#list(this.#heard)
    } catch (error) {
      this.#lengths = '' // asked again
      this.emit('broken', error)
    } finally {
      this.#heard = null
      this.#rested = performance.now() + REST * (performance.now() - began)
    }
  }

  /** Takes what the space says of one document now. */
  async lookAt(id: string): Promise<void> {
    this.#hear(id, await this.#space.documents.metadata.get(id))
  }

  /** This device has deleted it. */
  deleted(id: string): void {
    this.#hear(id, null)
  }

  async close(): Promise<void> {
    this.removeAllListeners()
    await this.#changes.return?.()
  }

  async #follow(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#changes.next()
        if (done === true) return
        this.#hear(value.key, value.current)
      }
    } catch (error) {
      this.emit('broken', error)
    }
  }

  async #list(heard: ReadonlyMap<string, DocumentRow | null>): Promise<void> {
    const rows = new Map<string, DocumentRow>()
    for await (const { id, metadata, conflicts } of this.#space.documents.list())
      rows.set(id, this.#rowOf(id, { value: metadata, conflicts }))
    for (const [id, row] of heard) setOrDelete(rows, id, row)
    const before = this.#rows
    this.#rows = rows
    const isSame =
      before?.size === rows.size && [...rows.values()].every((row) => before.get(row.id) === row)
    if (!isSame) this.emit('change')
  }

  #hear(id: string, told: Told | null): void {
    const row = told === null ? null : this.#rowOf(id, told)
    this.#heard?.set(id, row)
    if (this.#rows === null || this.#rows.get(id) === (row ?? undefined)) return
    setOrDelete(this.#rows, id, row)
    this.emit('change')
  }

  #rowOf(id: string, told: Told): DocumentRow {
    const row = rowOf(id, told)
    const known = this.#rows?.get(id)
    return known !== undefined && JSON.stringify(known) === JSON.stringify(row) ? known : row
  }
}

/** What is told of a document. */
type Told = Pick<Entry<string, Value>, 'value'> & Pick<ListedDocument, 'conflicts'>

function setOrDelete<K, V>(map: Map<K, V>, key: K, value: V | null): void {
  if (value === null) map.delete(key)
  else map.set(key, value)
}

function rowOf(id: string, { value, conflicts }: Told): DocumentRow {
  const title = titleOf(value)
  const others = conflicts.flatMap(({ path, value: other }) => {
    if (other === null) return []
    // Of the title alone, or of all that is told of the document.
    if (path.length === 0) return [titleOf(other)]
    return path.length === 1 && path[0] === 'title' ? [titleOf({ title: other })] : []
  })
  return { id, title, otherTitles: [...new Set(others)].filter((other) => other !== title) }
}

/** Another program may have put there what it liked. */
function titleOf(value: Value): string {
  const isFields = typeof value === 'object' && value !== null && 'title' in value
  const title = isFields ? value.title : null
  return typeof title === 'string' && title.trim() !== '' ? title : 'Untitled'
}

/**
 * A range of many logs without merging them: the order of the keys is known (speakers.ts), so each log's cursor gives its next
 * entries when their turn comes, and one that has none in what is read is never opened.
 *
 * It stands on the trees of which the keys are known. Where a log turns out to be another (its tree was found bad, or was cleared, and
 * the view reads on elsewhere), it fails before it gives anything of that; whoever reads it goes on by a merge
 * (`FallbackCursor`).
 */
import type { TreeEntry, TreeRange } from '../core/index.ts'
import { FIRST_BATCH, LARGEST_BATCH, type Cursor } from './cursor.ts'
import type { SpeakerTable } from './speaker-table.ts'
import type { KnownKeys } from './speakers.ts'
import type { RowGroup } from './view-rows.ts'

export interface SpeakerCursorParts {
  readonly keys: KnownKeys
  readonly range: TreeRange
  /** One part's entries in the range. */
  open(part: number): Cursor<TreeEntry>
  /** Whether all parts are still read as they were. */
  isCurrent(): boolean
}

export class SpeakerCursor implements Cursor<RowGroup> {
  readonly #parts: SpeakerCursorParts
  /** By part. */
  readonly #feeds: (Feed | undefined)[] = []
  /** How many keys of the stretch are behind us. */
  #passed = 0
  #isClosed = false

  constructor(parts: SpeakerCursorParts) {
    this.#parts = parts
  }

  /** Always a promise: so that it fails as one. */
  async nextBatch(size: number): Promise<readonly RowGroup[]> {
    if (this.#isClosed) return []
    const { table } = this.#parts.keys
    const indices: number[] = []
    const spoken: (readonly number[])[] = []
    // Keys of which only stale parts say something are not ours to tell.
    for (const end = this.#end; indices.length < size && this.#passed < end; this.#passed++) {
      const index = this.#index
      const speakers = this.#speakersAt(index)
      if (speakers.length === 0) continue
      indices.push(index)
      spoken.push(speakers)
    }
    const pulls = this.#pull(spoken)
    if (pulls.length > 0) await Promise.all(pulls)
    const groups = indices.map((index, i) => this.#groupOf(table, index, spoken[i] ?? NOBODY))
    if (!this.#parts.isCurrent()) throw new Moved()
    return this.#isClosed ? [] : groups
  }

  close(): void {
    this.#isClosed = true
    for (const feed of this.#feeds) void feed?.cursor.close()
  }

  /** How many keys there are. */
  get #end(): number {
    const { start, end } = this.#parts.keys
    return end - start
  }

  get #index(): number {
    const { keys, range } = this.#parts
    return range.reverse === true ? keys.end - 1 - this.#passed : keys.start + this.#passed
  }

  #speakersAt(index: number): readonly number[] {
    const { keys } = this.#parts
    return keys.placed(keys.table.speakersAt(index))
  }

  /** Asks each log for what it says at these keys. */
  #pull(spoken: readonly (readonly number[])[]): readonly Promise<void>[] {
    const asked: Feed[] = []
    for (const speakers of spoken) {
      for (const part of speakers) {
        const feed = (this.#feeds[part] ??= new Feed(this.#parts.open(part)))
        if (feed.wanted++ === 0) asked.push(feed)
      }
    }
    return asked.flatMap((feed) => feed.fill() ?? [])
  }

  #groupOf(table: SpeakerTable, index: number, sources: readonly number[]): RowGroup {
    const items: TreeEntry[] = []
    for (const part of sources) {
      const entry = this.#feeds[part]?.take()
      if (entry === undefined || !table.isAt(index, entry.key)) throw new Moved()
      items.push(entry)
    }
    return { key: items[0]?.key ?? NO_KEY, items, sources }
  }
}

const NOBODY: readonly number[] = []

/** A group is never empty. */
const NO_KEY = new Uint8Array(0)

/** Some log is not what it was. */
class Moved extends Error {}

/** A cursor, and what was pulled of it ahead. */
class Feed {
  readonly cursor: Cursor<TreeEntry>
  /** Entries that are to be taken next. */
  wanted = 0
  #entries: readonly TreeEntry[] = []
  #next = 0
  #size = 1

  constructor(cursor: Cursor<TreeEntry>) {
    this.cursor = cursor
  }

  take(): TreeEntry | undefined {
    this.wanted--
    return this.#entries[this.#next++]
  }

  /** So that all that is wanted can be taken, or all there is; null where nothing has to be waited for. */
  fill(): Promise<void> | null {
    const missing = this.wanted - (this.#entries.length - this.#next)
    if (missing <= 0) return null
    const batch = this.cursor.nextBatch(Math.max(missing, this.#size))
    // The first time just what is needed: many reads end there.
    this.#size = Math.min(Math.max(2 * this.#size, FIRST_BATCH), LARGEST_BATCH)
    if (!(batch instanceof Promise)) return this.#add(batch)
    return batch.then(async (entries) => void (await this.#add(entries)))
  }

  #add(batch: readonly TreeEntry[]): Promise<void> | null {
    const left = this.#next < this.#entries.length ? this.#entries.slice(this.#next) : []
    this.#entries = left.length === 0 ? batch : [...left, ...batch]
    this.#next = 0
    return batch.length === 0 ? null : this.fill()
  }
}

/**
 * Secondary indexes: the entries of a sub-database ordered by what stands in them instead of by their keys.
 *
 * An index shows exactly the entries that the view shows: as if the sub-database were read from end to end, the values at the
 * path taken out of each winner, and sorted. Where the local index stands for the view, its rows say which keys to look at
 * (stored-indexes.ts), each is looked up and folded as ever, and shown if its winner has the value. Otherwise the scan is done as
 * it stands, which costs a whole read.
 *
 * The slow twin is test/oracle/secondary.ts.
 */
import b4a from 'b4a'
import { isInRange, type ReadOptions, type TreeRange } from '../core/index.ts'
import { checkOptions, invalid } from '../errors.ts'
import { iterate, type Cursor } from './cursor.ts'
import { EntryCursor, lateCursor } from './entry-cursor.ts'
import { indexedValues, type IndexedValue, type IndexPath } from './index-path.ts'
import type { Range } from './keyspace.ts'
import type { Change, Entry } from './entry.ts'
import {
  RANGE_OPTIONS,
  READ_OPTIONS,
  STREAM_OPTIONS,
  streamRead,
  type StreamOptions
} from './options.ts'
import { encodeOrdered, isIndexable, type Indexable } from './ordered-value.ts'
import type { IndexRow } from './stored-indexes.ts'
import type { FoldedKey, View } from './view.ts'

/** An entry, under one of the values that it is indexed by. */
export interface IndexedEntry<K, V> extends Entry<K, V> {
  readonly indexed: Indexable
}

/** What an index asks of its database. */
export interface IndexedDatabase<K, V> {
  /** What all keys of the sub-database begin with. */
  readonly prefix: Uint8Array
  /** All of them. */
  readonly range: TreeRange
  view(options: ReadOptions): Promise<View>
  entryOf(folded: FoldedKey): Entry<K, V> | null
  changeOf(key: Uint8Array, before: FoldedKey, after: FoldedKey): Change<K, V> | null
  /** Changes of the whole sub-database. */
  watch(
    changeOf: (key: Uint8Array, before: FoldedKey, after: FoldedKey) => Change<K, V> | null
  ): AsyncIterableIterator<Change<K, V>>
  /** What to throw for an error. */
  explain(error: unknown): unknown
}

/** A key whose winner has a value in the range asked for. */
interface Hit {
  readonly indexed: IndexedValue
  readonly folded: FoldedKey
}

/** The entries of a sub-database, ordered by one path. */
export class SecondaryIndex<K, V> {
  readonly #path: IndexPath
  readonly #db: IndexedDatabase<K, V>

  /** @see MultiBee.by */
  constructor(path: IndexPath, db: IndexedDatabase<K, V>) {
    this.#path = path
    this.#db = db
  }

  /**
   * The entries whose value at the path is in a range, by value and then by key, as of this call. An entry comes once for each of
   * its values; without bounds, every entry that has one. Bounds are values: `{ gt: 18 }` leaves out every entry with an 18.
   * @example for await (const { indexed, key, value } of db.by('email').createReadStream({ gte: 'a', lt: 'b' })) { }
   */
  createReadStream(
    options: StreamOptions<Indexable> = {}
  ): AsyncIterableIterator<IndexedEntry<K, V>> {
    checkOptions('createReadStream', options, STREAM_OPTIONS)
    const { range, reverse, limit, read } = streamRead(options)
    const bounds = { ...boundsOf(range), reverse }
    const view = this.#db.view(read)
    view.catch(() => {}) // shown by the first read, if there is one
    const cursor = lateCursor(
      async () => this.#hits(await view, bounds, read),
      (error) => {
        throw this.#db.explain(error)
      }
    )
    return iterate(new EntryCursor(cursor, limit, (hit) => this.#entryOf(hit)))
  }

  /** The entries with exactly this value at the path, by key. */
  async get(value: Indexable, options: ReadOptions = {}): Promise<readonly IndexedEntry<K, V>[]> {
    checkOptions('get', options, READ_OPTIONS)
    const entries: IndexedEntry<K, V>[] = []
    const equal = { ...options, gte: value, lte: value }
    for await (const entry of this.createReadStream(equal)) entries.push(entry)
    return entries
  }

  /**
   * Each change, from now on, of an entry that has or had a value in the range. `current` is null when the entry is gone or has
   * left the range, `previous` is null when it is new or has come into it.
   * @example for await (const { key, current } of db.by('tags').watch({ gte: 'work', lte: 'work' })) { }
   */
  watch(range: Range<Indexable> = {}): AsyncIterableIterator<Change<K, V>> {
    checkOptions('watch', range, RANGE_OPTIONS)
    const bounds = boundsOf(range)
    return this.#db.watch((key, before, after) => {
      const [was, is] = [this.#isIn(before, bounds), this.#isIn(after, bounds)]
      const change = was || is ? this.#db.changeOf(key, before, after) : null
      if (change === null) return null
      const current = is ? change.current : null
      const previous = was ? change.previous : null
      return current === null && previous === null ? null : { ...change, current, previous }
    })
  }

  async #hits(view: View, bounds: TreeRange, read: ReadOptions): Promise<Cursor<Hit>> {
    const { prefix, range } = this.#db
    const path = this.#path
    const scanBehind = (last: IndexRow | null) => scan({ view, range, path, bounds, read }, last)
    const rows = await view.indexed({ prefix, path }, bounds)
    if (rows === null) return scanBehind(null)
    return new StoredHits(rows, (key) => view.get(key, read), path, scanBehind)
  }

  #entryOf({ indexed, folded }: Hit): IndexedEntry<K, V> | null {
    const entry = this.#db.entryOf(folded)
    return entry === null ? null : { ...entry, indexed: indexed.value }
  }

  #isIn(folded: FoldedKey, bounds: TreeRange): boolean {
    return valuesOf(folded, this.#path).some(({ bytes }) => isInRange(bytes, bounds))
  }
}

/** Of values only: what a counter, a set or a user's type comes to does not stand in any one entry. */
function valuesOf({ type, value }: FoldedKey, path: IndexPath): readonly IndexedValue[] {
  return type === 'value' ? indexedValues(value, path) : []
}

/**
 * What the rows of a stored index lead to. They name candidates: a row stands for one core's entry, which need not be the winner.
 * Where they do not read any more, a scan goes on behind the last one.
 */
class StoredHits implements Cursor<Hit> {
  readonly #rows: Cursor<IndexRow>
  readonly #get: (key: Uint8Array) => FoldedKey | Promise<FoldedKey>
  readonly #path: IndexPath
  readonly #scanBehind: (last: IndexRow | null) => Promise<Cursor<Hit>>
  #last: IndexRow | null = null
  #scanned: Cursor<Hit> | null = null

  constructor(
    rows: Cursor<IndexRow>,
    get: (key: Uint8Array) => FoldedKey | Promise<FoldedKey>,
    path: IndexPath,
    scanBehind: (last: IndexRow | null) => Promise<Cursor<Hit>>
  ) {
    this.#rows = rows
    this.#get = get
    this.#path = path
    this.#scanBehind = scanBehind
  }

  async nextBatch(size: number): Promise<readonly Hit[]> {
    if (this.#scanned !== null) return this.#scanned.nextBatch(size)
    try {
      return await this.#nextHits(size)
    } catch {
      // The index is to blame: what cannot be read in the logs either is shown by the scan.
      this.#scanned = await this.#scanBehind(this.#last)
      return this.#scanned.nextBatch(size)
    }
  }

  async close(): Promise<void> {
    await this.#rows.close()
  }

  async #nextHits(size: number): Promise<readonly Hit[]> {
    for (;;) {
      const rows = await this.#rows.nextBatch(size)
      if (rows.length === 0) return []
      const folded = await Promise.all(rows.map(async ({ key }) => this.#get(key)))
      this.#last = rows.at(-1) ?? null
      const hits = rows.flatMap((row, i) => this.#hitsOf(row, folded[i]))
      if (hits.length > 0) return hits
    }
  }

  #hitsOf(row: IndexRow, folded: FoldedKey | undefined): readonly Hit[] {
    if (folded === undefined) return []
    const values = valuesOf(folded, this.#path)
    const indexed = values.find(({ bytes }) => b4a.equals(bytes, row.bytes))
    return indexed === undefined ? [] : [{ indexed, folded }]
  }
}

interface Scan {
  readonly view: View
  /** Keys. */
  readonly range: TreeRange
  readonly path: IndexPath
  /** Values. */
  readonly bounds: TreeRange
  readonly read: ReadOptions
}

/** Goes through everything, and sorts. */
async function scan(
  { view, range, path, bounds, read }: Scan,
  behind: IndexRow | null
): Promise<Cursor<Hit>> {
  const direction = bounds.reverse === true ? -1 : 1
  const start = behind === null ? null : b4a.concat([behind.bytes, behind.key])
  const hits: (Hit & { readonly row: Uint8Array })[] = []
  for await (const folded of iterate(view.cursor(range, read))) {
    for (const indexed of valuesOf(folded, path)) {
      if (!isInRange(indexed.bytes, bounds)) continue
      const row = b4a.concat([indexed.bytes, folded.key])
      if (start !== null && direction * b4a.compare(row, start) <= 0) continue
      hits.push({ indexed, folded, row })
    }
  }
  hits.sort((a, b) => direction * b4a.compare(a.row, b.row))
  let next = 0
  return {
    nextBatch: (size) => hits.slice(next, (next += size)),
    close() {}
  }
}

function boundsOf({ gt, gte, lt, lte }: Range<Indexable>): TreeRange {
  if (gt !== undefined && gte !== undefined) invalid('gt', 'no gte beside it', gt)
  if (lt !== undefined && lte !== undefined) invalid('lt', 'no lte beside it', lt)
  return {
    ...(gt === undefined ? {} : { gt: boundOf('gt', gt) }),
    ...(gte === undefined ? {} : { gte: boundOf('gte', gte) }),
    ...(lt === undefined ? {} : { lt: boundOf('lt', lt) }),
    ...(lte === undefined ? {} : { lte: boundOf('lte', lte) })
  }
}

function boundOf(name: string, value: unknown): Uint8Array {
  if (isIndexable(value)) return encodeOrdered(value)
  return invalid(name, 'null, a boolean, a number, a string or bytes', value)
}

/**
 * The local index: the union kept ready in an ordered store of this device, so that a read costs one lookup however many writers
 * there are. It is derived data: it may be deleted at any time, and is built again.
 *
 * A row holds, for one key, the current entry of every core, as it stands in that core's tree. Folding happens at reading, by
 * the same code as over the trees (view.ts), so the two cannot differ in what wins. Laws:
 * - For a view, a core's entries are taken from the rows only while it stands in them at exactly the view's length; else from
 *   its tree.
 * - A core moves from one length to another, forward or back, by the difference of its trees at the two (core/tree/diff.ts);
 *   the rows it changes and its cursor are written in one batch. A move of more rows than one batch takes leaves a mark, and
 *   is made again from its beginning when it was cut short. Where one of the trees was cleared, the rows are compared with the
 *   other (index-reread.ts).
 * - A cursor names the tree hash at its greatest length. Another hash, another format, rows that do not parse, a store that does not
 *   read: everything is thrown away and built again.
 *
 * Costs one row read and written per key that changed. The slow twin is the streaming view. What stands in the store:
 * index-rows.ts; what a view reads of it: view-rows.ts.
 */
import b4a from 'b4a'
import z32 from 'z32'
import {
  TreeDiff,
  TreeRefusal,
  type Branch,
  type LogReader,
  type OrderedChange,
  type OrderedStore,
  type TreeChange,
  type TreeSnapshot,
  type Work
} from '../core/index.ts'
import { isManyhandsError } from '../errors.ts'
import { compareRows, isLogFailure, type RowSource } from './check-index.ts'
import { mapCursor } from './cursor.ts'
import { RowDiff } from './index-reread.ts'
import {
  decodeRow,
  encodeCursor,
  entriesOf,
  entriesIn,
  entryOf,
  HEADER_KEY,
  NO_ROW,
  readPlaces,
  ROW,
  rowBatches,
  rowRange,
  rowWith,
  VERSION,
  type Place
} from './index-rows.ts'
import { isIndexed } from './keyspace.ts'
import type { Part } from './part.ts'
import { StoredIndexes, type IndexDefinition } from './stored-indexes.ts'
import { groupAt, groupsIn, type Rows, type Sources } from './view-rows.ts'

/** Rows in one write: what they are made of is garbage before it is old. A write of its own costs next to nothing. */
const ROWS_PER_WRITE = 512

/** A core that is being read into the index. */
export interface IndexProgress {
  /** The log's key in text form. */
  readonly writer: string
  /** From 0 to 1, roughly. */
  readonly progress: number
}

/** Why an index was thrown away. */
export type IndexRebuild =
  /** A log is not the one that was indexed. */
  | 'log-changed'
  /** It did not read. */
  | 'damaged'

export interface IndexHooks {
  onprogress(progress: IndexProgress): void
  onrebuild(reason: IndexRebuild): void
}

type LogOf = (core: Uint8Array) => LogReader | null

/** A store that fails so often in a row is left alone until the space is opened again. */
const MAX_FAILURES = 3

export class LocalIndex {
  readonly #store: OrderedStore
  readonly #space: Uint8Array
  readonly #hooks: IndexHooks
  #places: Map<string, Place>
  /** The trees that cores stand at: their nodes are in memory still when the next move begins. */
  readonly #trees = new Map<string, TreeSnapshot>()
  /** Of logs that were met in another history, which one the rows are of. */
  readonly #branches = new Map<string, Branch | null>()
  #indexes: StoredIndexes
  /** Cores whose place was compared with their log since the index was opened. */
  readonly #checked = new Set<string>()
  /** Moves take turns. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Rises with every write: what was read before stands for another view. */
  #round = 0
  /** Something did not read: to be built again before anything else. */
  #isDamaged = false
  /** In a row. */
  #failures = 0
  #isClosed = false

  /** Owns the store from now on. @param space 32 bytes that name what is indexed */
  static async open(
    store: OrderedStore,
    space: Uint8Array,
    hooks: IndexHooks
  ): Promise<LocalIndex> {
    const read = () => Promise.all([readPlaces(store, space), StoredIndexes.open(store)])
    const [places, indexes] = await read().catch(() => [null, new StoredIndexes(store)] as const)
    const index = new LocalIndex(store, space, places ?? new Map(), indexes, hooks)
    if (places === null) await index.#startAnew().catch(() => {}) // damaged, then
    return index
  }

  private constructor(
    store: OrderedStore,
    space: Uint8Array,
    places: Map<string, Place>,
    indexes: StoredIndexes,
    hooks: IndexHooks
  ) {
    this.#store = store
    this.#space = space
    this.#places = places
    this.#indexes = indexes
    this.#hooks = hooks
  }

  /** How many blocks lie between where the index stands and the lengths of a view; Infinity when it has to be built again. */
  distance(parts: readonly Part[]): number {
    if (this.#isDamaged) return Infinity
    return parts.reduce((sum, { writer, tree }) => {
      const place = this.#places.get(writer)
      if (place === undefined) return sum + tree.length
      return sum + (place.movingTo === null ? Math.abs(place.length - tree.length) : Infinity)
    }, 0)
  }

  /**
   * Moves the rows to the lengths of a view, as far as that can be done: what is left is read from the trees. 'refused' when one
   * of these was found bad: a later view shows less. Never rejects: nothing else that goes wrong here is wrong with the data.
   */
  follow(parts: readonly Part[], logOf: LogOf): Promise<'done' | 'refused'> {
    const followed = this.#turn.then(() => this.#follow(parts, logOf))
    this.#turn = followed
    return followed
  }

  /**
   * Compares everything with the logs, as of now: what differs, in a sentence each; [] for an index that is right. It may be
   * behind them, as far as it says so. Only looks.
   */
  async check(logOf: LogOf, work: Work = {}): Promise<readonly string[]> {
    const opened = this.#turn.then(() => (this.#isClosed ? null : this.#openCheck(logOf)))
    this.#turn = opened.catch(() => {}) // told below
    try {
      const check = await opened
      if (check === null) return []
      try {
        return [
          ...(await compareRows(check.source, work)),
          ...(await check.indexes.differences(work.signal))
        ]
      } finally {
        await check.indexes.close()
      }
    } catch (error) {
      work.signal?.throwIfAborted()
      if (isLogFailure(error)) return [] // which is found by reading the log
      if (!this.#isClosed) this.#distrust()
      return [`It cannot be read: ${error instanceof Error ? error.message : String(error)}`]
    }
  }

  /** A log is read in another of its histories from now on: what the rows say of it is compared with that before it is read. */
  changeBranch({ id, branch }: LogReader): void {
    this.#branches.set(id, branch)
    const mix = () => {
      const place = this.#places.get(id)
      this.#trees.delete(id)
      if (place !== undefined) this.#mix(id, place)
    }
    mix()
    this.#turn = this.#turn.then(mix) // a move that is under way still writes the other history
  }

  /** Throws everything away and builds it again. */
  async rebuild(parts: readonly Part[], logOf: LogOf): Promise<void> {
    this.#failures = 0
    this.#distrust()
    await this.follow(parts, logOf)
  }

  /** Bytes of it on the disk. */
  bytes(): Promise<number> {
    return this.#store.bytes()
  }

  /** Cursors on everything, of one moment: while it is this one's turn, nothing is written. */
  #openCheck(logOf: LogOf) {
    const places = [...this.#places].flatMap(([writer, place]) => {
      const log = place.movingTo === null ? logOf(z32.decode(writer)) : null
      return log === null ? [] : [{ log, place }]
    })
    const trees = places.map(({ log, place: { number, length } }) =>
      mapCursor(log.reread(length).cursor({}, HERE), ({ key, seq, value }) => ({
        key,
        items: [{ number, seq, value }]
      }))
    )
    const rows = mapCursor(this.#store.cursor(rowRange({})), ([key, value]) => ({
      key: key.subarray(1),
      items: decodeRow(value)
    }))
    const indexes = this.#indexes.checker()
    const source: RowSource = {
      rows,
      trees,
      numbers: new Set(places.map(({ place }) => place.number)),
      onrow: ({ key, items }) => indexes.expect(key, items.map(entryOf))
    }
    return { source, indexes }
  }

  /** Waits for a move under way, which stops at its next batch. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#turn
    await this.#store.close()
  }

  async #follow(parts: readonly Part[], logOf: LogOf): Promise<'done' | 'refused'> {
    if (this.#isClosed || this.#failures >= MAX_FAILURES) return 'done'
    try {
      if (this.#isDamaged) await this.#repair()
      await this.#checkLogs(parts, logOf)
      for (const part of parts) {
        const log = logOf(part.core)
        if (log !== null && (await this.#moveTo(log, part)) === 'refused') return 'refused'
      }
      this.#failures = 0
    } catch {
      // A log that closes meanwhile, or a store that fails: which is known by `#isDamaged`.
    }
    return 'done'
  }

  async #repair(): Promise<void> {
    this.#failures++
    await this.#rebuild('damaged')
  }

  async #rebuild(reason: IndexRebuild): Promise<void> {
    this.#hooks.onrebuild(reason)
    await this.#startAnew()
  }

  async #startAnew(): Promise<void> {
    this.#round++
    this.#places = new Map()
    this.#indexes = new StoredIndexes(this.#store)
    this.#checked.clear()
    this.#trees.clear()
    const header = b4a.concat([b4a.from([VERSION]), this.#space])
    await this.#inStore(async () => {
      await this.#store.clear()
      await this.#store.write([{ key: HEADER_KEY, value: header }])
    })
    this.#isDamaged = false
  }

  /** What fails here is the store's damage. */
  async #inStore<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      this.#distrust()
      throw error
    }
  }

  #distrust(): void {
    this.#isDamaged = true
  }

  /** Throws everything away when a log is not the one that was read in. */
  async #checkLogs(parts: readonly Part[], logOf: LogOf): Promise<void> {
    for (const { core, writer } of parts) {
      const place = this.#places.get(writer)
      if (place === undefined || this.#checked.has(writer)) continue
      const length = Math.max(place.length, place.movingTo ?? 0)
      const treeHash = await hashHere(logOf(core), length)
      if (treeHash === 'gone') {
        this.#mix(writer, { ...place, length })
        continue
      }
      if (treeHash === null || !b4a.equals(treeHash, place.treeHash)) {
        return this.#rebuild('log-changed')
      }
      this.#checked.add(writer)
    }
  }

  /** What the rows of a core say is to be compared with its tree before it is read. */
  #mix(writer: string, place: Place): void {
    this.#round++
    this.#places.set(writer, { ...place, movingTo: place.length })
  }

  async #moveTo(log: LogReader, part: Part): Promise<'done' | 'refused'> {
    if (part.tree.branch !== log.branch) return 'done' // a view from before
    const place = this.#places.get(part.writer)
    try {
      await this.#moveOrReread(log, place ?? null, part.tree)
    } catch (error) {
      if (error instanceof TreeRefusal) {
        await part.refuse(error)
        return 'refused'
      }
      // What is not here to be read in is read from the tree beside it, where it is missing as well.
      nullIfGone(error)
    }
    return 'done'
  }

  async #moveOrReread(log: LogReader, from: Place | null, tree: TreeSnapshot): Promise<void> {
    if (from === null) return this.#move(log, null, tree)
    if (from.movingTo === from.length) return this.#reread(log, from, tree)
    try {
      if (from.movingTo !== null) await this.#move(log, from, log.treeAt(from.movingTo))
      await this.#move(log, this.#places.get(log.id) ?? null, tree)
    } catch (error) {
      nullIfGone(error)
      // What it stands at was cleared, where the rows themselves need only the tree that is there now.
      await this.#reread(log, from, tree)
    }
  }

  /** Brings one core from one length to another; stops half-way when the index closes. */
  async #move(log: LogReader, from: Place | null, tree: TreeSnapshot): Promise<void> {
    if (tree.length === (from?.length ?? 0) && (from?.movingTo ?? null) === null) return
    const target = await this.#target(log, from, tree)
    const diff = new TreeDiff(this.#treeOf(log, from?.length ?? 0), tree, {}, HERE)
    await this.#apply(log, diff, target, midwayOf(from, target))
    this.#trees.set(log.id, tree)
  }

  /** Brings one core to a length from wherever its rows stand; stops half-way when the index closes. */
  async #reread(log: LogReader, from: Place, tree: TreeSnapshot): Promise<void> {
    const target = await this.#target(log, from, tree)
    const rows = entriesOf(this.#store.cursor(rowRange({})), from.number, (task) =>
      this.#inStore(task)
    )
    const diff = new RowDiff(rows, log, tree, HERE)
    await this.#apply(log, diff, target, { ...target, movingTo: target.length })
    this.#trees.set(log.id, tree)
  }

  async #apply(log: LogReader, diff: Changes, target: Place, midway: Place): Promise<void> {
    try {
      for (let isLast = false; !isLast;) {
        const changes = await diff.nextBatch(ROWS_PER_WRITE)
        isLast = changes.length < ROWS_PER_WRITE
        if (this.#isClosed) return
        const rows = await this.#inStore(() => this.#merge(target.number, changes))
        await this.#write(log, rows, isLast ? target : midway)
        this.#hooks.onprogress({ writer: log.id, progress: isLast ? 1 : diff.progress })
      }
    } finally {
      await diff.close()
    }
  }

  #treeOf(log: LogReader, length: number): TreeSnapshot {
    const known = this.#trees.get(log.id)
    return known?.length === length ? known : log.treeAt(length)
  }

  async #target(log: LogReader, from: Place | null, { length }: TreeSnapshot): Promise<Place> {
    const treeHash = await log.treeHash(length, HERE)
    if (treeHash === null) throw new Error('A log became shorter while it was indexed')
    return { number: from?.number ?? this.#places.size, length, treeHash, movingTo: null }
  }

  async #write(log: LogReader, rows: readonly OrderedChange[], place: Place): Promise<void> {
    // Nobody reads this core by its rows from here on, until they are written.
    this.#round++
    this.#places.set(log.id, { ...place, movingTo: place.length })
    await this.#inStore(() => this.#store.write([...rows, encodeCursor(log.key, place)]))
    this.#round++
    this.#places.set(log.id, place)
    this.#checked.add(log.id)
  }

  /** The rows of some keys with one core's entries put in, or taken out. */
  async #merge(number: number, all: readonly TreeChange[]): Promise<OrderedChange[]> {
    const changes = all.filter(({ key }) => isIndexed(key))
    const keys = changes.map(({ key }) => b4a.concat([ROW, key]))
    // While there is one core only, its rows are its own.
    const isAlone = [...this.#places.values()].every((place) => place.number === number)
    const rows = isAlone && this.#indexes.isEmpty ? [] : await this.#store.getMany(keys)
    const merged: OrderedChange[] = []
    changes.forEach(({ key, right }, i) => {
      const before = rows[i] ?? NO_ROW
      const after = rowWith(before, number, right)
      merged.push({ key: keys[i] ?? ROW, value: after })
      if (this.#indexes.isEmpty) return
      merged.push(...this.#indexes.changes(key, entriesIn(before), entriesIn(after ?? NO_ROW)))
    })
    return merged
  }

  /** In a turn of its own: while an index is built, nothing else is written. False when it cannot be had. */
  #prepare(definition: IndexDefinition): Promise<boolean> {
    const prepare = () =>
      this.#inStore(() =>
        this.#indexes.prepare(
          definition,
          (range) => rowBatches(this.#store, range),
          () => this.#isClosed
        )
      )
    const prepared = this.#turn
      .then(() => !this.#isClosed && !this.#isDamaged && prepare())
      .catch(() => false) // the store is distrusted by now
    this.#turn = prepared
    return prepared
  }

  /** What the rows can say of a view now. Null when they do not read. */
  rowsFor(parts: readonly Part[]): Rows | null {
    if (this.#isDamaged || this.#isClosed) return null
    const round = this.#round
    const store = this.#store
    const { sources, stale } = this.#standing(parts)
    const inStore = <T>(task: () => Promise<T>) => this.#inStore(task)
    const distrust = () => {
      this.#distrust()
      return null
    }
    const isCurrent = () => round === this.#round && !this.#isDamaged && !this.#isClosed
    return {
      isCurrent,
      stale,
      indexed: async (definition, range) => {
        if (stale.length > 0) return null
        if (!this.#indexes.isReady(definition) && !(await this.#prepare(definition))) return null
        if (!isCurrent()) return null
        const cursor = this.#indexes.cursor(definition, range)
        return {
          nextBatch: (size) => inStore(async () => cursor.nextBatch(size)),
          close: () => cursor.close()
        }
      },
      get: (key) => groupAt(store, key, sources, distrust),
      cursor: (range) => groupsIn(store, range, sources, inStore)
    }
  }

  /** Which parts of a view the rows stand for, and which not. */
  #standing(parts: readonly Part[]): { sources: Sources; stale: readonly number[] } {
    const sources: (readonly number[] | undefined)[] = []
    const stale: number[] = []
    parts.forEach(({ writer, tree }, i) => {
      const place = this.#places.get(writer)
      const { branch } = tree
      const isBranch = (this.#branches.get(writer) ?? branch) === branch
      const isThere = place?.length === tree.length && place.movingTo === null && isBranch
      if (isThere) sources[place.number] = [i]
      else if (tree.length > 0) stale.push(i)
    })
    return { sources, stale }
  }
}

/** An index never waits for the network. */
const HERE = { wait: false }

/** What one core's rows have to change by, in key order; fewer than asked for only at the end. */
interface Changes {
  nextBatch(size: number): Promise<readonly TreeChange[]>
  readonly progress: number
  close(): void | Promise<void>
}

/** Where a core stands while only a part of its rows has moved. */
function midwayOf(from: Place | null, { number, length: movingTo, treeHash }: Place): Place {
  const isForward = from === null || from.length <= movingTo
  const length = from?.length ?? 0
  return { number, length, movingTo, treeHash: isForward ? treeHash : from.treeHash }
}

/** What a log hashes to at a length; null when it is shorter, 'gone' when what the hash is made of was cleared. */
async function hashHere(
  log: LogReader | null,
  length: number
): Promise<Uint8Array | 'gone' | null> {
  if (log === null) return null
  try {
    return await log.treeHash(length, HERE)
  } catch (error) {
    return nullIfGone(error) ?? 'gone'
  }
}

/** Null for what is not here, or was cleared; everything else is thrown. */
function nullIfGone(error: unknown): null {
  const isGone =
    isManyhandsError(error, 'VERSION_UNAVAILABLE') || isManyhandsError(error, 'BLOCK_UNAVAILABLE')
  if (!isGone) throw error
  return null
}

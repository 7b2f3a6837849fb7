/**
 * MultiBee: many devices' bees as one ordered key-value database. Feels like Hyperbee; where several devices wrote one key, the
 * fold decides and the rest shows as conflicts.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import b4a from 'b4a'
import type { EventEmitter } from 'eventemitter3'
import type { MergeType, Value } from '../crdt/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../errors.ts'
import { isInRange, type ReadOptions, type TreeRange } from '../core/index.ts'
import { MultiBeeBatch, type Waiting } from './batch.ts'
import type { CasLoss } from './cas-losses.ts'
import { checkoutOf, readVersion, snapshotOf, versionNow } from './checkout.ts'
import { iterate, type Cursor } from './cursor.ts'
import { Diff } from './diff.ts'
import {
  inheritEncoding,
  keyEncodingOf,
  valueEncodingOf,
  type KeyEncoding,
  type KeyEncodingOption,
  type KeyOf,
  type ValueEncoding
} from './encodings.ts'
import { closedError, readOnlyError, type Engine } from './engine.ts'
import {
  EntryCodec,
  isUnreadable,
  type Change,
  type Difference,
  type Entry,
  type HistoryEntry,
  type Misfit,
  type Written
} from './entry.ts'
import { EntryCursor, lateCursor } from './entry-cursor.ts'
import { EntryWatcher } from './entry-watcher.ts'
import type { Operation } from './group.ts'
import { explainKey, type Explanation } from './explain.ts'
import { ConflictWatch } from './conflict-watch.ts'
import { History } from './history.ts'
import { findIndexPath, parseIndexPaths, type IndexPath } from './index-path.ts'
import { Keyspace, type Range } from './keyspace.ts'
import {
  checkRead,
  checkSignal,
  checkWork,
  historyRead,
  PEEK_OPTIONS,
  RANGE_OPTIONS,
  READ_OPTIONS,
  STREAM_OPTIONS,
  streamRead,
  WORK_OPTIONS,
  type CasOptions,
  type HistoryStreamOptions,
  type PatchOf,
  type PutOptions,
  type StreamOptions,
  type Update
} from './options.ts'
import { overlay } from './overlay.ts'
import type { PurgeOptions, PurgeReport } from './purge.ts'
import { Line } from './schema.ts'
import { SecondaryIndex } from './secondary.ts'
import {
  isSubAtomic,
  SUB_OPTIONS,
  subValues,
  type AnySubOptions,
  type SchemaOptions,
  type SubOptions
} from './sub-options.ts'
import { Counter, Extreme, Flag, TypedValue, ValueSet, type TypedTarget } from './typed-values.ts'
import type { FoldedKey, View } from './view.ts'
import { Watcher } from './watch.ts'
import type { WriteQueue } from './write-queue.ts'
import { Writes } from './writes.ts'

export type { Engine } from './engine.ts'
export type { Change, Conflict, Difference, Entry, HistoryEntry, Misfit } from './entry.ts'
export type {
  Cas,
  CasOptions,
  HistoryStreamOptions,
  PatchOf,
  Proposal,
  PutOptions,
  StreamOptions,
  Update
} from './options.ts'

export interface MultiBeeEvents<K, V> {
  /**
   * What was written with `cas` has lost after all: another device wrote the key without having seen it, and won. Once per
   * write; not when a later write that had seen it takes its place. The latest 10,000 such writes since opening are watched.
   */
  'cas-lost': [
    {
      readonly key: K
      /** What lost: none for the whole value, or the first field that did. */
      readonly path: readonly string[]
      /** What lost; null for a deletion. */
      readonly value: V | Value | null
      /** Null when a deletion won. */
      readonly winner: Entry<K, V> | null
    }
  ]
  /**
   * A key shows a conflict that it did not show before: once per conflict, from the first listener on. `conflicts()` gives those
   * that stand already. The value of the entry is null where a deletion won.
   */
  conflict: [{ readonly key: K; readonly entry: Entry<K, V | null> }]
}

/** Keys `K`, values `V`; `I` is what may be put, where a schema makes a `V` of it. */
export class MultiBee<K = string, V = Value, I = V> {
  readonly #engine: Engine
  readonly #codec: EntryCodec<K, V, I>
  readonly #indexes: readonly IndexPath[]
  /** Objects are one register each. */
  readonly #isAtomic: boolean
  readonly #writes: Writes<K, V, I>
  /** Writes whose schema answers later keep their order. */
  readonly #line = new Line()
  #events: ConflictWatch<K, V> | null = null

  /** @see openMultiBee, Space.db */
  constructor(
    engine: Engine,
    space: Keyspace,
    keys: KeyEncoding<K>,
    values: ValueEncoding<V>,
    indexes: readonly IndexPath[] = [],
    isAtomic = false
  ) {
    this.#engine = engine
    this.#indexes = indexes
    this.#isAtomic = isAtomic
    this.#codec = new EntryCodec(space, keys, values, engine.refusals, engine.fixed?.excludedSince)
    this.#writes = new Writes(this.#codec, isAtomic, (folded) => this.#readable(folded))
  }

  /** Whether this device writes to this database. */
  get writable(): boolean {
    return this.#engine.queue !== null
  }

  /** Of the keys of this database, in its encodings. Nothing for a sub-database's, or its parent's. */
  get events(): EventEmitter<MultiBeeEvents<K, V>> {
    if (this.#events === null) {
      this.#events = new ConflictWatch(this.#engine.union, this.#codec)
      this.#engine.queue?.losses.events.on('lost', (loss) => this.#emitLoss(loss))
    }
    return this.#events
  }

  /** Resolves when all logs are open. Not needed before other calls. @throws VERSION_UNAVAILABLE for a checkout */
  async ready(): Promise<void> {
    this.#checkOpen()
    await (this.#engine.fixed !== null ? this.#view({}) : this.#engine.union.ready())
  }

  /**
   * The entry of a key, or null.
   * @throws ENTRY_UNSUPPORTED when a newer version wrote it; BLOCK_UNAVAILABLE in a sparse space with `wait: false` or after
   * `timeout`
   */
  get(key: K, options: ReadOptions = {}): Promise<Entry<K, V> | null> {
    return this.#get(key, options)
  }

  /**
   * Sets the value of a key, over everything that this device has seen there. Of an object only the fields that differ are written:
   * what other devices write to other fields meanwhile stays beside it. Resolves when it is durable. Puts issued together are
   * appended together.
   * @returns false when `cas` said no: nothing was written
   * @throws KEY_INVALID, VALUE_INVALID, VALUE_TOO_LARGE (nothing was written), STORE_ codes, READ_ONLY, what `cas` throws;
   * with `cas`, ENTRY_UNSUPPORTED and BLOCK_UNAVAILABLE as from `get` with `wait: false`
   */
  async put(key: K, value: I, options: PutOptions<K, V> = {}): Promise<boolean> {
    this.#queue()
    return this.#write([this.#writes.put(key, value, options)])
  }

  /**
   * Sets some fields of an object, whatever the others are; undefined deletes a field, a nested object patches nested fields.
   * @example await db.patch('contacts/ann', { phone: '2', fax: undefined, address: { city: 'Rome' } })
   * @throws as `put`; with a schema, VALUE_INVALID when the merged object does not fit
   */
  async patch(key: K, fields: PatchOf<V>, options: CasOptions<K, V> = {}): Promise<boolean> {
    this.#queue()
    return this.#write([this.#writes.patch(key, fields, options)])
  }

  /**
   * Reads, changes and writes a value in one go: nothing is written in between on this device, and what other devices write
   * meanwhile is merged as ever.
   * @returns false when `update` gave undefined: nothing was written
   * @throws as `put` with `cas`
   * @example await db.update('todo', (list) => [...(list ?? []), 'milk'])
   */
  async update(key: K, update: Update<K, V, I>): Promise<boolean> {
    this.#queue()
    let isWanted = false
    await this.#write([this.#writes.update(key, update, () => (isWanted = true))])
    return isWanted
  }

  /** Sets the value of a key and ends all its conflicts, also at fields that stay as they are. @throws as `put` */
  async resolve(key: K, value: I): Promise<void> {
    this.#queue()
    await this.#write([this.#writes.put(key, value, {}, true)])
  }

  /** A number that everybody adds to. @example await db.counter('visits').add(3) */
  counter(key: K): Counter<Promise<void>> {
    return new Counter(this.#target(key))
  }

  /** A set of values. @example await db.set<string>('tags').add('blue') */
  set<E extends Value = Value>(key: K): ValueSet<E, Promise<void>> {
    return new ValueSet(this.#target(key))
  }

  /** Something that is on or off. @example await db.flag('done').enable() */
  flag(key: K): Flag<Promise<void>> {
    return new Flag(this.#target(key))
  }

  /** The greatest number that anybody gave. @example await db.max('record').add(17) */
  max(key: K): Extreme<Promise<void>> {
    return new Extreme(this.#target(key), 'max')
  }

  /** The least number that anybody gave. */
  min(key: K): Extreme<Promise<void>> {
    return new Extreme(this.#target(key), 'min')
  }

  /**
   * A value of a merge type of your own, which this sub-database was declared with (`types`).
   * @example await db.sub('polls', { types: [votes] }).typed('lunch', votes).apply('pizza')
   */
  typed<Operation, Result extends Value, State>(
    key: K,
    type: MergeType<Operation, Result, State>
  ): TypedValue<Operation, Result, Promise<void>> {
    return new TypedValue(this.#target(key), type)
  }

  /**
   * Deletes a key, if it is there. A put by another device that had not seen the deletion survives it.
   * @returns false when `cas` said no: nothing was written
   */
  async del(key: K, options: CasOptions<K, V> = {}): Promise<boolean> {
    this.#queue()
    return this.#write([this.#writes.del(key, options)])
  }

  /** Puts and deletions that are written together, or not at all. */
  batch(): MultiBeeBatch<K, V, I> {
    this.#queue()
    return new MultiBeeBatch<K, V, I>({
      writes: this.#writes,
      folded: async (key, waiting) => {
        this.#checkOpen()
        return this.#after(this.#codec.encodeKey(key), {}, waiting)
      },
      write: (operations) => this.#write(operations),
      get: (key, options, waiting) => this.#get(key, options, waiting),
      stream: (options, waiting) => this.#entries(options, waiting),
      peek: (options, waiting) => this.#peek(options, waiting)
    })
  }

  /**
   * The entries of a range in key order, as of this call. Leaving the loop releases everything.
   * @example for await (const { key, value } of db.createReadStream({ gte: 'a/', lt: 'a0', limit: 20 })) console.log(key, value)
   */
  createReadStream(options: StreamOptions<K> = {}): AsyncIterableIterator<Entry<K, V>> {
    return this.#entries(options)
  }

  /** The entries of a range that have conflicts; those won by a deletion too, with `value: null`. */
  conflicts(options: StreamOptions<K> = {}): AsyncIterableIterator<Entry<K, V | null>> {
    checkOptions('conflicts', options, STREAM_OPTIONS)
    return this.#stream(options, (folded) => this.#codec.conflictOf(folded))
  }

  /** The first entry of a range, or null. With `reverse`, the last. */
  peek(options: Omit<StreamOptions<K>, 'limit'> = {}): Promise<Entry<K, V> | null> {
    return this.#peek(options)
  }

  /**
   * Every write of every device at the keys of a range, oldest first, as of this call: each writer's in its own order, those of
   * different writers by their stamps. Leaving the loop releases everything.
   * @example for await (const { type, key, writer, stamp } of db.createHistoryStream({ reverse: true, limit: 20 })) { }
   */
  createHistoryStream(
    options: HistoryStreamOptions<K> = {}
  ): AsyncIterableIterator<HistoryEntry<K, V>> {
    const { range, reverse, limit, read, since, live } = historyRead(options)
    if (live && this.#engine.fixed !== null) invalid('live', 'a database that changes', live)
    const { union, refusals, tag } = this.#engine
    const start = since === undefined ? [] : readVersion(since, tag).data
    const bounds = { ...this.#codec.range(range), reverse }
    const open = (view: View) =>
      new History(union, refusals, view, { range: bounds, since: start, live, limit, read })
    const shown = (written: Written) => this.#codec.historyOf(written)
    // What fails because the database closed is the end of a live one; that it was closed before is a caller's mistake.
    const endsWithDatabase = live && !this.#engine.isClosed()
    return this.#iterate(read, open, limit, shown, endsWithDatabase)
  }

  /**
   * The keys of a range at which `other` (left) and this (right) differ: what stands there was written by other writes, or has
   * other conflicts. In key order, as of this call; costs about as much as was written between the two.
   * @param other a text of `version()`, or this very database at another time: a checkout, a snapshot, or the live one
   * @throws VERSION_INVALID, VERSION_FOREIGN; VERSION_UNAVAILABLE from the loop
   */
  createDiffStream(
    other: MultiBee<K, V, I> | string,
    options: StreamOptions<K> = {}
  ): AsyncIterableIterator<Difference<K, V>> {
    checkOptions('createDiffStream', options, STREAM_OPTIONS)
    const { range, reverse, limit, read } = streamRead(options)
    const bounds = { ...this.#codec.range(range), reverse }
    const left = this.#atOtherTime(other).#view(read)
    left.catch(() => {}) // shown by the first read, if there is one
    const open = async (right: View) => new Diff(await left, right, bounds, read)
    return this.#iterate(read, open, limit, (pair) =>
      this.#codec.differenceOf(pair.left, pair.right)
    )
  }

  /**
   * Each change of a range from now on, whoever made it; several changes of a key that come at once are shown as one. Ends
   * with the database; leave the loop to stop.
   * @example for await (const { key, current, previous, writer } of db.watch({ gte: 'a/', lt: 'a0' })) { }
   */
  watch(range: Range<K> = {}): AsyncIterableIterator<Change<K, V>> {
    checkOptions('watch', range, RANGE_OPTIONS)
    this.#checkLive('watch')
    return new Watcher(this.#engine.union, this.#codec.range(range), (key, before, after) =>
      this.#codec.changeOf(key, before, after)
    )
  }

  /**
   * One entry, kept up to date until the watcher or the database is closed.
   * @throws as `get`
   * @example
   * const watcher = await db.getAndWatch('a')
   * watcher.on('update', () => console.log(watcher.node?.value))
   */
  async getAndWatch(key: K, options: ReadOptions = {}): Promise<EntryWatcher<Entry<K, V>>> {
    this.#checkOpen()
    this.#checkLive('getAndWatch')
    checkOptions('getAndWatch', options, READ_OPTIONS)
    checkRead(options)
    const bytes = this.#codec.encodeKey(key)
    const watcher = new EntryWatcher(this.#engine.union, async () => {
      this.#checkOpen()
      const folded = await this.#fold(bytes, options)
      return { entry: this.#readable(folded), folded }
    })
    await watcher.open()
    if (!this.#engine.isClosed()) return watcher
    await watcher.close()
    throw closedError()
  }

  /** What is read here now, as a text: `checkout` shows it again on every device that holds it. */
  async version(): Promise<string> {
    this.#checkOpen()
    try {
      return await versionNow(this.#engine)
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /** This database as it is now, for reading only. Close it, or not: it holds nothing of its own. */
  snapshot(): MultiBee<K, V, I> {
    this.#checkOpen()
    return this.#with(snapshotOf(this.#engine))
  }

  /**
   * This database as it was at a version, for reading only; the same whatever is written or sealed later.
   * @param version a text of `version()`
   * @throws VERSION_INVALID, VERSION_FOREIGN; reading it, VERSION_UNAVAILABLE
   */
  checkout(version: string): MultiBee<K, V, I> {
    this.#checkOpen()
    return this.#with(checkoutOf(this.#engine, readVersion(version, this.#engine.tag)))
  }

  /**
   * The entries of a range that are not shown because their value does not fit the schema: written by another version of the
   * application, say. They can be put again in the right form. Without a schema there are none.
   */
  misfits(options: StreamOptions<K> = {}): AsyncIterableIterator<Misfit<K>> {
    checkOptions('misfits', options, STREAM_OPTIONS)
    return this.#stream(options, (folded) => this.#codec.misfitOf(folded))
  }

  /**
   * The entries ordered by a path that was declared as an `index` of this sub-database; `tags[]` may be called `tags`.
   * @example const [ann] = await contacts.by('email').get('ann@example.org')
   */
  by(path: string): SecondaryIndex<K, V> {
    return new SecondaryIndex(findIndexPath(this.#indexes, path), {
      prefix: this.#codec.space.prefix,
      range: this.#codec.range({}),
      view: (read) => this.#view(read),
      entryOf: (folded) => this.#codec.entryOf(folded),
      changeOf: (key, before, after) => this.#codec.changeOf(key, before, after),
      watch: (changeOf) => {
        this.#checkLive('watch')
        return new Watcher(this.#engine.union, this.#codec.range({}), changeOf)
      },
      explain: (error) => this.#explain(error)
    })
  }

  /**
   * A database of its own inside this one: its keys are not seen here, nor ours there. Without encodings of its own it has ours,
   * our schema included; indexes are declared for each.
   * @param name 1 to 255 bytes
   * @example const contacts = db.sub('contacts', { schema: z.object({ email: z.email() }), index: ['email'] })
   */
  sub<S extends StandardSchemaV1, E extends KeyEncodingOption = undefined>(
    name: string,
    options: SchemaOptions<S, E>
  ): MultiBee<KeyOf<E, K>, StandardSchemaV1.InferOutput<S>, StandardSchemaV1.InferInput<S>>
  sub<K2 = K, V2 = V>(name: string, options?: SubOptions<K2, V2>): MultiBee<K2, V2>
  sub(name: string, options: AnySubOptions = {}): MultiBee<unknown, unknown> {
    checkOptions('sub', options, SUB_OPTIONS)
    const { keyEncoding, index = [] } = options
    const space = this.#codec.space.sub(name)
    this.#engine.union.policies.declare(space.prefix, options)
    const { values, isPlain } = this.#codec
    return new MultiBee<unknown, unknown>(
      { ...this.#engine, close: () => Promise.resolve() },
      space,
      keyEncoding === undefined ? inheritEncoding(this.#codec.keys) : keyEncodingOf(keyEncoding),
      subValues(options, values),
      parseIndexPaths(index),
      isSubAtomic(options, this.#isAtomic, isPlain)
    )
  }

  /**
   * Why a key has the value that it has: every log's entry there, what each had seen, and the rule that decided.
   * @example console.log(explanationToText(await db.why('contacts/ann')))
   */
  async why(key: K, options: ReadOptions = {}): Promise<Explanation<K, V>> {
    this.#checkOpen()
    checkOptions('why', options, READ_OPTIONS)
    checkRead(options)
    const bytes = this.#codec.encodeKey(key)
    try {
      const view = await this.#engine.view(options)
      const said = await view.said(bytes, options)
      const show = (value: Value) => this.#codec.shownValue(value)
      return explainKey(key, said, view.admitted, show, this.#engine.union.policies.of(bytes))
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /**
   * Forgets what a key was: clears every earlier value that this device wrote there from its log, and has all devices of the
   * space clear their copies. The present value stays; delete it first to leave none. Versions from before lose what stood in
   * the same blocks.
   * @example await db.del('secret'); const report = await db.purge('secret', { until: AbortSignal.timeout(5000) })
   * @throws KEY_INVALID, STORE_ codes
   */
  async purge(key: K, options: PurgeOptions = {}): Promise<PurgeReport> {
    this.#queue() // tells a closed database and a checkout
    checkOptions('purge', options, ['until', ...WORK_OPTIONS])
    checkWork(options)
    checkSignal('until', options.until)
    const bytes = this.#codec.encodeKey(key)
    const { purge } = this.#engine
    if (purge === null) throw readOnlyError()
    try {
      return await purge(bytes, options)
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /**
   * Closes the database with all its sub-databases; afterwards everything rejects with BEE_CLOSED. Idempotent. A sub-database
   * has nothing of its own to close: it lives as long as its database. Closing a checkout closes that alone.
   */
  async close(): Promise<void> {
    await this.#engine.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #with(engine: Engine): MultiBee<K, V, I> {
    const { space, keys, values } = this.#codec
    return new MultiBee<K, V, I>(engine, space, keys, values, this.#indexes, this.#isAtomic)
  }

  #checkOpen(): void {
    if (this.#engine.isClosed()) throw closedError()
  }

  #checkLive(what: string): void {
    if (this.#engine.fixed === null) return
    throw new ManyhandsError('READ_ONLY', `Nothing changes in a checkout: no ${what}`)
  }

  #queue(): WriteQueue {
    this.#checkOpen()
    if (this.#engine.queue !== null) return this.#engine.queue
    throw readOnlyError()
  }

  async #view(options: ReadOptions): Promise<View> {
    this.#checkOpen()
    try {
      return await this.#engine.view(options)
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /** What fails while the database closes fails because of that, whatever the logs say. */
  #explain(error: unknown): unknown {
    return this.#engine.isClosed() ? closedError(error) : error
  }

  #atOtherTime(other: MultiBee<K, V, I> | string): MultiBee<K, V, I> {
    if (!(other instanceof MultiBee)) return this.checkout(other)
    const isSame =
      other.#engine.union === this.#engine.union && other.#codec.space.equals(this.#codec.space)
    return isSame ? other : invalid('other', 'this database at another time', other)
  }

  async #get(key: K, options: ReadOptions, waiting?: Waiting): Promise<Entry<K, V> | null> {
    this.#checkOpen()
    checkOptions('get', options, READ_OPTIONS)
    checkRead(options)
    const bytes = this.#codec.encodeKey(key)
    const folded =
      waiting === undefined ? this.#fold(bytes, options) : this.#after(bytes, options, waiting)
    return this.#readable(folded instanceof Promise ? await folded : folded)
  }

  #target(key: K): TypedTarget<Promise<void>> {
    return {
      write: async (operation) => {
        this.#queue()
        await this.#write([this.#writes.typed(key, operation)])
      },
      read: async () => {
        this.#checkOpen()
        return this.#fold(this.#codec.encodeKey(key), {})
      }
    }
  }

  async #write(operations: readonly (Operation | Promise<Operation>)[]): Promise<boolean> {
    this.#checkOpen()
    const ready = this.#line.enter(operations)
    const checked = ready instanceof Promise ? await this.#untilClosed(ready) : ready
    return (await this.#queue().write(checked)) !== null
  }

  /** A schema of the caller's may never answer: closing does not wait for it. */
  async #untilClosed<T>(answer: Promise<T>): Promise<T> {
    const { events } = this.#engine.union
    let onclose = () => {}
    const closing = new Promise<never>((_, reject) => {
      onclose = () => reject(closedError())
      events.once('close', onclose)
    })
    try {
      return await Promise.race([answer, closing])
    } finally {
      events.off('close', onclose)
    }
  }

  #fold(key: Uint8Array, options: ReadOptions): FoldedKey | Promise<FoldedKey> {
    const view = this.#engine.view(options)
    const folded =
      view instanceof Promise ? view.then((each) => each.get(key, options)) : view.get(key, options)
    if (!(folded instanceof Promise)) return folded
    return folded.catch((error: unknown) => {
      throw this.#explain(error)
    })
  }

  #readable(folded: FoldedKey): Entry<K, V> | null {
    if (!isUnreadable(folded)) return this.#codec.entryOf(folded)
    throw new ManyhandsError('ENTRY_UNSUPPORTED', 'A newer version wrote this key')
  }

  /** What a key holds, or would hold after what waits for it. */
  async #after(key: Uint8Array, options: ReadOptions, waiting: Waiting): Promise<FoldedKey> {
    const operations = waiting.get(b4a.toString(key, 'latin1'))
    if (operations === undefined) return this.#fold(key, options)
    try {
      const view = await this.#engine.view(options)
      const said = await view.said(key, options)
      return this.#queue().preview(view, said, operations)
    } catch (error) {
      throw this.#explain(error)
    }
  }

  #entries(options: StreamOptions<K>, waiting?: Waiting): AsyncIterableIterator<Entry<K, V>> {
    checkOptions('createReadStream', options, STREAM_OPTIONS)
    return this.#stream(options, (folded) => this.#codec.entryOf(folded), waiting)
  }

  async #peek(options: StreamOptions<K>, waiting?: Waiting): Promise<Entry<K, V> | null> {
    checkOptions('peek', options, PEEK_OPTIONS)
    for await (const entry of this.#entries({ ...options, limit: 1 }, waiting)) return entry
    return null
  }

  #stream<E>(
    options: StreamOptions<K>,
    entryOf: (folded: FoldedKey) => E | null,
    waiting?: Waiting
  ): AsyncIterableIterator<E> {
    const { range, reverse, limit, read } = streamRead(options)
    const bounds = { ...this.#codec.range(range), reverse }
    const over = waiting === undefined || waiting.size === 0 ? null : new Map(waiting)
    const open = async (view: View) => {
      const cursor = view.cursor(bounds, read)
      return over === null
        ? cursor
        : overlay(cursor, await this.#over(view, bounds, read, over), reverse)
    }
    return this.#iterate(read, open, limit, entryOf)
  }

  /** The keys of a range that a batch writes, as it leaves them. */
  async #over(
    view: View,
    range: TreeRange,
    read: ReadOptions,
    waiting: Waiting
  ): Promise<readonly FoldedKey[]> {
    const over: FoldedKey[] = []
    for (const [{ key }] of waiting.values()) {
      if (!isInRange(key, range)) continue
      const operations = waiting.get(b4a.toString(key, 'latin1')) ?? []
      over.push(this.#queue().preview(view, await view.said(key, read), operations))
    }
    const direction = range.reverse === true ? -1 : 1
    return over.sort((a, b) => direction * b4a.compare(a.key, b.key))
  }

  /** A stream over a view as of this call. */
  #iterate<T, E>(
    read: ReadOptions,
    open: (view: View) => Cursor<T> | Promise<Cursor<T>>,
    limit: number,
    entryOf: (item: T) => E | null,
    endsWithDatabase = false
  ): AsyncIterableIterator<E> {
    const view = this.#view(read)
    view.catch(() => {}) // shown by the first read, if there is one
    const cursor = lateCursor(
      async () => open(await view),
      (error) => {
        if (endsWithDatabase && this.#engine.isClosed()) return []
        throw this.#explain(error)
      }
    )
    return iterate(new EntryCursor(cursor, limit, entryOf))
  }

  #emitLoss({ lost, folded }: CasLoss): void {
    if (!this.#codec.space.has(folded.key)) return
    const conflict = this.#codec.conflict(lost)
    const key = this.#codec.keyOf(folded)
    if (conflict === null || key === null) return
    const { path, value } = conflict
    const winner = this.#codec.entryOf(folded)
    this.#events?.emit('cas-lost', { key, path, value, winner })
  }
}

/** The database of strings and anything storable, over a whole engine. */
export function jsonDatabase(engine: Engine): MultiBee {
  return new MultiBee<string, Value>(
    engine,
    new Keyspace(),
    keyEncodingOf('utf-8'),
    valueEncodingOf('json')
  )
}

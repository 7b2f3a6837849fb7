/**
 * MultiBee: many devices' bees as one ordered key-value database. Feels like Hyperbee; where several devices wrote one key, the
 * fold decides and the rest shows as conflicts.
 */
import type { Stamp } from '../clock/index.ts'
import { encodeValue, type Value } from '../crdt/index.ts'
import { checkOptions, invalid, isManyhandsError, ManyhandsError } from '../errors.ts'
import type { ReadOptions, TreeRange } from '../core/index.ts'
import { MultiBeeBatch } from './batch.ts'
import { EntryCursor, lateCursor } from './entry-cursor.ts'
import {
  inheritEncoding,
  keyEncodingOf,
  valueEncodingOf,
  type KeyEncoding,
  type ValueEncoding
} from './encodings.ts'
import { explainKey, type Explanation } from './explain.ts'
import { Keyspace, type Range } from './keyspace.ts'
import { iterate } from './cursor.ts'
import type { PurgeOptions, PurgeReport } from './purge.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { FoldedKey, FoldedValue, View } from './view.ts'
import { Watcher } from './watch.ts'
import type { Operation, WriteQueue } from './write-queue.ts'

/** One key and its value. */
export interface Entry<K, V> {
  readonly key: K
  readonly value: V
  /** The block of the writer's log in which the value was first written; the same after its writer has compacted the log. */
  readonly seq: number
  /** Who wrote it: the key of the writer's log, in text form. */
  readonly writer: string
  readonly stamp: Stamp
  /** What other devices wrote at the same time, greatest stamp first. Settled by the next put or del of this key. */
  readonly conflicts: readonly Conflict<V>[]
}

/** A value that was written without knowledge of the one that won. */
export interface Conflict<V> {
  /** Null if it is a deletion. */
  readonly value: V | null
  readonly deleted: boolean
  readonly seq: number
  readonly writer: string
  readonly stamp: Stamp
}

/** A key whose value changed in the view. */
export interface Change<K, V> {
  readonly key: K
  /** Null when the key is gone. */
  readonly current: Entry<K, V> | null
  /** Null when the key is new. */
  readonly previous: Entry<K, V> | null
  /** Who wrote what now stands there (or deleted it). */
  readonly writer: string
}

/** @see ReadOptions: `wait: false` reads only what is on this device, `timeout` bounds the wait for one block. */
export interface StreamOptions<K> extends Range<K>, ReadOptions {
  readonly reverse?: boolean
  /** Entries at most; default all. */
  readonly limit?: number
}

export interface Encodings<K, V> {
  /** Default 'utf-8'. */
  readonly keyEncoding?: 'utf-8' | 'binary' | KeyEncoding<K>
  /** Default 'json': any storable value, bytes included. */
  readonly valueEncoding?: 'json' | 'utf-8' | 'binary' | ValueEncoding<V>
}

/** What all sub-databases of one database share. */
export interface Engine {
  readonly union: Union
  /** What is read: the union now, or at one version. */
  view(options: ReadOptions): Promise<View>
  readonly refusals: Refusals
  /** Null for a database that only reads. */
  readonly queue: WriteQueue | null
  /** Clears what was at a key of the bee; null for a database that only reads. */
  readonly purge: ((key: Uint8Array, options: PurgeOptions) => Promise<PurgeReport>) | null
  /** True from the call of `close` on, while what was put before is still being written. */
  isClosed(): boolean
  /** Closes the whole database. */
  close(): Promise<void>
}

const RANGE_OPTIONS = ['gt', 'gte', 'lt', 'lte'] as const
const READ_OPTIONS = ['wait', 'timeout'] as const
const PEEK_OPTIONS = [...RANGE_OPTIONS, ...READ_OPTIONS, 'reverse']
const STREAM_OPTIONS = [...PEEK_OPTIONS, 'limit']

export class MultiBee<K = string, V = Value> {
  readonly #engine: Engine
  readonly #space: Keyspace
  readonly #keys: KeyEncoding<K>
  readonly #values: ValueEncoding<V>

  /** @see openMultiBee, Space.db */
  constructor(engine: Engine, space: Keyspace, keys: KeyEncoding<K>, values: ValueEncoding<V>) {
    this.#engine = engine
    this.#space = space
    this.#keys = keys
    this.#values = values
  }

  /** Whether this device writes to this database. */
  get writable(): boolean {
    return this.#engine.queue !== null
  }

  /** Resolves when all logs are open. Not needed before other calls. */
  async ready(): Promise<void> {
    this.#checkOpen()
    await this.#engine.union.ready()
  }

  /**
   * The entry of a key, or null.
   * @throws ENTRY_UNSUPPORTED when a newer version wrote it; BLOCK_UNAVAILABLE in a sparse space with `wait: false` or after
   * `timeout`
   */
  async get(key: K, options: ReadOptions = {}): Promise<Entry<K, V> | null> {
    this.#checkOpen()
    checkOptions('get', options, READ_OPTIONS)
    checkRead(options)
    const folded = await this.#fold(this.#encodeKey(key), options)
    if (isUnreadable(folded)) {
      throw new ManyhandsError('ENTRY_UNSUPPORTED', 'A newer version wrote this key')
    }
    return this.#entryOf(folded)
  }

  /**
   * Sets the value of a key, over everything that this device has seen there. Resolves when it is durable. Puts issued
   * together are appended together.
   * @throws KEY_INVALID, VALUE_INVALID, VALUE_TOO_LARGE (nothing was written), STORE_ codes
   */
  async put(key: K, value: V): Promise<void> {
    await this.#queue().write([this.#putOf(key, value)])
  }

  /** Deletes a key, if it is there. A put by another device that had not seen the deletion survives it. */
  async del(key: K): Promise<void> {
    await this.#queue().write([this.#deleteOf(key)])
  }

  /** Puts and deletions that are written together, or not at all. */
  batch(): MultiBeeBatch<K, V> {
    const queue = this.#queue()
    return new MultiBeeBatch(
      (key, value) => this.#putOf(key, value),
      (key) => this.#deleteOf(key),
      async (operations) => {
        this.#checkOpen()
        if (operations.length > 0) await queue.write(operations)
      }
    )
  }

  /**
   * The entries of a range in key order, as of this call. Leaving the loop releases everything.
   * @example for await (const { key, value } of db.createReadStream({ gte: 'a/', lt: 'a0', limit: 20 })) console.log(key, value)
   */
  createReadStream(options: StreamOptions<K> = {}): AsyncIterableIterator<Entry<K, V>> {
    checkOptions('createReadStream', options, STREAM_OPTIONS)
    return this.#stream(options, (folded) => this.#entryOf(folded))
  }

  /** The entries of a range that have conflicts; those won by a deletion too, with `value: null`. */
  conflicts(options: StreamOptions<K> = {}): AsyncIterableIterator<Entry<K, V | null>> {
    checkOptions('conflicts', options, STREAM_OPTIONS)
    return this.#stream(options, (folded) => {
      if (folded.conflicts.length === 0) return null
      return this.#entryOf(folded) ?? this.#tombstoneOf(folded)
    })
  }

  /** The first entry of a range, or null. With `reverse`, the last. */
  async peek(options: Omit<StreamOptions<K>, 'limit'> = {}): Promise<Entry<K, V> | null> {
    checkOptions('peek', options, PEEK_OPTIONS)
    for await (const entry of this.createReadStream({ ...options, limit: 1 })) return entry
    return null
  }

  /**
   * Each change of a range from now on, whoever made it; several changes of a key that come at once are shown as one. Ends
   * with the database; leave the loop to stop.
   * @example for await (const { key, current, previous, writer } of db.watch({ gte: 'a/', lt: 'a0' })) { }
   */
  watch(range: Range<K> = {}): AsyncIterableIterator<Change<K, V>> {
    checkOptions('watch', range, RANGE_OPTIONS)
    return new Watcher(this.#engine.union, this.#range(range), (key, before, after) =>
      this.#changeOf(key, before, after)
    )
  }

  /**
   * A database of its own inside this one: its keys are not seen here, nor ours there.
   * @param name 1 to 255 bytes
   */
  sub<K2 = K, V2 = V>(name: string, encodings: Encodings<K2, V2> = {}): MultiBee<K2, V2> {
    checkOptions('sub', encodings, ['keyEncoding', 'valueEncoding'])
    const { keyEncoding, valueEncoding } = encodings
    return new MultiBee<K2, V2>(
      { ...this.#engine, close: () => Promise.resolve() },
      this.#space.sub(name),
      keyEncoding === undefined ? inheritEncoding(this.#keys) : keyEncodingOf(keyEncoding),
      valueEncoding === undefined ? inheritEncoding(this.#values) : valueEncodingOf(valueEncoding)
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
    const bytes = this.#encodeKey(key)
    try {
      const view = await this.#engine.view(options)
      const said = await view.said(bytes, options)
      return explainKey(key, said, view.admitted, (value) => this.#shownValue(value))
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /**
   * Forgets what a key was: clears every earlier value that this device wrote there from its log, and has all devices of the
   * space clear their copies. The present value stays; delete it first to leave none. Versions from before lose what stood in
   * the same blocks.
   * @example await db.del('secret'); const report = await db.purge('secret', { signal: AbortSignal.timeout(5000) })
   * @throws KEY_INVALID, STORE_ codes
   */
  async purge(key: K, options: PurgeOptions = {}): Promise<PurgeReport> {
    this.#queue()
    checkOptions('purge', options, ['signal'])
    if (options.signal !== undefined && !('aborted' in Object(options.signal)))
      invalid('signal', 'an AbortSignal', options.signal)
    const bytes = this.#encodeKey(key)
    try {
      return (await this.#engine.purge?.(bytes, options)) ?? this.#refuseWriting()
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /**
   * Closes the database with all its sub-databases; afterwards everything rejects with BEE_CLOSED. Idempotent. A sub-database
   * has nothing of its own to close: it lives as long as its database.
   */
  async close(): Promise<void> {
    await this.#engine.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #checkOpen(): void {
    if (this.#engine.isClosed()) throw closed()
  }

  #queue(): WriteQueue {
    this.#checkOpen()
    return this.#engine.queue ?? this.#refuseWriting()
  }

  #refuseWriting(): never {
    throw new ManyhandsError('INVALID_ARGUMENT', 'This database was opened for reading only')
  }

  async #fold(key: Uint8Array, options: ReadOptions): Promise<FoldedKey> {
    try {
      const view = await this.#engine.view(options)
      const folded = view.get(key, options)
      return folded instanceof Promise ? await folded : folded
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /** What fails while the database closes fails because of that, whatever the logs say. */
  #explain(error: unknown): unknown {
    return this.#engine.isClosed() ? closed(error) : error
  }

  #encodeKey(key: K): Uint8Array {
    return this.#space.encode(encodeWith(this.#keys, key, 'KEY_INVALID'))
  }

  #putOf(key: K, value: V): Operation {
    const storable = { encode: (given: V) => encodeValue(this.#values.encode(given)) }
    return { key: this.#encodeKey(key), value: encodeWith(storable, value, 'VALUE_INVALID') }
  }

  #deleteOf(key: K): Operation {
    return { key: this.#encodeKey(key), value: null }
  }

  #stream<E>(
    options: StreamOptions<K>,
    entryOf: (folded: FoldedKey) => E | null
  ): AsyncIterableIterator<E> {
    const { reverse = false, limit = Infinity, wait = true, timeout = 0, ...range } = options
    const read = { wait, timeout }
    checkRead(read)
    checkLimit(limit)
    if (typeof reverse !== 'boolean') invalid('reverse', 'true or false', reverse)
    const bounds = { ...this.#range(range), reverse }
    const view = this.#view(read)
    view.catch(() => {}) // shown by the first read, if there is one
    const cursor = lateCursor(
      async () => (await view).cursor(bounds, read),
      (error) => this.#explain(error)
    )
    return iterate(new EntryCursor(cursor, limit, entryOf))
  }

  async #view(options: ReadOptions): Promise<View> {
    this.#checkOpen()
    return this.#engine.view(options)
  }

  #range(range: Range<K>): TreeRange {
    const encode = (key: K) => encodeWith(this.#keys, key, 'KEY_INVALID')
    return this.#space.range(range, encode)
  }

  /** Null for what is not there, and (counted) for what cannot be read here. */
  #entryOf(folded: FoldedKey): Entry<K, V> | null {
    const { winner } = folded
    if (winner === null || winner.said.value === null || winner.said.isUnknownType) return null
    try {
      const key = this.#keys.decode(this.#space.decode(folded.key))
      const value = this.#values.decode(winner.value)
      const { position, writer, stamp } = winner.said
      return { key, value, seq: position.seq, writer, stamp, conflicts: this.#conflictsOf(folded) }
    } catch {
      this.#refuse(winner)
      return null
    }
  }

  #tombstoneOf(folded: FoldedKey): Entry<K, V | null> | null {
    const { winner } = folded
    if (winner === null || winner.said.value !== null) return null
    const key = this.#decode(winner, () => this.#keys.decode(this.#space.decode(folded.key)))
    if (key === REFUSED) return null
    return { ...placeOf(winner), key, value: null, conflicts: this.#conflictsOf(folded) }
  }

  #conflictsOf({ conflicts }: FoldedKey): readonly Conflict<V>[] {
    if (conflicts.length === 0) return NONE
    return conflicts.flatMap((conflict): Conflict<V>[] => {
      if (conflict.said.isUnknownType) return []
      if (conflict.said.value === null)
        return [{ ...placeOf(conflict), value: null, deleted: true }]
      const value = this.#decode(conflict, () => this.#values.decode(conflict.value))
      return value === REFUSED ? [] : [{ ...placeOf(conflict), value, deleted: false }]
    })
  }

  #changeOf(bytes: Uint8Array, before: FoldedKey, after: FoldedKey): Change<K, V> | null {
    if (isSameWinner(before, after)) return null
    const said = after.winner?.said ?? before.winner?.said
    if (said === undefined) return null
    const key = this.#decode({ said, value: null }, () =>
      this.#keys.decode(this.#space.decode(bytes))
    )
    if (key === REFUSED) return null
    const current = this.#entryOf(after)
    const previous = this.#entryOf(before)
    if (current === null && previous === null) return null
    return { key, current, previous, writer: said.writer }
  }

  /** Null for what is of another encoding: shown, unlike in entries, because somebody asks why. */
  #shownValue(value: Value): V | null {
    try {
      return this.#values.decode(value)
    } catch {
      return null
    }
  }

  #decode<T>(folded: FoldedValue, decode: () => T): T | typeof REFUSED {
    try {
      return decode()
    } catch {
      this.#refuse(folded)
      return REFUSED
    }
  }

  #refuse({ said }: FoldedValue): void {
    this.#engine.refusals.add(said.writer, 'encoding-mismatch', said.seq)
  }
}

const REFUSED = Symbol('refused')
const NONE: readonly never[] = []

function placeOf({ said }: FoldedValue) {
  return { seq: said.position.seq, writer: said.writer, stamp: said.stamp }
}

function isUnreadable({ winner, unsupported }: FoldedKey): boolean {
  return winner === null ? unsupported.length > 0 : winner.said.isUnknownType
}

/** The same value, seen with the same conflicts. */
function isSameWinner(a: FoldedKey, b: FoldedKey): boolean {
  if (a.winner === null || b.winner === null) return a.winner === b.winner
  if (a.conflicts.length !== b.conflicts.length) return false
  return (
    isSamePlace(a.winner, b.winner) &&
    a.conflicts.every((each, i) => isSamePlace(each, b.conflicts[i]))
  )
}

function isSamePlace(a: FoldedValue, b: FoldedValue | undefined): boolean {
  return (
    b !== undefined &&
    a.said.position.seq === b.said.position.seq &&
    a.said.writer === b.said.writer
  )
}

function closed(cause?: unknown): ManyhandsError {
  return new ManyhandsError('BEE_CLOSED', 'The database is closed', { cause })
}

/** A getter, a proxy or a codec of the caller's may throw anything: the code says what was wrong, the cause how. */
function encodeWith<T, U>(
  encoding: { encode(given: T): U },
  given: T,
  code: 'KEY_INVALID' | 'VALUE_INVALID'
): U {
  try {
    return encoding.encode(given)
  } catch (cause) {
    if (isManyhandsError(cause)) throw cause
    const what = code === 'KEY_INVALID' ? 'key' : 'value'
    throw new ManyhandsError(code, `The ${what} could not be encoded`, { cause })
  }
}

function checkRead({ wait, timeout }: ReadOptions): void {
  if (wait !== undefined && typeof wait !== 'boolean') invalid('wait', 'true or false', wait)
  if (timeout === undefined || (Number.isFinite(timeout) && timeout >= 0)) return
  invalid('timeout', 'milliseconds, 0 for ever', timeout)
}

function checkLimit(limit: unknown): void {
  if (limit === Infinity || (Number.isSafeInteger(limit) && Number(limit) >= 0)) return
  invalid('limit', 'a non-negative integer', limit)
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

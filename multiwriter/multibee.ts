/**
 * MultiBee: many devices' bees as one ordered key-value database. Feels like Hyperbee; where several devices wrote one key, the
 * fold decides and the rest shows as conflicts.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
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
  type KeyEncodingOption,
  type KeyOf,
  type ValueEncoding
} from './encodings.ts'
import { findIndexPath, parseIndexPaths, type IndexPath } from './index-path.ts'
import { Keyspace, type Range } from './keyspace.ts'
import { iterate } from './cursor.ts'
import type { Refusals } from './refusals.ts'
import {
  isPromise,
  Line,
  SchemaEncoding,
  SchemaMismatch,
  schemaOf,
  type SchemaIssue
} from './schema.ts'
import { SecondaryIndex } from './secondary.ts'
import type { Union } from './union.ts'
import type { FoldedKey, FoldedValue, View } from './view.ts'
import { Watcher } from './watch.ts'
import type { Operation, WriteQueue } from './write-queue.ts'

/** One key and its value. */
export interface Entry<K, V> {
  readonly key: K
  readonly value: V
  /** The block of the writer's log in which the value stands. */
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

/** What a sub-database can have of its own. */
export interface SubOptions<K, V> extends Encodings<K, V> {
  /**
   * Paths that `by()` reads in order: 'email', 'address.city', 'tags[]' for each element of an array. Fields with a dot or a
   * bracket in their name cannot be indexed.
   */
  readonly index?: readonly string[]
}

export interface SchemaOptions<S extends StandardSchemaV1, E> extends Omit<
  SubOptions<unknown, StandardSchemaV1.InferOutput<S>>,
  'keyEncoding'
> {
  readonly keyEncoding?: E
  /**
   * What values must fit, from any library that speaks Standard Schema (zod, valibot, ...). What is put is checked, and the
   * schema's output stored; what is read is checked again, and not shown when it does not fit (`misfits()` shows it). What a
   * schema answers later, by a promise, counts at put only.
   */
  readonly schema: S
}

/** An entry that is not shown because its value does not fit the schema. */
export interface Misfit<K> {
  readonly key: K
  /** As it is stored. */
  readonly value: Value
  readonly issues: readonly SchemaIssue[]
  readonly seq: number
  readonly writer: string
  readonly stamp: Stamp
}

/** What all sub-databases of one database share. */
export interface Engine {
  readonly union: Union
  /** What is read: the union now, or at one version. */
  view(options: ReadOptions): Promise<View>
  readonly refusals: Refusals
  /** Null for a database that only reads. */
  readonly queue: WriteQueue | null
  /** True from the call of `close` on, while what was put before is still being written. */
  isClosed(): boolean
  /** Closes the whole database. */
  close(): Promise<void>
}

const RANGE_OPTIONS = ['gt', 'gte', 'lt', 'lte'] as const
const READ_OPTIONS = ['wait', 'timeout'] as const
const PEEK_OPTIONS = [...RANGE_OPTIONS, ...READ_OPTIONS, 'reverse']
const STREAM_OPTIONS = [...PEEK_OPTIONS, 'limit']
const SUB_OPTIONS = ['keyEncoding', 'valueEncoding', 'schema', 'index']

/** Keys `K`, values `V`; `I` is what may be put, where a schema makes a `V` of it. */
export class MultiBee<K = string, V = Value, I = V> {
  readonly #engine: Engine
  readonly #space: Keyspace
  readonly #keys: KeyEncoding<K>
  readonly #values: ValueEncoding<V>
  readonly #indexes: readonly IndexPath[]
  /** Writes whose schema answers later keep their order. */
  readonly #line = new Line()

  /** @see openMultiBee, Space.db */
  constructor(
    engine: Engine,
    space: Keyspace,
    keys: KeyEncoding<K>,
    values: ValueEncoding<V>,
    indexes: readonly IndexPath[] = []
  ) {
    this.#engine = engine
    this.#space = space
    this.#keys = keys
    this.#values = values
    this.#indexes = indexes
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
  async put(key: K, value: I): Promise<void> {
    await this.#write([this.#putOf(key, value)])
  }

  /** Deletes a key, if it is there. A put by another device that had not seen the deletion survives it. */
  async del(key: K): Promise<void> {
    await this.#write([this.#deleteOf(key)])
  }

  /** Puts and deletions that are written together, or not at all. */
  batch(): MultiBeeBatch<K, I> {
    this.#queue()
    return new MultiBeeBatch(
      (key, value) => this.#putOf(key, value),
      (key) => this.#deleteOf(key),
      (operations) => this.#write(operations)
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
   * The entries of a range that are not shown because their value does not fit the schema: written by another version of the
   * application, say. They can be put again in the right form. Without a schema there are none.
   */
  misfits(options: StreamOptions<K> = {}): AsyncIterableIterator<Misfit<K>> {
    checkOptions('misfits', options, STREAM_OPTIONS)
    return this.#stream(options, (folded) => this.#misfitOf(folded))
  }

  /**
   * The entries ordered by a path that was declared as an `index` of this sub-database; `tags[]` may be called `tags`.
   * @example const [ann] = await contacts.by('email').get('ann@example.org')
   */
  by(path: string): SecondaryIndex<K, V> {
    return new SecondaryIndex(findIndexPath(this.#indexes, path), {
      prefix: this.#space.prefix,
      range: this.#range({}),
      view: (read) => this.#view(read),
      entryOf: (folded) => this.#entryOf(folded),
      changeOf: (key, before, after) => this.#changeOf(key, before, after),
      watch: (changeOf) => new Watcher(this.#engine.union, this.#range({}), changeOf),
      explain: (error) => this.#explain(error),
      checkStream
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
  sub(
    name: string,
    options: SubOptions<unknown, unknown> & { readonly schema?: StandardSchemaV1 } = {}
  ): MultiBee<unknown, unknown> {
    checkOptions('sub', options, SUB_OPTIONS)
    const { keyEncoding, schema, index = [] } = options
    const values = this.#subValues(options)
    return new MultiBee<unknown, unknown>(
      { ...this.#engine, close: () => Promise.resolve() },
      this.#space.sub(name),
      keyEncoding === undefined ? inheritEncoding(this.#keys) : keyEncodingOf(keyEncoding),
      schema === undefined ? values : new SchemaEncoding(schemaOf(schema), values),
      parseIndexPaths(index)
    )
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
    if (this.#engine.queue !== null) return this.#engine.queue
    throw new ManyhandsError('INVALID_ARGUMENT', 'This database was opened for reading only')
  }

  /** A schema of its own stands over the encoding, not over our schema. */
  #subValues({
    valueEncoding,
    schema
  }: SubOptions<unknown, unknown> & {
    readonly schema?: StandardSchemaV1
  }): ValueEncoding<unknown> {
    if (valueEncoding !== undefined) return valueEncodingOf(valueEncoding)
    const isReplaced = schema !== undefined && this.#values instanceof SchemaEncoding
    return inheritEncoding(isReplaced ? this.#values.base : this.#values)
  }

  async #write(operations: readonly (Operation | Promise<Operation>)[]): Promise<void> {
    const queue = this.#queue()
    const ready = this.#line.enter(operations)
    const checked = ready instanceof Promise ? await ready : ready
    this.#checkOpen()
    if (checked.length > 0) await queue.write(checked)
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

  /** A promise when there is a schema that answers later. */
  #putOf(key: K, value: I): Operation | Promise<Operation> {
    const bytes = this.#encodeKey(key)
    const operationOf = (storable: Value) => ({ key: bytes, value: encodeValue(storable) })
    const put = (given: I) => {
      const values: ValueEncoding<V> = this.#values
      // Without a schema there is one type: I = V.
      if (!(values instanceof SchemaEncoding))
        return operationOf(
          inheritEncoding<ValueEncoding<V>, ValueEncoding<I>>(values).encode(given)
        )
      const storable = values.validate(given)
      return isPromise(storable) ? storable.then(operationOf) : operationOf(storable)
    }
    return encodeWith({ encode: put }, value, 'VALUE_INVALID')
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
    checkStream({ reverse, limit, ...read })
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
      const { seq, writer, stamp } = winner.said
      return { key, value, seq, writer, stamp, conflicts: this.#conflictsOf(folded) }
    } catch (error) {
      this.#refuse(winner, error)
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

  #misfitOf(folded: FoldedKey): Misfit<K> | null {
    const { winner } = folded
    if (winner === null || winner.said.value === null || winner.said.isUnknownType) return null
    const key = this.#decode(winner, () => this.#keys.decode(this.#space.decode(folded.key)))
    if (key === REFUSED) return null
    try {
      this.#values.decode(winner.value)
    } catch (error) {
      if (!(error instanceof SchemaMismatch)) return null
      return { ...placeOf(winner), key, value: winner.value, issues: error.issues }
    }
    return null
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

  #decode<T>(folded: FoldedValue, decode: () => T): T | typeof REFUSED {
    try {
      return decode()
    } catch (error) {
      this.#refuse(folded, error)
      return REFUSED
    }
  }

  #refuse({ said }: FoldedValue, error: unknown): void {
    const reason = error instanceof SchemaMismatch ? 'schema-mismatch' : 'encoding-mismatch'
    this.#engine.refusals.add(said.writer, reason, said.seq)
  }
}

const REFUSED = Symbol('refused')
const NONE: readonly never[] = []

function placeOf({ said }: FoldedValue) {
  return { seq: said.seq, writer: said.writer, stamp: said.stamp }
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
  return b !== undefined && a.said.seq === b.said.seq && a.said.writer === b.said.writer
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

function checkStream({ reverse, limit, ...read }: StreamOptions<never>): void {
  checkRead(read)
  checkLimit(limit)
  if (typeof reverse !== 'boolean') invalid('reverse', 'true or false', reverse)
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

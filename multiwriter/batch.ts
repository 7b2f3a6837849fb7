/** A batch of a MultiBee: collected by the caller, written whole or not at all. */
import b4a from 'b4a'
import { ManyhandsError } from '../errors.ts'
import type { ReadOptions } from '../core/index.ts'
import type { MergeType, Value } from '../crdt/index.ts'
import type { Entry } from './entry.ts'
import type { Operation } from './group.ts'
import type { CasOptions, PatchOf, PutOptions, StreamOptions } from './options.ts'
import { isPromise } from './schema.ts'
import { Counter, Extreme, Flag, TypedValue, ValueSet, type TypedTarget } from './typed-values.ts'
import type { FoldedKey } from './view.ts'
import type { Later, Writes } from './writes.ts'

/** Operations waiting, by key (latin1), in their order. */
export type Waiting = ReadonlyMap<string, readonly [Operation, ...Operation[]]>

/** The database as its batches use it. */
export interface BatchTarget<K, V, I> {
  readonly writes: Writes<K, V, I>
  folded(key: K, waiting: Waiting): Promise<FoldedKey>
  write(operations: readonly Later<Operation>[]): Promise<boolean>
  get(key: K, options: ReadOptions, waiting: Waiting): Promise<Entry<K, V> | null>
  stream(options: StreamOptions<K>, waiting: Waiting): AsyncIterableIterator<Entry<K, V>>
  peek(options: StreamOptions<K>, waiting: Waiting): Promise<Entry<K, V> | null>
}

/** Collects operations; nothing is written before `flush`. */
export class MultiBeeBatch<K, V, I = V> {
  readonly #target: BatchTarget<K, V, I>
  #operations: Later<Operation>[] | null = []
  readonly #waiting = new Map<string, [Operation, ...Operation[]]>()

  constructor(target: BatchTarget<K, V, I>) {
    this.#target = target
  }

  /** Operations collected. */
  get length(): number {
    return this.#operations?.length ?? 0
  }

  /**
   * A `cas` is decided at `flush`, after the operations before it; when one says no, nothing of the batch is written.
   * @throws KEY_INVALID, VALUE_INVALID, VALUE_TOO_LARGE at once; `flush` does, for a schema that answers later, and only when it
   * has answered do `get` and the streams of this batch show the value
   */
  put(key: K, value: I, options: PutOptions<K, V> = {}): this {
    return this.#add(this.#target.writes.put(key, value, options))
  }

  /** @throws KEY_INVALID at once */
  del(key: K, options: CasOptions<K, V> = {}): this {
    return this.#add(this.#target.writes.del(key, options))
  }

  /** @see MultiBee.patch @throws KEY_INVALID, VALUE_INVALID at once; `flush` does, where the merged object does not fit a schema */
  patch(key: K, fields: PatchOf<V>, options: CasOptions<K, V> = {}): this {
    return this.#add(this.#target.writes.patch(key, fields, options))
  }

  /** @see MultiBee.counter */
  counter(key: K): Counter<void> {
    return new Counter(this.#typed(key))
  }

  /** @see MultiBee.set */
  set<E extends Value = Value>(key: K): ValueSet<E, void> {
    return new ValueSet(this.#typed(key))
  }

  /** @see MultiBee.flag */
  flag(key: K): Flag<void> {
    return new Flag(this.#typed(key))
  }

  /** @see MultiBee.max */
  max(key: K): Extreme<void> {
    return new Extreme(this.#typed(key), 'max')
  }

  /** @see MultiBee.min */
  min(key: K): Extreme<void> {
    return new Extreme(this.#typed(key), 'min')
  }

  /** @see MultiBee.typed */
  typed<Operation, Result extends Value, State>(
    key: K,
    type: MergeType<Operation, Result, State>
  ): TypedValue<Operation, Result, void> {
    return new TypedValue(this.#typed(key), type)
  }

  /** The entry as the batch would leave it now; an operation whose `cas` would say no is passed over. */
  get(key: K, options: ReadOptions = {}): Promise<Entry<K, V> | null> {
    return this.#target.get(key, options, this.#waiting)
  }

  /** As `get`, of a range. */
  createReadStream(options: StreamOptions<K> = {}): AsyncIterableIterator<Entry<K, V>> {
    return this.#target.stream(options, this.#waiting)
  }

  /** As `get`, the first of a range. */
  peek(options: Omit<StreamOptions<K>, 'limit'> = {}): Promise<Entry<K, V> | null> {
    return this.#target.peek(options, this.#waiting)
  }

  /**
   * Writes all of it as one batch; resolves when it is durable. A batch is flushed once.
   * @returns false when a `cas` said no: nothing was written
   */
  async flush(): Promise<boolean> {
    const operations = this.#open()
    this.close()
    return operations.length === 0 || this.#target.write(operations)
  }

  /** Drops what was collected. Idempotent. */
  close(): void {
    this.#operations = null
    this.#waiting.clear()
  }

  #typed(key: K): TypedTarget<void> {
    return {
      write: (operation) => void this.#add(this.#target.writes.typed(key, operation)),
      read: () => this.#target.folded(key, this.#waiting)
    }
  }

  #add(operation: Later<Operation>): this {
    this.#open().push(operation)
    if (!isPromise(operation)) this.#wait(operation)
    // A refusal is shown by `flush`.
    else
      operation.then(
        (checked) => this.#wait(checked),
        () => {}
      )
    return this
  }

  #wait(operation: Operation): void {
    const id = b4a.toString(operation.key, 'latin1')
    const known = this.#waiting.get(id)
    if (known === undefined) this.#waiting.set(id, [operation])
    else known.push(operation)
  }

  #open(): Later<Operation>[] {
    if (this.#operations !== null) return this.#operations
    throw new ManyhandsError('INVALID_ARGUMENT', 'The batch was flushed or closed already')
  }
}

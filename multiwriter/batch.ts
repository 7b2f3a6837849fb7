/** A batch of a MultiBee: collected by the caller, written whole or not at all. */
import { ManyhandsError } from '../errors.ts'
import { isPromise } from './schema.ts'
import type { Operation } from './write-queue.ts'

/** A schema may answer later. */
type Later<T> = T | Promise<T>

/** Collects operations; nothing is written before `flush`. */
export class MultiBeeBatch<K, V> {
  readonly #putOf: (key: K, value: V) => Later<Operation>
  readonly #deleteOf: (key: K) => Operation
  readonly #write: (operations: readonly Later<Operation>[]) => Promise<void>
  #operations: Later<Operation>[] | null = []

  constructor(
    putOf: (key: K, value: V) => Later<Operation>,
    deleteOf: (key: K) => Operation,
    write: (operations: readonly Later<Operation>[]) => Promise<void>
  ) {
    this.#putOf = putOf
    this.#deleteOf = deleteOf
    this.#write = write
  }

  /** @throws KEY_INVALID, VALUE_INVALID, VALUE_TOO_LARGE at once; `flush` does, for a schema that answers later */
  put(key: K, value: V): this {
    const operations = this.#open()
    const operation = this.#putOf(key, value)
    if (isPromise(operation)) operation.catch(() => {}) // shown by `flush`
    operations.push(operation)
    return this
  }

  /** @throws KEY_INVALID at once */
  del(key: K): this {
    this.#open().push(this.#deleteOf(key))
    return this
  }

  /** Writes all of it as one batch; resolves when it is durable. A batch is flushed once. */
  async flush(): Promise<void> {
    const operations = this.#open()
    this.#operations = null
    await this.#write(operations)
  }

  /** Drops what was collected. Idempotent. */
  close(): void {
    this.#operations = null
  }

  #open(): Later<Operation>[] {
    if (this.#operations !== null) return this.#operations
    throw new ManyhandsError('INVALID_ARGUMENT', 'The batch was flushed or closed already')
  }
}

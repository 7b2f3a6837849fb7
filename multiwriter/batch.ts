/** A batch of a MultiBee: collected by the caller, written whole or not at all. */
import { ManyhandsError } from '../errors.ts'
import type { Operation } from './write-queue.ts'

/** Collects operations; nothing is written before `flush`. */
export class MultiBeeBatch<K, V> {
  readonly #putOf: (key: K, value: V) => Operation
  readonly #deleteOf: (key: K) => Operation
  readonly #write: (operations: readonly Operation[]) => Promise<void>
  #operations: Operation[] | null = []

  constructor(
    putOf: (key: K, value: V) => Operation,
    deleteOf: (key: K) => Operation,
    write: (operations: readonly Operation[]) => Promise<void>
  ) {
    this.#putOf = putOf
    this.#deleteOf = deleteOf
    this.#write = write
  }

  /** @throws KEY_INVALID, VALUE_INVALID, VALUE_TOO_LARGE at once */
  put(key: K, value: V): this {
    this.#open().push(this.#putOf(key, value))
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

  #open(): Operation[] {
    if (this.#operations !== null) return this.#operations
    throw new ManyhandsError('INVALID_ARGUMENT', 'The batch was flushed or closed already')
  }
}

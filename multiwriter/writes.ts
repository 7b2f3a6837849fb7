/**
 * A caller's writes on their way to the queue: checked and copied at once, so that what is wrong is told before anything waits, and
 * what the caller changes later is not written. In a sub-database with a schema, what a write comes to is checked against it in
 * its turn.
 */
import {
  copyPatch,
  copyValue,
  encodeValue,
  isFields,
  isSameValue,
  type Patch,
  type Value,
  type WriteOperation
} from '../crdt/index.ts'
import { checkOptions, invalid } from '../errors.ts'
import type { Entry, EntryCodec, Storable } from './entry.ts'
import type { NextWrite, Operation } from './group.ts'
import type { CasOptions, Proposal, PutOptions, Update } from './options.ts'
import { isPromise, SchemaEncoding } from './schema.ts'
import type { FoldedKey } from './view.ts'

/** A schema may answer later. */
export type Later<T> = T | Promise<T>

/** Roughly what an operation without a value of its own takes in a block. */
const SMALL = 64

/** Makes operations of one sub-database. */
export class Writes<K, V, I> {
  readonly #codec: EntryCodec<K, V, I>
  readonly #isAtomic: boolean
  readonly #readable: (folded: FoldedKey) => Entry<K, V> | null

  /**
   * @param isAtomic objects are one register each
   * @param readable what a caller may see of a key; throws where only a newer version may
   */
  constructor(
    codec: EntryCodec<K, V, I>,
    isAtomic: boolean,
    readable: (folded: FoldedKey) => Entry<K, V> | null
  ) {
    this.#codec = codec
    this.#isAtomic = isAtomic
    this.#readable = readable
  }

  /** A promise when there is a schema that answers later. @param settles conflicts end, at unchanged fields too */
  put(key: K, given: I, options: PutOptions<K, V>, settles = false): Later<Operation> {
    checkOptions('put', options, ['cas', 'base'])
    const bytes = this.#codec.encodeKey(key)
    const base = this.#base(options)
    const operationOf = (storable: Storable<V>): Operation => {
      const write = this.#put(storable, base, settles)
      const { size } = storable
      if (options.cas === undefined) return { key: bytes, write, size }
      const proposal = (): Proposal<K, V> => ({ type: 'put', key, value: storable.value })
      return { key: bytes, write, size, ...this.#cas(options, proposal) }
    }
    const storable = this.#codec.storableOf(given)
    return isPromise(storable) ? storable.then(operationOf) : operationOf(storable)
  }

  del(key: K, options: CasOptions<K, V>): Operation {
    checkOptions('del', options, ['cas'])
    return {
      key: this.#codec.encodeKey(key),
      write: { do: 'del' },
      size: SMALL,
      ...this.#cas(options, () => ({ type: 'del', key, value: null }))
    }
  }

  patch(key: K, given: unknown, options: CasOptions<K, V>): Operation {
    checkOptions('patch', options, ['cas'])
    this.#checkMerging('patch')
    const bytes = this.#codec.encodeKey(key)
    const fields: Patch = copyPatch(given)
    const proposal = (next: () => FoldedKey): Proposal<K, V> => ({
      type: 'put',
      key,
      value: this.#readable(next())?.value ?? null
    })
    return {
      key: bytes,
      ...this.#checked({ do: 'patch', fields }),
      isAtomic: this.#isAtomic,
      size: JSON.stringify(fields).length + SMALL,
      ...this.#cas(options, proposal)
    }
  }

  /** @param onwrite called when something is to be written; more than once when it is looked at beforehand */
  update(key: K, update: Update<K, V, I>, onwrite: () => void): Operation {
    if (typeof update !== 'function') invalid('update', 'a function of the present value', update)
    const write: NextWrite = (now, step) => {
      if (step > 0) return null
      const entry = this.#readable(now)
      const given = update(entry?.value ?? null, entry)
      if (given === undefined) return null
      const storable = this.#codec.storableOf(given)
      onwrite()
      return this.#put(isPromise(storable) ? answersLater(storable) : storable)
    }
    return { key: this.#codec.encodeKey(key), write, size: SMALL }
  }

  /** Counters and the like. */
  typed(key: K, operation: WriteOperation): Operation {
    this.#checkMerging('a counter, a set or the like')
    return { key: this.#codec.encodeKey(key), ...this.#checked(operation), size: SMALL }
  }

  #put({ stored }: Storable<V>, base?: Value, settles = false): WriteOperation {
    // What has no fields is written whole.
    if ('bytes' in stored) return { do: 'put-whole', bytes: stored.bytes }
    const { fields: value } = stored
    if (this.#isAtomic) return { do: 'put-whole', bytes: encodeValue(value) }
    return base === undefined ? { do: 'put', value, settles } : { do: 'put', value, settles, base }
  }

  #base({ base }: PutOptions<K, V>): Value | undefined {
    if (base === undefined) return undefined
    if (this.#isAtomic) invalid('base', 'a database whose objects merge by field', base)
    return base === null ? null : copyValue(this.#codec.values.encode(base))
  }

  #cas(
    { cas }: CasOptions<K, V>,
    proposal: (next: () => FoldedKey) => Proposal<K, V>
  ): Pick<Operation, 'cas'> {
    if (cas === undefined) return {}
    if (typeof cas !== 'function') invalid('cas', 'a function (previous, next) => boolean', cas)
    return {
      cas: (previous, next) => {
        const isWanted: unknown = cas(this.#readable(previous), proposal(next))
        // A promise, which is always true, would let every write through.
        if (typeof isWanted !== 'boolean')
          invalid('cas', 'a function that gives true or false', isWanted)
        return isWanted
      }
    }
  }

  /** With a schema: looks at what the key holds after the write, and stores what the schema makes of it. */
  #checked(operation: WriteOperation): Pick<Operation, 'write'> {
    const { values } = this.#codec
    if (!(values instanceof SchemaEncoding)) return { write: operation }
    return {
      write: (now, step) => {
        if (step === 0) return operation
        if (step > 1 || !now.exists) return null
        const checked = values.recheck(now.value)
        if (now.type !== 'value' || isSameValue(checked, now.value)) return null
        const isWhole = this.#isAtomic || !isFields(checked)
        return isWhole
          ? { do: 'put-whole', bytes: encodeValue(checked) }
          : { do: 'put', value: checked }
      }
    }
  }

  /** Only what is stored as it is put can be merged. */
  #checkMerging(what: string): void {
    if (!this.#codec.isPlain) invalid('valueEncoding', `'json' for ${what}`, 'another')
  }
}

function answersLater(answer: Promise<unknown>): never {
  answer.catch(() => {}) // it was asked in vain
  return invalid('schema', 'one that answers at once, for patch and update', 'a promise')
}

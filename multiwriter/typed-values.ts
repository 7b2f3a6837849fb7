/**
 * Values that are more than the last thing written: counters, sets, flags, extremes, and the merge types of users. A handle names
 * one key; it holds nothing, so make one whenever it is needed. In a batch the same handles collect: nothing is written before
 * `flush`.
 */
import {
  copyValue,
  isSameValue,
  type MergeType,
  type Value,
  type WriteOperation
} from '../crdt/index.ts'
import { invalid } from '../errors.ts'
import type { FoldedKey } from './view.ts'

/** Where a handle reads and writes. `R` is what writing gives: a promise, or for a batch nothing. */
export interface TypedTarget<R> {
  write(operation: WriteOperation): R
  read(): Promise<FoldedKey>
}

/** A number that everybody adds to: no increment is lost, whoever else adds meanwhile. */
export class Counter<R> {
  readonly #target: TypedTarget<R>

  /** @see MultiBee.counter */
  constructor(target: TypedTarget<R>) {
    this.#target = target
  }

  /** @param amount finite, also below 0. @throws INVALID_ARGUMENT */
  add(amount = 1): R {
    return this.#target.write({ do: 'add', amount: finite('amount', amount) })
  }

  /** 0 where no counter is. */
  async get(): Promise<number> {
    return numberOf(await this.#target.read(), 'counter') ?? 0
  }
}

/** The greatest, or the least, of all numbers that were given to it. */
export class Extreme<R> {
  readonly #target: TypedTarget<R>
  readonly #type: 'max' | 'min'

  /** @see MultiBee.max, MultiBee.min */
  constructor(target: TypedTarget<R>, type: 'max' | 'min') {
    this.#target = target
    this.#type = type
  }

  /** @throws INVALID_ARGUMENT for what is not finite */
  add(value: number): R {
    return this.#target.write({ do: 'raise', type: this.#type, to: finite('value', value) })
  }

  /** Null where there is none. */
  async get(): Promise<number | null> {
    return numberOf(await this.#target.read(), this.#type)
  }
}

/**
 * A set of storable values. Who adds an element while another removes it wins: a removal takes away only what it had seen. An empty
 * set is not there.
 */
export class ValueSet<E extends Value, R> {
  readonly #target: TypedTarget<R>

  /** @see MultiBee.set */
  constructor(target: TypedTarget<R>) {
    this.#target = target
  }

  /** @throws VALUE_INVALID */
  add(element: E): R {
    return this.#target.write({ do: 'include', element: copyValue(element) })
  }

  /** @throws VALUE_INVALID */
  delete(element: E): R {
    return this.#target.write({ do: 'exclude', element: copyValue(element) })
  }

  async has(element: E): Promise<boolean> {
    const wanted = copyValue(element)
    return (await this.values()).some((each) => isSameValue(each, wanted))
  }

  /** Each once, in an order that is the same on every device. */
  async values(): Promise<readonly E[]> {
    const { type, exists, value } = await this.#target.read()
    return type === 'set' && exists ? claimed<readonly E[]>(value) : []
  }
}

/** On or off. Who enables it while another disables it wins. */
export class Flag<R> {
  readonly #target: TypedTarget<R>

  /** @see MultiBee.flag */
  constructor(target: TypedTarget<R>) {
    this.#target = target
  }

  enable(): R {
    return this.#target.write({ do: 'enable' })
  }

  disable(): R {
    return this.#target.write({ do: 'disable' })
  }

  async get(): Promise<boolean> {
    const { type, exists } = await this.#target.read()
    return type === 'flag' && exists
  }
}

/** What a user's merge type makes of everybody's operations. */
export class TypedValue<Operation, Result extends Value, R> {
  readonly #target: TypedTarget<R>
  readonly #name: string

  /** @see MultiBee.typed */
  constructor(target: TypedTarget<R>, type: Pick<MergeType<Operation, Result, never>, 'name'>) {
    if (typeof type !== 'object' || type === null) invalid('type', 'a merge type', type)
    this.#target = target
    this.#name = type.name
  }

  /** @throws what the type's `write` throws; INVALID_ARGUMENT for a type that its sub-database does not declare */
  apply(operation: Operation): R {
    return this.#target.write({ do: 'apply', name: this.#name, operation })
  }

  /** Null where there is none. */
  async get(): Promise<Result | null> {
    const { type, exists, value } = await this.#target.read()
    return type === this.#name && exists ? claimed<Result>(value) : null
  }
}

function numberOf({ type, exists, value }: FoldedKey, wanted: string): number | null {
  return type === wanted && exists && typeof value === 'number' ? value : null
}

function finite(name: string, value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value)
    ? value
    : invalid(name, 'a finite number', value)
}

/** The type of what stands at the key says so, or the caller, who chose it. */
function claimed<T>(value: Value): T {
  return value as T
}

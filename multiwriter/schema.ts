/**
 * Values checked by a schema of the caller's, from any library that speaks Standard Schema (zod, valibot, arktype, ...).
 *
 * What is put is checked, and the schema's output is stored. What is read is checked again, because other devices, older and
 * newer versions of the same application, and forgers write too: a value that does not fit is refused and not shown, and where
 * the schema fills in a default, the default is shown. So a schema must accept its own output and leave it as it is; one that
 * turns a value into something else at each passing (a string into its length) could not be read back, and its put is refused.
 *
 * A schema that answers later (a promise) checks what is put. Reading goes through values at once: what such a schema can tell at
 * once counts there, and what it would tell later does not, so look-ups elsewhere belong in front of a put and not into a schema.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import b4a from 'b4a'
import { encodeValue, type Value } from '../crdt/index.ts'
import { invalid, isManyhandsError, ManyhandsError } from '../errors.ts'
import { inheritEncoding, type ValueEncoding } from './encodings.ts'

/** What is wrong with a value, and where: the fields and indexes on the way to it, none for the value as a whole. */
export interface SchemaIssue {
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** The cause of a VALUE_INVALID, when a schema refused the value. */
export class SchemaMismatch extends Error {
  readonly issues: readonly SchemaIssue[]

  constructor(issues: readonly SchemaIssue[]) {
    super(issues.map(showIssue).join('; '))
    this.name = 'SchemaMismatch'
    this.issues = issues
  }
}

type Checked<V> = StandardSchemaV1.Result<V>

/** A value that fits. */
export interface Validated<V> {
  readonly stored: Value
  /** As it will be read. */
  readonly shown: V
}

/** A value encoding whose values fit a schema. */
export class SchemaEncoding<V, I> implements ValueEncoding<V> {
  /** How valid values become storable ones. */
  readonly base: ValueEncoding<V>
  readonly #schema: StandardSchemaV1<I, V>

  constructor(schema: StandardSchemaV1<I, V>, base: ValueEncoding<V>) {
    this.base = base
    this.#schema = schema
  }

  /**
   * What the schema makes of `given`, and its storable form.
   * @throws VALUE_INVALID naming the issues and their paths
   */
  validate(given: I): Validated<V> | Promise<Validated<V>> {
    const checked = this.#ask(given)
    if (!isPromise(checked)) return this.#stable(this.base.encode(outputOf(checked)))
    return checked.then((later) => this.#unasked(outputOf(later))).catch(refuseThrown)
  }

  /**
   * What the schema makes of a stored value, in its storable form.
   * @throws VALUE_INVALID; INVALID_ARGUMENT for a schema that answers later
   */
  recheck(stored: Value): Value {
    const validated = this.validate(inheritEncoding(this.base.decode(stored)))
    if (!isPromise(validated)) return validated.stored
    validated.catch(() => {}) // it was asked in vain
    return invalid('schema', 'one that answers at once, for patch and the like', 'a promise')
  }

  /** Of a value that was validated. */
  encode(value: V): Value {
    return this.base.encode(value)
  }

  /** @throws SchemaMismatch when the stored value does not fit, any error of the value encoding */
  decode(stored: Value): V {
    const value = this.base.decode(stored)
    const checked = this.#schema['~standard'].validate(value)
    if (isPromise(checked)) {
      checked.catch(() => {}) // it was asked in vain
      return value
    }
    if (checked.issues !== undefined) throw new SchemaMismatch(checked.issues.map(issueOf))
    return checked.value
  }

  #ask(given: I): Checked<V> | Promise<Checked<V>> {
    try {
      return this.#schema['~standard'].validate(given)
    } catch (cause) {
      return refuseThrown(cause)
    }
  }

  /** What would be shown is what is stored, or nothing is stored. */
  #stable(stored: Value): Validated<V> {
    // Before the schema sees it again: it may change the very object.
    const bytes = encodeValue(stored)
    const shown = this.#shownOf(stored)
    if (b4a.equals(encodeValue(this.base.encode(shown)), bytes)) return { stored, shown }
    return unstable('The schema changes its own output once more')
  }

  /** Of a schema that answers later: at reading it is not waited for. */
  #unasked(output: V): Validated<V> {
    const stored = this.base.encode(output)
    return { stored, shown: this.base.decode(stored) }
  }

  #shownOf(stored: Value): V {
    try {
      return this.decode(stored)
    } catch (cause) {
      if (!(cause instanceof SchemaMismatch)) throw cause
      return unstable(`The schema does not accept its own output: ${cause.message}`, cause)
    }
  }
}

/** The schema of a caller, checked. @throws INVALID_ARGUMENT */
export function schemaOf<S extends StandardSchemaV1>(schema: S): S {
  const isObject = typeof schema === 'function' || (typeof schema === 'object' && schema !== null)
  const standard: unknown = isObject ? schema['~standard'] : undefined
  const isStandard =
    typeof standard === 'object' &&
    standard !== null &&
    'version' in standard &&
    standard.version === 1 &&
    'validate' in standard &&
    typeof standard.validate === 'function'
  return isStandard
    ? schema
    : invalid('schema', 'a Standard Schema, as zod or valibot make', schema)
}

export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise
}

function outputOf<V>(checked: Checked<V>): V {
  if (checked.issues === undefined) return checked.value
  const mismatch = new SchemaMismatch(checked.issues.map(issueOf))
  throw new ManyhandsError(
    'VALUE_INVALID',
    `The value does not fit its schema: ${mismatch.message}`,
    {
      cause: mismatch
    }
  )
}

/** A schema should answer and not throw; a check of the caller's inside it may. */
function refuseThrown(cause: unknown): never {
  if (isManyhandsError(cause)) throw cause
  throw new ManyhandsError('VALUE_INVALID', 'The value could not be checked or encoded', { cause })
}

function unstable(problem: string, cause?: unknown): never {
  const advice = 'stored values are checked when they are read, so convert in a valueEncoding'
  throw new ManyhandsError('VALUE_INVALID', `${problem}; ${advice}`, { cause })
}

function issueOf({ message, path = [] }: StandardSchemaV1.Issue): SchemaIssue {
  const keys = path.map((step) => (typeof step === 'object' ? step.key : step))
  return { message, path: keys.map((key) => (typeof key === 'number' ? key : String(key))) }
}

function showIssue({ path, message }: SchemaIssue): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`
}

/**
 * Keeps the order of calls where some of them must wait: once one waits, those behind it wait for it. While nobody waits, it
 * costs nothing.
 */
export class Line {
  #last: Promise<unknown> | null = null

  /** The items when all of them are there, and all that entered before has left. */
  enter<T>(items: readonly (T | Promise<T>)[]): readonly T[] | Promise<readonly T[]> {
    if (this.#last === null && items.every((item): item is T => !isPromise(item))) return items
    // A failure is shown to whoever waits for `ready`, which may be later.
    for (const item of items) if (isPromise(item)) item.catch(() => {})
    const ready = Promise.resolve(this.#last).then(() => Promise.all(items))
    const left = ready
      .catch(() => {})
      .then(() => {
        if (this.#last === left) this.#last = null
      })
    this.#last = left
    return ready
  }
}

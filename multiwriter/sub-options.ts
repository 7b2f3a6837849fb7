/** What a sub-database can have of its own, and what it takes from the one it is in. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { AnyMergeType, Deletes } from '../crdt/index.ts'
import { invalid } from '../errors.ts'
import {
  inheritEncoding,
  valueEncodingOf,
  type KeyEncoding,
  type ValueEncoding
} from './encodings.ts'
import { SchemaEncoding, schemaOf } from './schema.ts'

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
  /**
   * 'value' (default): objects merge field by field. 'register': an object is one whole, the last write wins. So it is with a value
   * encoding other than 'json', too.
   */
  readonly type?: 'value' | 'register'
  /**
   * Who wins where one device deletes what another writes meanwhile: 'add-wins' (default) or 'delete-wins'. It is no data: let
   * every device use the same. Declared once: the same again, or nothing, when this sub-database is asked for another time.
   */
  readonly deletes?: Deletes
  /** Merge types of your own for `typed()`: the same on every device. Declared once, as `deletes`. */
  readonly types?: readonly AnyMergeType[]
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

export const SUB_OPTIONS = [
  'keyEncoding',
  'valueEncoding',
  'schema',
  'index',
  'type',
  'deletes',
  'types'
]

export type AnySubOptions = SubOptions<unknown, unknown> & { readonly schema?: StandardSchemaV1 }

/** @param parent whose encoding is taken where there is none; a schema stands over that, not over the parent's schema */
export function subValues<V>(
  options: AnySubOptions,
  parent: ValueEncoding<V>
): ValueEncoding<unknown> {
  const { schema } = options
  const values = subEncoding(options, parent)
  return schema === undefined ? values : new SchemaEncoding(schemaOf(schema), values)
}

function subEncoding<V>(
  { valueEncoding, schema }: AnySubOptions,
  parent: ValueEncoding<V>
): ValueEncoding<unknown> {
  if (valueEncoding !== undefined) return valueEncodingOf(valueEncoding)
  const isReplaced = schema !== undefined && parent instanceof SchemaEncoding
  return inheritEncoding(isReplaced ? parent.base : parent)
}

/**
 * Whether objects are one register each: what is stored in an encoding of the caller's is nobody else's to take apart.
 * @param isAtomic whether they are in the parent
 * @param isPlain whether the parent's encoding is 'json', with or without a schema
 */
export function isSubAtomic(
  { type, valueEncoding }: AnySubOptions,
  isAtomic: boolean,
  isPlain: boolean
): boolean {
  const isOther = valueEncoding !== undefined && valueEncoding !== 'json'
  if (type === undefined) return isOther || (valueEncoding === undefined && isAtomic)
  if (type !== 'value' && type !== 'register') invalid('type', "'value' or 'register'", type)
  const isForeign = isOther || (valueEncoding === undefined && !isPlain)
  if (type === 'value' && isForeign) {
    invalid('type', "'register' with a valueEncoding other than 'json'", type)
  }
  return type === 'register'
}

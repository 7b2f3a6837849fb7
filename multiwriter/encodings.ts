/** How a caller's keys and values become bytes and storable values, and back. */
import type { Value } from '../crdt/index.ts'
import { invalid, ManyhandsError } from '../errors.ts'

/** How a caller's keys become bytes. The order of the bytes is the order of the database. */
export interface KeyEncoding<K> {
  encode(key: K): Uint8Array
  decode(bytes: Uint8Array): K
}

/** How a caller's values become storable ones. `decode` may throw on a value of another kind. */
export interface ValueEncoding<V> {
  encode(value: V): Value
  decode(value: Value): V
}

export type KeyEncodingOption = 'utf-8' | 'binary' | KeyEncoding<unknown> | undefined

/** The type of the keys of an encoding; `K` where it is inherited. */
export type KeyOf<E, K> = E extends 'utf-8'
  ? string
  : E extends 'binary'
    ? Uint8Array
    : E extends KeyEncoding<infer Own>
      ? Own
      : K

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** In the order of code points. */
const utf8Keys: KeyEncoding<string> = {
  encode(key) {
    if (typeof key !== 'string') return keyInvalid(`expected a string, got ${typeof key}`)
    if (!key.isWellFormed()) return keyInvalid('has a lone surrogate')
    return encoder.encode(key)
  },
  decode: (bytes) => strict.decode(bytes)
}

const binaryKeys: KeyEncoding<Uint8Array> = {
  encode(key) {
    return key instanceof Uint8Array ? key : keyInvalid(`expected bytes, got ${typeof key}`)
  },
  decode: (bytes) => bytes
}

/** Anything storable. */
const jsonValues: ValueEncoding<Value> = {
  encode: (value) => value,
  decode: (value) => value
}

const utf8Values: ValueEncoding<string> = {
  encode(value) {
    return typeof value === 'string' ? value : valueInvalid('a string', value)
  },
  decode: (value) => (typeof value === 'string' ? value : valueInvalid('a string', value))
}

const binaryValues: ValueEncoding<Uint8Array> = {
  encode(value) {
    return value instanceof Uint8Array ? value : valueInvalid('bytes', value)
  },
  decode: (value) => (value instanceof Uint8Array ? value : valueInvalid('bytes', value))
}

function keyInvalid(problem: string): never {
  throw new ManyhandsError('KEY_INVALID', `The key ${problem}`)
}

function valueInvalid(expected: string, value: unknown): never {
  throw new ManyhandsError('VALUE_INVALID', `The value expected ${expected}, got ${typeof value}`)
}

/** A sub-database without encodings of its own has ours: then its types are ours too (K2 = K, V2 = V). */
export function inheritEncoding<A, B>(encoding: A): B {
  return encoding as unknown as B
}

export function keyEncodingOf<K>(encoding: 'utf-8' | 'binary' | KeyEncoding<K>): KeyEncoding<K> {
  if (encoding === 'utf-8') return inheritEncoding(utf8Keys)
  if (encoding === 'binary') return inheritEncoding(binaryKeys)
  if (isCodec(encoding)) return encoding
  return invalid('keyEncoding', "'utf-8', 'binary' or { encode, decode }", encoding)
}

export function valueEncodingOf<V>(
  encoding: 'json' | 'utf-8' | 'binary' | ValueEncoding<V>
): ValueEncoding<V> {
  if (encoding === 'json') return inheritEncoding(jsonValues)
  if (encoding === 'utf-8') return inheritEncoding(utf8Values)
  if (encoding === 'binary') return inheritEncoding(binaryValues)
  if (isCodec(encoding)) return encoding
  return invalid('valueEncoding', "'json', 'utf-8', 'binary' or { encode, decode }", encoding)
}

/** Whether values are stored as they are. */
export function isPlainEncoding(encoding: unknown): boolean {
  return encoding === jsonValues
}

function isCodec(encoding: unknown): boolean {
  return (
    typeof encoding === 'object' &&
    encoding !== null &&
    'encode' in encoding &&
    'decode' in encoding &&
    typeof encoding.encode === 'function' &&
    typeof encoding.decode === 'function'
  )
}

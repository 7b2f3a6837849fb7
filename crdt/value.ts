/**
 * Values in their one canonical form: deterministic CBOR (RFC 8949, section 4.2). Fields are sorted by the bytes of their
 * encoded names, numbers take their shortest form, -0 is 0, and NaN, infinities, undefined and BigInt do not exist. So equal
 * values have equal bytes on every device, and a value can be read without knowing who wrote it.
 */
import b4a from 'b4a'
import { decode, encode, rfc8949EncodeOptions, Tokenizer, Type } from 'cborg'
import { ManyhandsError } from '../errors.ts'

/** What can be stored: JSON and bytes. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly [field: string]: Value }

/** Deeper data is a linked list or a mistake, and recursion on remote bytes needs a floor. */
export const MAX_VALUE_DEPTH = 100

/** 4 MiB encoded: a value travels and is read as one block, and the stack refuses blocks near 16 MB. */
export const MAX_VALUE_BYTES = 4 * 1024 * 1024

const DECODE_OPTIONS = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true
}

/**
 * The canonical bytes of `value`.
 * @throws VALUE_INVALID naming the path of what cannot be stored, VALUE_TOO_LARGE above MAX_VALUE_BYTES
 */
export function encodeValue(value: unknown): Uint8Array {
  const bytes = encodeNormalized(normalizeValue(value))
  checkSize(bytes.byteLength)
  return bytes
}

/**
 * A checked copy of `value` that holds nothing but plain data.
 * @throws VALUE_INVALID naming the path of what cannot be stored
 */
export function normalizeValue(value: unknown): Value {
  return normalize(value, NO_PATH, null)
}

const NO_PATH: readonly string[] = []

/** The canonical bytes of what `normalizeValue` or `decodeValue` gave. */
export function encodeNormalized(value: Value): Uint8Array {
  return encodeShort(value) ?? encode(value, rfc8949EncodeOptions)
}

/** Strings and numbers below this stand in one byte with their kind; up to the greatest byte, in one byte behind it. */
const SHORT = 24
const SHORT_TEXT = 0x60
const MAX_BYTE = 255
const FALSE = 0xf4
const TRUE = 0xf5
const NULL = 0xf6

/** The usual field, without the encoder's set-up, which is dearer than the work. Null for every other. */
function encodeShort(value: Value): Uint8Array | null {
  if (value === null) return Uint8Array.of(NULL)
  if (typeof value === 'boolean') return Uint8Array.of(value ? TRUE : FALSE)
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || value < 0 || value > MAX_BYTE) return null
    return value < SHORT ? Uint8Array.of(value) : Uint8Array.of(SHORT, value)
  }
  return typeof value === 'string' && value.length <= MAX_BYTE ? encodeAscii(value) : null
}

/** Null for text of other letters. */
function encodeAscii(text: string): Uint8Array | null {
  const { length } = text
  const header = headerOf(length)
  const bytes = new Uint8Array(header + length)
  bytes[0] = SHORT_TEXT + Math.min(length, SHORT)
  if (header > 1) bytes[1] = length
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) return null
    bytes[header + i] = code
  }
  return bytes
}

/** The shortest of what `encodeShort` writes; undefined for everything else. */
function decodeShort(bytes: Uint8Array): Value | undefined {
  const first = bytes[0] ?? SHORT_TEXT + SHORT
  if (
    first >= SHORT_TEXT &&
    first < SHORT_TEXT + SHORT &&
    bytes.byteLength === first - SHORT_TEXT + 1
  ) {
    let text = ''
    for (let i = 1; i < bytes.byteLength; i++) {
      const code = bytes[i] ?? 0
      if (code >= 0x80) return undefined
      text += String.fromCharCode(code)
    }
    return text
  }
  if (bytes.byteLength !== 1) return decodeByte(bytes)
  if (first < SHORT) return first
  if (first === NULL) return null
  return first === TRUE || first === FALSE ? first === TRUE : undefined
}

/** A number in the byte behind its kind. */
function decodeByte(bytes: Uint8Array): number | undefined {
  const [kind, number = 0] = bytes
  return bytes.byteLength === 2 && kind === SHORT && number >= SHORT ? number : undefined
}

/**
 * A checked copy that shares nothing with what was given.
 * @throws as `encodeValue`
 */
export function copyValue(value: unknown): Value {
  const copy = normalizeValue(value)
  if (roughSize(copy) * MAX_UTF8_BYTES > MAX_VALUE_BYTES) {
    checkSize(encodeNormalized(copy).byteLength)
  }
  return copy instanceof Uint8Array ? new Uint8Array(copy) : copy
}

/** Of one UTF-16 code unit. */
const MAX_UTF8_BYTES = 3

/** The greatest head of anything, and all of a number. */
const HEAD_BYTES = 9

/** Bytes that a normalized value takes: at most, when all its text is ASCII; never more than MAX_UTF8_BYTES times as many. */
export function roughSize(value: Value): number {
  if (typeof value === 'string') return HEAD_BYTES + value.length
  if (typeof value !== 'object' || value === null) return HEAD_BYTES
  if (value instanceof Uint8Array) return HEAD_BYTES + value.byteLength
  let size = HEAD_BYTES
  if (Array.isArray(value)) for (const item of value) size += roughSize(item)
  else
    for (const [name, item] of Object.entries(value)) {
      size += HEAD_BYTES + name.length + roughSize(item)
    }
  return size
}

/** Of two normalized values. */
export function isSameValue(a: Value, b: Value): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object') return false
  return b4a.equals(encodeNormalized(a), encodeNormalized(b))
}

/** @throws VALUE_TOO_LARGE above MAX_VALUE_BYTES */
export function checkSize(bytes: number): void {
  if (bytes <= MAX_VALUE_BYTES) return
  throw new ManyhandsError(
    'VALUE_TOO_LARGE',
    `The value takes ${bytes} bytes, the limit is ${MAX_VALUE_BYTES}`
  )
}

/**
 * The value of canonical bytes. What it accepts, `encodeValue` accepts.
 * @param depth how deep it stands in a larger value
 * @param isGiven whether nobody else holds these bytes: then the value may be a part of them
 * @throws Error when they are not one well-formed value (remote data: catch it)
 */
export function decodeValue(bytes: Uint8Array, depth = 0, isGiven = false): Value {
  const short = decodeShort(bytes)
  if (short !== undefined) return short
  const whole = decodeWhole(bytes, isGiven)
  if (whole !== null) return whole
  const value: Value = decode(bytes, bytes.includes(BOM[0]) ? exactOptions(bytes) : DECODE_OPTIONS)
  checkDecoded(value, depth)
  return value
}

const BYTES = 2
const TEXT = 3
const exactText = new TextDecoder('utf-8', { ignoreBOM: true })

/** The usual value that is one string or one run of bytes: cborg's tokens cost more than all else of reading it. Null for others. */
function decodeWhole(bytes: Uint8Array, isGiven: boolean): Uint8Array | string | null {
  const head = bytes[0] ?? 0
  const major = head >> 5
  if (major !== BYTES && major !== TEXT) return null
  const short = head & 31
  const header = short < 24 ? 1 : short - 22
  const length =
    short < 24 ? short : short === 24 ? byteAt(bytes, 1) : byteAt(bytes, 1) * 256 + byteAt(bytes, 2)
  // What is longer, cut short, or not in its shortest form, is left to cborg to judge.
  if (short > 25 || header + length !== bytes.byteLength || header !== headerOf(length)) return null
  const content = new Uint8Array(bytes.buffer, bytes.byteOffset + header, length)
  if (major === TEXT) return exactText.decode(content)
  // A copy of a hundred bytes costs as much as all the rest of reading them.
  return isGiven ? content : content.slice()
}

const byteAt = (bytes: Uint8Array, i: number): number => bytes[i] ?? 0

const headerOf = (length: number): number => (length < 24 ? 1 : length < 256 ? 2 : 3)

/** A byte order mark in UTF-8. */
const BOM = [0xef, 0xbb, 0xbf] as const

function exactOptions(bytes: Uint8Array) {
  // Not the Buffer that it may be: bytes inside the value would become Buffers too.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return { ...DECODE_OPTIONS, tokenizer: new ExactTokenizer(plain, DECODE_OPTIONS) }
}

/** cborg drops a byte order mark at the start of a string; a value comes back as it was put. */
class ExactTokenizer extends Tokenizer {
  override next() {
    const start = this.pos()
    const token = super.next()
    if (token.type === Type.string && this.#hasBom(start)) token.value = `\ufeff${token.value}`
    return token
  }

  #hasBom(start: number): boolean {
    const minor = (this.data[start] ?? 0) & 31
    const header = minor < 24 ? 1 : 1 + 2 ** (minor - 24)
    const end = Math.min(this.pos(), this.data.length)
    return (
      start + header + BOM.length <= end &&
      BOM.every((byte, i) => this.data[start + header + i] === byte)
    )
  }
}

/** The depth is checked here and not by where the stack ends: that differs from device to device, and views must not. */
function checkDecoded(value: Value, depth: number): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return
  if (depth === MAX_VALUE_DEPTH) throw new Error('The value is nested too deep')
  if (!Array.isArray(value) && Object.hasOwn(value, '__proto__')) {
    throw new Error('The value has a field named __proto__')
  }
  for (const item of Object.values(value)) checkDecoded(item, depth + 1)
}

/** A plain copy of `value`, checked on the way; scalars come back as they are. @param name of the field or item, at `path` */
function normalize(value: unknown, path: readonly string[], name: string | null): Value {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value)) refuse(below(path, name), String(value))
      return value === 0 ? 0 : value
    case 'string':
      if (!value.isWellFormed()) refuse(below(path, name), 'a string with a lone surrogate')
      return value
    case 'object':
      if (value === null) return value
      // Bytes inside a value would be shared with it.
      if (value instanceof Uint8Array) return name === null ? value : new Uint8Array(value)
      return normalizeItems(value, below(path, name))
    default:
      return refuse(
        below(path, name),
        typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`
      )
  }
}

/** Made where it is needed: most fields are scalars, and nothing is wrong with them. */
function below(path: readonly string[], name: string | null): readonly string[] {
  return name === null ? path : [...path, name]
}

function normalizeItems(value: object, path: readonly string[]): Value {
  // Cyclic data runs into this as well: there is no cycle of finite depth.
  if (path.length === MAX_VALUE_DEPTH)
    refuse(path, `data nested deeper than ${MAX_VALUE_DEPTH} levels (or cyclic)`)
  return Array.isArray(value) ? normalizeArray(value, path) : normalizeObject(value, path)
}

function normalizeArray(array: readonly unknown[], path: readonly string[]) {
  // Array.from visits holes too, where map would leave them out unchecked.
  return Array.from(array, (item, i) => normalize(item, path, String(i)))
}

function normalizeObject(object: object, path: readonly string[]) {
  const prototype: unknown = Object.getPrototypeOf(object)
  if (prototype !== Object.prototype && prototype !== null) {
    refuse(path, `a ${object.constructor?.name || 'class'} instance`)
  }
  const copy: Record<string, Value> = {}
  for (const [field, item] of Object.entries(object)) {
    if (field === '__proto__') refuse([...path, field], 'a field of this name')
    if (!field.isWellFormed()) refuse([...path, field], 'a field name with a lone surrogate')
    copy[field] = normalize(item, path, field)
  }
  if (Object.getOwnPropertySymbols(object).length > 0) refuse(path, 'a field named by a symbol')
  return copy
}

function refuse(path: readonly string[], what: string): never {
  const shown = path.slice(0, 8).join('.') + (path.length > 8 ? '…' : '')
  const place = path.length === 0 ? 'The value' : `The field "${shown}"`
  throw new ManyhandsError('VALUE_INVALID', `${place} is ${what}, which cannot be stored`)
}

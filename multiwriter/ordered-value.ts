/**
 * Scalars as bytes whose order is the order of the values, for index rows (docs/FORMAT.md, "Index values"):
 *
 *     null < false < true < numbers < strings, by code point < bytes
 *
 * No encoded value is the start of another one, so that what stands behind it orders equal values and nothing else.
 *
 *     null 0x10 · false 0x20 · true 0x21
 *     number 0x30, IEEE 754 binary64 BE: all bits flipped if negative, else only the sign
 *     string 0x40, UTF-8, 0x00 as 0x00 0xff, end 0x00 0x01
 *     bytes  0x50, the bytes, as for strings
 */
import b4a from 'b4a'

/** What an index orders. */
export type Indexable = null | boolean | number | string | Uint8Array

const NULL = b4a.from([0x10])
const FALSE = b4a.from([0x20])
const TRUE = b4a.from([0x21])
const NUMBER = 0x30
const STRING = 0x40
const BYTES = 0x50

const NUMBER_BYTES = 9

const encoder = new TextEncoder()

/** Not NaN, which has no place in any order, nor strings that are not Unicode. */
export function isIndexable(value: unknown): value is Indexable {
  switch (typeof value) {
    case 'boolean':
      return true
    case 'number':
      return !Number.isNaN(value)
    case 'string':
      return value.isWellFormed()
    default:
      return value === null || value instanceof Uint8Array
  }
}

export function encodeOrdered(value: Indexable): Uint8Array {
  switch (typeof value) {
    case 'boolean':
      return value ? TRUE : FALSE
    case 'number':
      return encodeNumber(value)
    case 'string':
      return encodeBytes(STRING, encoder.encode(value))
    default:
      return value === null ? NULL : encodeBytes(BYTES, value)
  }
}

/** How many bytes the value takes that `bytes` starts with; null when there is none. */
export function orderedLength(bytes: Uint8Array): number | null {
  switch (bytes[0]) {
    case NULL[0]:
    case FALSE[0]:
    case TRUE[0]:
      return 1
    case NUMBER:
      return bytes.byteLength < NUMBER_BYTES ? null : NUMBER_BYTES
    case STRING:
    case BYTES:
      return lengthToEnd(bytes)
    default:
      return null
  }
}

function encodeNumber(value: number): Uint8Array {
  const bytes = b4a.alloc(NUMBER_BYTES)
  bytes[0] = NUMBER
  const view = new DataView(bytes.buffer, bytes.byteOffset + 1, 8)
  view.setFloat64(0, value === 0 ? 0 : value)
  const high = view.getUint32(0)
  const isNegative = high >= 0x80000000
  view.setUint32(0, isNegative ? ~high : high | 0x80000000)
  if (isNegative) view.setUint32(4, ~view.getUint32(4))
  return bytes
}

function encodeBytes(kind: number, bytes: Uint8Array): Uint8Array {
  let zeros = 0
  for (const byte of bytes) if (byte === 0) zeros++
  const encoded = b4a.alloc(1 + bytes.byteLength + zeros + 2)
  let at = 0
  encoded[at++] = kind
  for (const byte of bytes) {
    encoded[at++] = byte
    if (byte === 0) encoded[at++] = 0xff
  }
  encoded[at + 1] = 0x01
  return encoded
}

function lengthToEnd(bytes: Uint8Array): number | null {
  for (let at = 1; at + 1 < bytes.byteLength; at++) {
    if (bytes[at] !== 0) continue
    if (bytes[at + 1] === 0x01) return at + 2
    at++ // an escaped zero
  }
  return null
}

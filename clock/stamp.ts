/**
 * Stamps: who wrote when, in 16 bytes whose byte order is time order.
 *
 * | offset | bytes | field                                                    |
 * | ------ | ----- | -------------------------------------------------------- |
 * | 0      | 6     | `ms`: milliseconds since 1970 (UTC), big endian          |
 * | 6      | 2     | `counter`: order inside one millisecond, big endian      |
 * | 8      | 8     | `tag`: the writer's tag, as it is                        |
 *
 * The text form sorts the same way by code units: `02026-11-22T17:30:00.123Z-0001-0123456789abcdef`.
 * Its year has five digits because 48 bits of milliseconds end in the year 10889; a four-digit year
 * would sort 10000 before 2026.
 */

/** The size of an encoded stamp, in bytes. */
export const STAMP_BYTES = 16

/** The size of a writer tag, in bytes. */
export const TAG_BYTES = 8

/** The size of a stamp's time alone, in bytes: all but the tag. */
export const TIME_BYTES = STAMP_BYTES - TAG_BYTES

/** The last millisecond a stamp can hold: 2^48 - 1, on 2 August 10889. */
export const MAX_MS = 2 ** 48 - 1

/** The greatest counter within one millisecond: 2^16 - 1. */
export const MAX_COUNTER = 2 ** 16 - 1

const COUNTER_OFFSET = 6
const TAG_OFFSET = TIME_BYTES

/**
 * A point in hybrid logical time. Immutable, `tag` included: a clock's stamps share one tag array,
 * so writing into it would rewrite them all.
 *
 * The tag breaks ties and proves nothing: two writers may carry the same one. Who wrote an entry is
 * said by the core it stands in.
 */
export interface Stamp {
  /** Milliseconds since 1970 (UTC), an integer from 0 to `MAX_MS`. */
  readonly ms: number
  /** Order inside one millisecond, an integer from 0 to `MAX_COUNTER`. */
  readonly counter: number
  /** `TAG_BYTES` bytes, for instance the first of the writer's key. */
  readonly tag: Uint8Array
}

/**
 * The order of stamps: by ms, then counter, then tag. Agrees with the order of the encoded bytes and
 * of the text form.
 *
 * 0 does not mean "the same write": stamps of different cores can be equal. A caller that needs a
 * total order over writes breaks that last tie by core key.
 */
export function compareStamps(a: Stamp, b: Stamp): -1 | 0 | 1 {
  if (a.ms !== b.ms) return a.ms < b.ms ? -1 : 1
  if (a.counter !== b.counter) return a.counter < b.counter ? -1 : 1
  return a.tag === b.tag ? 0 : compareTags(a.tag, b.tag)
}

function compareTags(a: Uint8Array, b: Uint8Array): -1 | 0 | 1 {
  for (let i = 0; i < TAG_BYTES; i++) {
    const x = a[i] ?? 0
    const y = b[i] ?? 0
    if (x !== y) return x < y ? -1 : 1
  }
  return 0
}

/**
 * The tag of the writer of a log: the first bytes of the log's key, not copied. Where the log is known, the tag need not be
 * written: a stamp's time alone takes `TIME_BYTES`.
 */
export function tagOf(core: Uint8Array): Uint8Array {
  const known = tags.get(core)
  if (known !== undefined) return known
  const tag = core.subarray(0, TAG_BYTES)
  tags.set(core, tag)
  return tag
}

/** A scan asks for the same tag again and again, and a view of bytes is dearer than a lookup. */
const tags = new WeakMap<Uint8Array, Uint8Array>()

/** Writes a stamp's first `TIME_BYTES` bytes. For the hot path: neither the stamp nor the room is checked. */
export function encodeTimeInto({ ms, counter }: Stamp, target: Uint8Array, offset: number): void {
  const high = Math.floor(ms / 2 ** 32)
  target[offset] = high >>> 8
  target[offset + 1] = high
  target[offset + 2] = ms >>> 24
  target[offset + 3] = ms >>> 16
  target[offset + 4] = ms >>> 8
  target[offset + 5] = ms
  target[offset + COUNTER_OFFSET] = counter >>> 8
  target[offset + COUNTER_OFFSET + 1] = counter
}

/** The stamp whose time stands at `offset` and whose tag is this. `TIME_BYTES` bytes must be there. */
export function decodeTime(bytes: Uint8Array, offset: number, tag: Uint8Array): Stamp {
  // Read out one by one: this runs for every entry of a scan.
  const high = (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0)
  const low =
    ((bytes[offset + 2] ?? 0) << 24) |
    ((bytes[offset + 3] ?? 0) << 16) |
    ((bytes[offset + 4] ?? 0) << 8) |
    (bytes[offset + 5] ?? 0)
  const counter =
    (bytes[offset + COUNTER_OFFSET] ?? 0) * 256 + (bytes[offset + COUNTER_OFFSET + 1] ?? 0)
  return { ms: high * 2 ** 32 + (low >>> 0), counter, tag }
}

/** The 16 bytes of a stamp, newly allocated. Throws a TypeError if a field is out of its range. */
export function encodeStamp(stamp: Stamp): Uint8Array {
  const bytes = new Uint8Array(STAMP_BYTES)
  encodeStampInto(stamp, bytes)
  return bytes
}

/**
 * Writes the 16 bytes of a stamp at `offset` and touches no others. Throws a TypeError if a field is
 * out of its range and a RangeError if the target has no room; in both cases nothing is written.
 */
export function encodeStampInto(stamp: Stamp, target: Uint8Array, offset = 0): void {
  checkStamp(stamp)
  const view = stampView(target, offset)
  view.setUint16(0, Math.floor(stamp.ms / 2 ** 32))
  view.setUint32(2, stamp.ms % 2 ** 32)
  view.setUint16(COUNTER_OFFSET, stamp.counter)
  target.set(stamp.tag, offset + TAG_OFFSET)
}

/**
 * Reads a stamp at `offset`. Any 16 bytes are a stamp; fewer throw a RangeError. The stamp owns its
 * tag: the input may be reused afterwards.
 */
export function decodeStamp(bytes: Uint8Array, offset = 0): Stamp {
  const view = stampView(bytes, offset)
  return {
    ms: view.getUint16(0) * 2 ** 32 + view.getUint32(2),
    counter: view.getUint16(COUNTER_OFFSET),
    // Not bytes.slice(): on a Node Buffer that is a view of the same memory, not a copy.
    tag: new Uint8Array(bytes.subarray(offset + TAG_OFFSET, offset + STAMP_BYTES))
  }
}

/**
 * The text form of a stamp, always 47 characters, see the top of this file. Throws a TypeError if a
 * field is out of its range.
 */
export function stampToText(stamp: Stamp): string {
  checkStamp(stamp)
  const iso = new Date(stamp.ms).toISOString() // 2026-... up to the year 9999, then +010000-...
  const time = iso.startsWith('+') ? iso.slice('+0'.length) : `0${iso}`
  return `${time}-${toHex(stamp.counter, 4)}-${Array.from(stamp.tag, (b) => toHex(b, 2)).join('')}`
}

const TEXT = /^(\d{5}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)-([0-9a-f]{4})-([0-9a-f]{16})$/

/**
 * Reads the text form. Strict: whatever `stampToText` would not print (capitals, spaces, 30
 * February, times outside the 48 bits) throws a TypeError that names the input.
 */
export function textToStamp(text: string): Stamp {
  const stamp = readText(text)
  // Printing it again catches what Date.parse lets pass, such as 30 February or 24:00.
  if (stamp !== null && stampToText(stamp) === text) return stamp
  throw new TypeError(`"text" expected a stamp's text form, got ${JSON.stringify(text)}`)
}

function readText(text: string): Stamp | null {
  const [, time, counter, tag] = TEXT.exec(text) ?? []
  if (time === undefined || counter === undefined || tag === undefined) return null
  const ms = Date.parse(`+0${time}`)
  return isMs(ms) ? { ms, counter: parseInt(counter, 16), tag: fromHex(tag) } : null
}

function toHex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16))
}

/** The 16 bytes at `offset`; checked against the array, whose buffer may go on behind its end. */
function stampView(bytes: Uint8Array, offset: number): DataView {
  if (!Number.isInteger(offset) || offset < 0 || offset + STAMP_BYTES > bytes.length) {
    throw new RangeError(
      `a stamp takes ${STAMP_BYTES} bytes: none at offset ${offset} of ${bytes.length} bytes`
    )
  }
  return new DataView(bytes.buffer, bytes.byteOffset + offset, STAMP_BYTES)
}

/** A field out of range would wrap silently into another time. */
function checkStamp({ ms, counter, tag }: Stamp): void {
  if (!isMs(ms)) throw new TypeError(`"ms" expected an integer from 0 to ${MAX_MS}, got ${ms}`)
  if (!Number.isInteger(counter) || counter < 0 || counter > MAX_COUNTER) {
    throw new TypeError(`"counter" expected an integer from 0 to ${MAX_COUNTER}, got ${counter}`)
  }
  if (tag.length !== TAG_BYTES) {
    throw new TypeError(`"tag" expected ${TAG_BYTES} bytes, got ${tag.length}`)
  }
}

function isMs(ms: number): boolean {
  return Number.isInteger(ms) && ms >= 0 && ms <= MAX_MS
}

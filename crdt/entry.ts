/**
 * The entry: what one core currently says about one key; the value in its bee. Byte by byte in docs/FORMAT.md, section
 * "Entry"; golden bytes in test/vectors/entry.json.
 *
 *     entry     = version u8 (1), type uint, head, payload
 *     head      = flags u8, [seq uint], [core 32 B], time 8 B, [count uint, count x (core 32 B, seq uint)]
 *     payload   = for type 1 (value): count uint, count x register; for another type: opaque
 *     register  = depth uint, depth x name string, flags u8, [head], [length uint, canonical value]
 *
 * The head stands outside the payload, so that a reader that does not know the type can still order the entry and keep it
 * as one atomic register.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import {
  decodeHead,
  encodeHead,
  FORMAT_VERSION,
  preencodeHead,
  type Bytes,
  type LooseHead
} from './head.ts'

/** What stands at one place (here: the empty field path), written by one device at one moment. */
export interface Register extends LooseHead {
  /** Canonical bytes (value.ts), or null for a tombstone. */
  readonly value: Uint8Array | null
}

/** A decoded entry; `unknown` keeps what a newer version wrote, so that it is neither folded away nor lost. */
export type Entry =
  | { readonly kind: 'register'; readonly register: Register }
  | { readonly kind: 'unknownType'; readonly type: number; readonly register: Register }

export type EntryRefusal = 'entry-malformed' | 'entry-unsupported'

export type DecodedEntry =
  | { readonly ok: true; readonly entry: Entry }
  | { readonly ok: false; readonly reason: EntryRefusal }

const TYPE_VALUE = 1

/** Version, type, register count, path depth, register flags. */
const FIXED_BYTES = 5

const REGISTER_DELETED = 1
const REGISTER_KNOWN_FLAGS = REGISTER_DELETED

/** The bytes of a `value` entry with one atomic register at the empty path. */
export function encodeEntry(register: Register): Uint8Array {
  const end = entryLength(register)
  const state: Bytes = { start: 0, end, buffer: b4a.allocUnsafe(end) }
  c.uint8.encode(state, FORMAT_VERSION)
  c.uint.encode(state, TYPE_VALUE)
  encodeHead(state, register)
  c.uint.encode(state, 1) // one register
  c.uint.encode(state, 0) // at the empty path
  c.uint8.encode(state, register.value === null ? REGISTER_DELETED : 0)
  if (register.value !== null) c.uint8array.encode(state, register.value)
  return state.buffer
}

function entryLength(register: Register): number {
  const state: State = { start: 0, end: FIXED_BYTES, buffer: null }
  preencodeHead(state, register)
  if (register.value !== null) c.uint8array.preencode(state, register.value)
  return state.end
}

/**
 * Parses remote bytes, which stand in the bee of `core`: never throws. The value's own bytes are not parsed here (most are
 * never looked at).
 */
export function decodeEntry(bytes: Uint8Array, core: Uint8Array): DecodedEntry {
  try {
    return decode({ start: 0, end: bytes.byteLength, buffer: bytes }, core)
  } catch {
    // compact-encoding throws plain Errors on short or oversized input: all of them mean the same here.
    return MALFORMED
  }
}

const MALFORMED = { ok: false, reason: 'entry-malformed' } as const
const UNSUPPORTED = { ok: false, reason: 'entry-unsupported' } as const

function decode(state: Bytes, core: Uint8Array): DecodedEntry {
  const version = c.uint8.decode(state)
  if (version === 0) return MALFORMED
  if (version !== FORMAT_VERSION) return UNSUPPORTED
  const type = c.uint.decode(state)
  const head = decodeHead(state, core)
  if (head === null) return MALFORMED
  if (type !== TYPE_VALUE) return unknownType(type, head, state)
  const count = c.uint.decode(state)
  if (count !== 1) return count === 0 ? MALFORMED : UNSUPPORTED
  if (c.uint.decode(state) !== 0) return UNSUPPORTED // a field path
  const flags = c.uint8.decode(state)
  if ((flags & ~REGISTER_KNOWN_FLAGS) !== 0) return UNSUPPORTED
  const value = (flags & REGISTER_DELETED) === 0 ? c.buffer.decode(state) : null
  if (state.start !== state.end || value?.byteLength === 0) return MALFORMED
  const { position, stamp, seen } = head
  return { ok: true, entry: { kind: 'register', register: { position, stamp, seen, value } } }
}

/** One atomic register of opaque bytes: never a tombstone, so nothing can read it as deleted. */
function unknownType(type: number, head: LooseHead, state: Bytes): DecodedEntry {
  const value = state.buffer.subarray(state.start, state.end)
  return { ok: true, entry: { kind: 'unknownType', type, register: { ...head, value } } }
}

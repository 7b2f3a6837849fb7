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
import { decodeTime, encodeTimeInto, tagOf, TIME_BYTES, type Stamp } from '../clock/index.ts'

/** A point in one core: the block `seq` in which a register was first written. */
export interface Position {
  readonly core: Uint8Array
  readonly seq: number
}

/** What stands at one place (here: the empty field path), written by one device at one moment. */
export interface Register {
  /** Null where this very batch wrote it: the entry's own block is the position. An empty core means the entry's own core. */
  readonly position: Position | null
  readonly stamp: Stamp
  /** Current registers of other cores at this place that the write knew, sorted by core, one item per core. */
  readonly seen: readonly Position[]
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

/** compact-encoding's cursor, always over real bytes. */
type Bytes = State & { buffer: Uint8Array }

const FORMAT_VERSION = 1
const TYPE_VALUE = 1
const CORE_BYTES = 32

/** Version, type, head flags, time, register count, path depth, register flags. */
const FIXED_BYTES = 6 + TIME_BYTES

/** More seen items than this are cut, the oldest covered first (DESIGN section 4); a longer list is refused. */
export const MAX_SEEN = 256

const HEAD_HAS_SEQ = 1
const HEAD_HAS_CORE = 2
const HEAD_HAS_SEEN = 4
const HEAD_KNOWN_FLAGS = HEAD_HAS_SEQ | HEAD_HAS_CORE | HEAD_HAS_SEEN

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

function entryLength({ position, seen, value }: Register): number {
  const state: State = { start: 0, end: FIXED_BYTES, buffer: null }
  if (position !== null) {
    c.uint.preencode(state, position.seq)
    state.end += position.core.byteLength
  }
  if (seen.length > 0) {
    c.uint.preencode(state, seen.length)
    for (const item of seen) {
      state.end += CORE_BYTES
      c.uint.preencode(state, item.seq)
    }
  }
  if (value !== null) c.uint8array.preencode(state, value)
  return state.end
}

function encodeHead(state: Bytes, { position, stamp, seen }: Register): void {
  const hasCore = position !== null && position.core.byteLength > 0
  const flags =
    (position === null ? 0 : HEAD_HAS_SEQ) |
    (hasCore ? HEAD_HAS_CORE : 0) |
    (seen.length > 0 ? HEAD_HAS_SEEN : 0)
  c.uint8.encode(state, flags)
  if (position !== null) c.uint.encode(state, position.seq)
  if (hasCore) c.fixed32.encode(state, position.core)
  // Without the tag: that is the start of the key of the core in which the register was first written.
  encodeTimeInto(stamp, state.buffer, state.start)
  state.start += TIME_BYTES
  if (seen.length === 0) return
  c.uint.encode(state, seen.length)
  for (const item of seen) {
    c.fixed32.encode(state, item.core)
    c.uint.encode(state, item.seq)
  }
}

/**
 * The same entry for another block: with `seq` as the block in which it was first written, if it does not say that itself.
 * Nothing but the head is looked at, so that entries of every type can be carried on. Null for another format version.
 */
export function withPosition(bytes: Uint8Array, seq: number): Uint8Array | null {
  const state: Bytes = { start: 0, end: bytes.byteLength, buffer: bytes }
  if (c.uint8.decode(state) !== FORMAT_VERSION) return null
  c.uint.decode(state)
  const at = state.start
  const flags = c.uint8.decode(state)
  if ((flags & HEAD_HAS_SEQ) !== 0) return bytes
  const position: State = { start: 0, end: 0, buffer: null }
  c.uint.preencode(position, seq)
  position.buffer = b4a.alloc(position.end)
  c.uint.encode(position, seq)
  const head = b4a.from([flags | HEAD_HAS_SEQ])
  return b4a.concat([bytes.subarray(0, at), head, position.buffer, bytes.subarray(at + 1)])
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
function unknownType(type: number, head: Omit<Register, 'value'>, state: Bytes): DecodedEntry {
  const value = state.buffer.subarray(state.start, state.end)
  return { ok: true, entry: { kind: 'unknownType', type, register: { ...head, value } } }
}

function decodeHead(state: Bytes, own: Uint8Array): Omit<Register, 'value'> | null {
  const flags = c.uint8.decode(state)
  if ((flags & ~HEAD_KNOWN_FLAGS) !== 0) return null
  if ((flags & HEAD_HAS_CORE) !== 0 && (flags & HEAD_HAS_SEQ) === 0) return null
  const seq = (flags & HEAD_HAS_SEQ) === 0 ? null : c.uint.decode(state)
  const core = (flags & HEAD_HAS_CORE) === 0 ? EMPTY : c.fixed32.decode(state)
  if (state.end - state.start < TIME_BYTES) return null
  const stamp = decodeTime(state.buffer, state.start, tagOf(core.byteLength > 0 ? core : own))
  state.start += TIME_BYTES
  const seen = (flags & HEAD_HAS_SEEN) === 0 ? NOTHING_SEEN : decodeSeen(state)
  if (seen === null) return null
  return { position: seq === null ? null : { core, seq }, stamp, seen }
}

const EMPTY = new Uint8Array(0)
const NOTHING_SEEN: readonly Position[] = []

function decodeSeen(state: Bytes): readonly Position[] | null {
  const count = c.uint.decode(state)
  if (count === 0 || count > MAX_SEEN) return null
  const seen: Position[] = []
  for (let i = 0; i < count; i++) {
    const item = { core: c.fixed32.decode(state), seq: c.uint.decode(state) }
    const previous = seen[i - 1]
    if (previous !== undefined && b4a.compare(previous.core, item.core) >= 0) return null
    seen.push(item)
  }
  return seen
}

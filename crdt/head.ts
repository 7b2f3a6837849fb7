/**
 * The head of a write: where it was first written, when, and knowing what. It stands in front of every entry, and before each
 * register of a tree that was written at another moment than the rest. Byte by byte in docs/FORMAT.md, section "Entry".
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { CORE_BYTES, coreKeyAt } from './core-keys.ts'
import { decodeTime, encodeTimeInto, tagOf, TIME_BYTES, type Stamp } from '../clock/index.ts'

/** A point in one core: the block `seq` in which a register was first written. */
export interface Position {
  readonly core: Uint8Array
  readonly seq: number
}

/**
 * The order of cores: that of their bytes. They are random, so nearly always the first byte decides, and a native comparison
 * costs more to call.
 */
export function compareCores(a: Uint8Array, b: Uint8Array): number {
  if (a === b) return 0
  const end = Math.min(a.byteLength, b.byteLength)
  for (let i = 0; i < end; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.byteLength - b.byteLength
}

export function isSameCore(a: Uint8Array, b: Uint8Array): boolean {
  return compareCores(a, b) === 0
}

/** How far a core had been seen; -1 where it had not. */
export function seenOf(seen: readonly Position[], core: Uint8Array): number {
  for (const item of seen) if (isSameCore(item.core, core)) return item.seq
  return -1
}

/** A head as it is written. */
export interface LooseHead {
  /** Null where this very batch wrote it: the entry's own block is the position. An empty core means the entry's own core. */
  readonly position: Position | null
  readonly stamp: Stamp
  /** Current registers of other cores at this place that the write knew, sorted by core, one item per core. */
  readonly seen: readonly Position[]
}

/** A head with its place in the union. */
export interface Head extends LooseHead {
  readonly position: Position
}

/** compact-encoding's cursor, always over real bytes. */
export type Bytes = State & { buffer: Uint8Array }

export { CORE_BYTES } from './core-keys.ts'

/** More seen items than this are cut, the oldest covered first (DESIGN section 4); a longer list is refused. */
export const MAX_SEEN = 256

const HAS_SEQ = 1
const HAS_CORE = 2
const HAS_SEEN = 4
const KNOWN_FLAGS = HAS_SEQ | HAS_CORE | HAS_SEEN

export function preencodeHead(state: State, { position, seen }: LooseHead): void {
  state.end += 1 + TIME_BYTES
  if (position !== null) {
    c.uint.preencode(state, position.seq)
    state.end += position.core.byteLength
  }
  if (seen.length === 0) return
  c.uint.preencode(state, seen.length)
  for (const item of seen) {
    state.end += CORE_BYTES
    c.uint.preencode(state, item.seq)
  }
}

export function encodeHead(state: Bytes, { position, stamp, seen }: LooseHead): void {
  const hasCore = position !== null && position.core.byteLength > 0
  const flags =
    (position === null ? 0 : HAS_SEQ) | (hasCore ? HAS_CORE : 0) | (seen.length > 0 ? HAS_SEEN : 0)
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

/** @returns null when malformed; throws, as compact-encoding does, where the bytes end too soon */
export function decodeHead(state: Bytes, own: Uint8Array): LooseHead | null {
  const flags = c.uint8.decode(state)
  if ((flags & ~KNOWN_FLAGS) !== 0) return null
  if ((flags & HAS_CORE) !== 0 && (flags & HAS_SEQ) === 0) return null
  const seq = (flags & HAS_SEQ) === 0 ? null : c.uint.decode(state)
  const core = (flags & HAS_CORE) === 0 ? EMPTY : c.fixed32.decode(state)
  if (state.end - state.start < TIME_BYTES) return null
  const stamp = decodeTime(state.buffer, state.start, tagOf(core.byteLength > 0 ? core : own))
  state.start += TIME_BYTES
  const seen = (flags & HAS_SEEN) === 0 ? NOTHING_SEEN : decodeSeen(state)
  if (seen === null) return null
  return { position: seq === null ? null : { core, seq }, stamp, seen }
}

const EMPTY = new Uint8Array(0)
export const NOTHING_SEEN: readonly Position[] = []

function decodeSeen(state: Bytes): readonly Position[] | null {
  const count = c.uint.decode(state)
  if (count === 0 || count > MAX_SEEN) return null
  const seen: Position[] = []
  for (let i = 0; i < count; i++) {
    if (state.end - state.start < CORE_BYTES) return null
    const core = coreKeyAt(state.buffer, state.start)
    state.start += CORE_BYTES
    const item = { core, seq: c.uint.decode(state) }
    const previous = seen[i - 1]
    if (previous !== undefined && compareCores(previous.core, item.core) >= 0) return null
    seen.push(item)
  }
  return seen
}

/**
 * The same entry for another block: with `seq` as the block in which it was first written, if it does not say that itself.
 * Nothing but the head is looked at, so that entries of every type can be carried on: what stands in the payload without a
 * position has that of the head. Null for another format version.
 */
export function withPosition(bytes: Uint8Array, seq: number): Uint8Array | null {
  const state: Bytes = { start: 0, end: bytes.byteLength, buffer: bytes }
  if (c.uint8.decode(state) !== FORMAT_VERSION) return null
  c.uint.decode(state)
  const at = state.start
  const flags = c.uint8.decode(state)
  if ((flags & HAS_SEQ) !== 0) return bytes
  const position: State = { start: 0, end: 0, buffer: null }
  c.uint.preencode(position, seq)
  position.buffer = b4a.alloc(position.end)
  c.uint.encode(position, seq)
  const head = b4a.from([flags | HAS_SEQ])
  return b4a.concat([bytes.subarray(0, at), head, position.buffer, bytes.subarray(at + 1)])
}

/** Whether an entry was first written in the block that it stands in. False, too, for what it takes more to tell of. */
export function isWrittenInPlace(bytes: Uint8Array): boolean {
  const [version, type = 0, flags = HAS_SEQ] = bytes
  return version === FORMAT_VERSION && type <= MAX_BYTE_UINT && (flags & ~HAS_SEEN) === 0
}

/** What compact-encoding writes as one byte. */
const MAX_BYTE_UINT = 0xfc

export const FORMAT_VERSION = 1

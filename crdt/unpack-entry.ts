/**
 * Bytes to an entry (typed-entry.ts has the layout): remote data, so whatever is not in the one form that an entry has is refused,
 * with a reason and without a throw. The entry that most scans meet is read in one step, all others word by word.
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import { shortPath } from './short-names.ts'
import { decodeHead, FORMAT_VERSION, type Bytes, type Head, type Position } from './head.ts'
import { comparePaths, startsWith, type Path } from './paths.ts'
import {
  compareDots,
  comparePositions,
  FIRST_TYPE,
  hasRoomBelow,
  isSame,
  isTypeName,
  ITEM_HAS_CORE,
  ITEM_HAS_SEQ,
  MAX_ITEMS,
  NAMED_DELETED,
  NO_CORE,
  REGISTER_DELETED,
  REGISTER_HAS_HEAD,
  REGISTER_HAS_HEAD_INDEX,
  ROW_HAS_SINCE,
  TYPES,
  type Baseline,
  type Dot,
  type DotId,
  type FieldRegister,
  type Row,
  type RowsEntry,
  type TypedEntry
} from './typed-entry.ts'
import { MAX_VALUE_DEPTH } from './value.ts'

export type UnpackRefusal = 'entry-malformed' | 'entry-unsupported' | 'position-invalid'

export type UnpackedEntry =
  | { readonly ok: true; readonly entry: TypedEntry }
  | { readonly ok: false; readonly reason: UnpackRefusal }
const REGISTER_KNOWN_FLAGS = REGISTER_DELETED | REGISTER_HAS_HEAD | REGISTER_HAS_HEAD_INDEX

/**
 * Parses the bytes that stand in block `seq` of `core`: remote data, so never throws. Values are not parsed here (most are never
 * looked at).
 * @param isOfChain whether a position in another core lies in this writer's chain, below its seal
 */
export function unpackEntry(
  bytes: Uint8Array,
  core: Uint8Array,
  seq: number,
  isOfChain: (position: Position) => boolean = noChain
): UnpackedEntry {
  try {
    const whole = unpackWhole(bytes, core, seq)
    if (whole !== null) return whole
    const state = { start: 0, end: bytes.byteLength, buffer: bytes }
    return new Unpacker(state, core, seq, isOfChain).unpack()
  } catch (error) {
    // compact-encoding throws plain Errors on short or oversized input: all of them mean the same here.
    return error instanceof Misplaced ? MISPLACED : MALFORMED
  }
}

/** The entry that most scans meet: one short value at the empty path, written by its own batch. Null for every other. */
function unpackWhole(bytes: Uint8Array, core: Uint8Array, seq: number): UnpackedEntry | null {
  if (bytes[0] !== FORMAT_VERSION || bytes[1] !== FIRST_TYPE) return null
  const state = { start: 2, end: bytes.byteLength, buffer: bytes }
  const head = decodeHead(state, core)
  if (head === null || head.position !== null) return null
  // One register, no name, no flag, one byte of length.
  const { start } = state
  const length = bytes[start + 3] ?? 0
  const isShort = bytes[start] === 1 && bytes[start + 1] === 0 && bytes[start + 2] === 0
  if (!isShort || length === 0 || length > MAX_LENGTH_IN_A_BYTE) return null
  if (start + 4 + length !== bytes.byteLength) return null
  const position = { core, seq }
  const { stamp, seen } = head
  // Not the Buffer that it may be.
  const value = new Uint8Array(bytes.buffer, bytes.byteOffset + start + 4, length)
  const registers = [{ path: ROOT, position, stamp, seen, value }]
  return { ok: true, entry: { type: 'value', head: { position, stamp, seen }, registers } }
}

/** What compact-encoding writes as it is. */
const MAX_LENGTH_IN_A_BYTE = 0xfc

function noChain(): boolean {
  return false
}

const MALFORMED = { ok: false, reason: 'entry-malformed' } as const
const UNSUPPORTED = { ok: false, reason: 'entry-unsupported' } as const
const MISPLACED = { ok: false, reason: 'position-invalid' } as const

/** A position that is not the writer's to name. */
class Misplaced extends Error {}

class Unsupported extends Error {}

class Unpacker {
  readonly #state: Bytes
  readonly #core: Uint8Array
  readonly #seq: number
  readonly #isOfChain: (position: Position) => boolean

  constructor(
    state: Bytes,
    core: Uint8Array,
    seq: number,
    isOfChain: (position: Position) => boolean
  ) {
    this.#state = state
    this.#core = core
    this.#seq = seq
    this.#isOfChain = isOfChain
  }

  unpack(): UnpackedEntry {
    const state = this.#state
    const version = c.uint8.decode(state)
    if (version === 0) return MALFORMED
    if (version !== FORMAT_VERSION) return UNSUPPORTED
    const number = c.uint.decode(state)
    const head = this.#head(null)
    const type = TYPES[number - FIRST_TYPE]
    if (type === undefined) {
      return { ok: true, entry: { type: 'unknown', number, head, payload: this.#rest() } }
    }
    try {
      const entry = this.#payload(type, head)
      return state.start === state.end ? { ok: true, entry } : MALFORMED
    } catch (error) {
      if (error instanceof Unsupported) return UNSUPPORTED
      throw error
    }
  }

  #payload(type: (typeof TYPES)[number], head: Head): TypedEntry {
    switch (type) {
      case 'value':
        return { type, head, registers: this.#registers(head) }
      case 'counter':
      case 'max':
      case 'min':
        return { type, head, rows: this.#rows(head, type), baselines: this.#baselines(type) }
      case 'set':
      case 'flag':
        return { type, head, dots: this.#dots(head), removed: this.#removed() }
      case 'named':
        return { type, name: this.#typeName(), head, state: this.#namedState() }
    }
  }

  #head(implied: Position | null): Head {
    const { position, stamp, seen } = decodeHead(this.#state, this.#core) ?? malformed()
    return { position: this.#place(position, implied), stamp, seen }
  }

  #place(position: Position | null, implied: Position | null): Position {
    if (position === null) return implied ?? { core: this.#core, seq: this.#seq }
    const { core, seq } = position
    if (core.byteLength === 0 || isSame(core, this.#core)) {
      if (seq > this.#seq) throw new Misplaced()
      return { core: this.#core, seq }
    }
    if (!this.#isOfChain(position)) throw new Misplaced()
    return position
  }

  #registers(head: Head): FieldRegister[] {
    const state = this.#state
    const count = this.#count()
    if (count === 0) malformed()
    const registers: FieldRegister[] = []
    const heads: Head[] = []
    /** The last value that has no room for fields: nothing that is set may follow below it. */
    let closed: Path | null = null
    for (let i = 0; i < count; i++) {
      const path = this.#path()
      const previous = registers[i - 1]
      if (previous !== undefined && comparePaths(previous.path, path) >= 0) malformed()
      const flags = c.uint8.decode(state)
      if ((flags & ~REGISTER_KNOWN_FLAGS) !== 0) throw new Unsupported()
      const { position, stamp, seen } = this.#registerHead(flags, head, heads)
      const value = (flags & REGISTER_DELETED) === 0 ? this.#bytes() : null
      if (value !== null) {
        if (closed !== null && startsWith(path, closed)) malformed()
        if (!hasRoomBelow(value)) closed = path
      }
      registers.push({ path, position, stamp, seen, value })
    }
    return registers
  }

  #registerHead(flags: number, own: Head, heads: Head[]): Head {
    if ((flags & REGISTER_HAS_HEAD) !== 0) {
      if ((flags & REGISTER_HAS_HEAD_INDEX) !== 0) malformed()
      const head = this.#head(own.position)
      heads.push(head)
      return head
    }
    if ((flags & REGISTER_HAS_HEAD_INDEX) === 0) return own
    return heads[c.uint.decode(this.#state)] ?? malformed()
  }

  #path(): Path {
    const depth = c.uint.decode(this.#state)
    if (depth === 0) return ROOT
    if (depth > MAX_VALUE_DEPTH) malformed()
    return (depth === 1 ? this.#shortPath() : null) ?? this.#names(depth)
  }

  #shortPath(): Path | null {
    const state = this.#state
    const { start } = state
    const length = c.uint.decode(state)
    const path =
      length > state.end - state.start ? null : shortPath(state.buffer, state.start, length)
    state.start = path === null ? start : state.start + length
    return path
  }

  #names(depth: number): Path {
    const path: string[] = []
    for (let i = 0; i < depth; i++) {
      const name = this.#shortPath()?.[0] ?? this.#text()
      if (name === '__proto__') malformed()
      path.push(name)
    }
    return path
  }

  #rows(head: Head, type: RowsEntry['type']): Row[] {
    const state = this.#state
    const rows: Row[] = []
    for (let left = this.#count(); left > 0; left--) {
      const flags = c.uint8.decode(state)
      const position = this.#position(flags, head, ROW_HAS_SINCE)
      const since = (flags & ROW_HAS_SINCE) === 0 ? position.seq : c.uint.decode(state)
      if (since > position.seq) malformed()
      const previous = rows[rows.length - 1]
      if (previous !== undefined) {
        if (comparePositions(previous.position, position) >= 0) malformed()
        if (type === 'counter' && isSame(previous.position.core, position.core)) malformed()
      }
      rows.push({ position, value: this.#float(), since })
    }
    return rows
  }

  #baselines(type: RowsEntry['type']): Baseline[] {
    const baselines: Baseline[] = []
    for (let left = this.#count(); left > 0; left--) {
      const position = { core: c.fixed32.decode(this.#state), seq: c.uint.decode(this.#state) }
      const previous = baselines[baselines.length - 1]?.position
      if (previous !== undefined && b4a.compare(previous.core, position.core) >= 0) malformed()
      baselines.push({ position, value: type === 'counter' ? this.#float() : 0 })
    }
    return baselines
  }

  #dots(head: Head): Dot[] {
    const dots: Dot[] = []
    for (let left = this.#count(); left > 0; left--) {
      const position = this.#position(c.uint8.decode(this.#state), head, 0)
      const dot = { position, index: c.uint.decode(this.#state), value: this.#bytes() }
      const previous = dots[dots.length - 1]
      if (previous !== undefined && compareDots(previous, dot) >= 0) malformed()
      dots.push(dot)
    }
    return dots
  }

  #removed(): DotId[] {
    const removed: DotId[] = []
    for (let cores = this.#count(); cores > 0; cores--) {
      const core = c.fixed32.decode(this.#state)
      const count = this.#count()
      if (count === 0 || removed.length + count > MAX_ITEMS) malformed()
      for (let left = count; left > 0; left--) {
        const position = { core, seq: c.uint.decode(this.#state) }
        const id = { position, index: c.uint.decode(this.#state) }
        const previous = removed[removed.length - 1]
        if (previous !== undefined && compareDots(previous, id) >= 0) malformed()
        removed.push(id)
      }
    }
    return removed
  }

  #position(flags: number, head: Head, alsoKnown: number): Position {
    if ((flags & ~(ITEM_HAS_SEQ | ITEM_HAS_CORE | alsoKnown)) !== 0) throw new Unsupported()
    if ((flags & ITEM_HAS_SEQ) === 0) {
      return (flags & ITEM_HAS_CORE) === 0 ? head.position : malformed()
    }
    const seq = c.uint.decode(this.#state)
    const core = (flags & ITEM_HAS_CORE) === 0 ? NO_CORE : c.fixed32.decode(this.#state)
    return this.#place({ core, seq }, null)
  }

  #count(): number {
    const count = c.uint.decode(this.#state)
    return count > MAX_ITEMS ? malformed() : count
  }

  #float(): number {
    const value = c.float64.decode(this.#state)
    return Number.isFinite(value) && !Object.is(value, -0) ? value : malformed()
  }

  #bytes(): Uint8Array {
    const state = this.#state
    const length = c.uint.decode(state)
    const { buffer, start } = state
    if (length === 0 || length > state.end - start) malformed()
    state.start += length
    // Not the Buffer that it may be: dearer to make, and never needed.
    return new Uint8Array(buffer.buffer, buffer.byteOffset + start, length)
  }

  #typeName(): string {
    const name = this.#text()
    return isTypeName(name) ? name : malformed()
  }

  #namedState(): Uint8Array | null {
    const flags = c.uint8.decode(this.#state)
    if ((flags & ~NAMED_DELETED) !== 0) throw new Unsupported()
    // What follows a deletion is left over, and refused as such.
    return flags === NAMED_DELETED ? null : this.#rest()
  }

  /** A string, exactly: what is not UTF-8 is malformed. */
  #text(): string {
    const state = this.#state
    const length = c.uint.decode(state)
    const start = state.start
    if (length > state.end - start) malformed()
    state.start += length
    return UTF8.decode(state.buffer.subarray(start, state.start))
  }

  #rest(): Uint8Array {
    const rest = this.#state.buffer.subarray(this.#state.start, this.#state.end)
    this.#state.start = this.#state.end
    return rest
  }
}

const ROOT: Path = []

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function malformed(): never {
  throw new Error('malformed')
}

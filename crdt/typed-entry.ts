/**
 * Entries of every type: what one core currently says about one key, decoded and with every position resolved. Byte by byte in
 * docs/FORMAT.md, section "Entry"; golden bytes in test/vectors/typed-entry.json.
 *
 *     entry     = version u8 (1), type uint, head, payload
 *     value     = count uint, count x (depth uint, depth x name string, flags u8, [head | index uint], [length uint, value])
 *     counter, max, min = count uint, count x row, count uint, count x baseline
 *     set, flag = count uint, count x dot, count uint, count x (core 32 B, count uint, count x (seq uint, index uint))
 *     named     = name string, flags u8, the bytes of its codec
 *
 * What a batch wrote together is written once: whatever in the payload gives no position has that of the head, and equal heads
 * of registers stand in one place. All lists rise strictly, so an entry has one form.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { compareStamps } from '../clock/index.ts'
import {
  CORE_BYTES,
  decodeHead,
  encodeHead,
  FORMAT_VERSION,
  preencodeHead,
  type Bytes,
  type Head,
  type LooseHead,
  type Position
} from './head.ts'
import { comparePaths, startsWith, type Path } from './paths.ts'
import type { PlacedRegister } from './register.ts'
import { MAX_VALUE_DEPTH } from './value.ts'

/** A register of a tree of fields. */
export interface FieldRegister extends PlacedRegister {
  readonly path: Path
}

/** What one core contributes to a counter, a maximum or a minimum. */
export interface Row {
  /** Of the last contribution. */
  readonly position: Position
  /** A counter's running total since `since`; else a value that was raised. */
  readonly value: number
  /** The block from which the total runs. A baseline below it is of an earlier total. */
  readonly since: number
}

/** What a deletion had seen of one core's rows: all up to this position, where the total was `value`. */
export interface Baseline {
  readonly position: Position
  readonly value: number
}

/** Names one addition to a set: the `index`-th of its batch. */
export interface DotId {
  readonly position: Position
  readonly index: number
}

export interface Dot extends DotId {
  /** The element's canonical bytes. */
  readonly value: Uint8Array
}

export interface ValueEntry {
  readonly type: 'value'
  readonly head: Head
  /** Rising by path, at least one. Nothing that is set stands below a value with no room for fields. */
  readonly registers: readonly FieldRegister[]
}

export interface RowsEntry {
  readonly type: 'counter' | 'max' | 'min'
  readonly head: Head
  /** Rising by position; of a counter one per core. */
  readonly rows: readonly Row[]
  /** Rising by core, one per core. */
  readonly baselines: readonly Baseline[]
}

export interface DotsEntry {
  readonly type: 'set' | 'flag'
  readonly head: Head
  readonly dots: readonly Dot[]
  readonly removed: readonly DotId[]
}

/** Of a merge type that a user defined. */
export interface NamedEntry {
  readonly type: 'named'
  readonly name: string
  readonly head: Head
  /** Null for a deletion. */
  readonly state: Uint8Array | null
}

/** Of a type that only a newer version knows: kept as it is. */
export interface UnknownEntry {
  readonly type: 'unknown'
  readonly number: number
  readonly head: Head
  readonly payload: Uint8Array
}

export type TypedEntry = ValueEntry | RowsEntry | DotsEntry | NamedEntry | UnknownEntry

export type UnpackRefusal = 'entry-malformed' | 'entry-unsupported' | 'position-invalid'

export type UnpackedEntry =
  | { readonly ok: true; readonly entry: TypedEntry }
  | { readonly ok: false; readonly reason: UnpackRefusal }

/** The numbers on the wire. */
const TYPES = ['value', 'counter', 'set', 'flag', 'max', 'min', 'named'] as const
const FIRST_TYPE = 1

/** More items in one entry are nobody's: a block is smaller. */
export const MAX_ITEMS = 65_536

/** Of a user's merge type, in bytes. */
export const MAX_TYPE_NAME_BYTES = 64

const REGISTER_DELETED = 1
const REGISTER_HAS_HEAD = 2
const REGISTER_HAS_HEAD_INDEX = 4
const REGISTER_KNOWN_FLAGS = REGISTER_DELETED | REGISTER_HAS_HEAD | REGISTER_HAS_HEAD_INDEX

const ITEM_HAS_SEQ = 1
const ITEM_HAS_CORE = 2
const ROW_HAS_SINCE = 4

const NAMED_DELETED = 1

/** The canonical bytes of an empty object. */
const EMPTY_OBJECT = 0xa0

/** True for an object without fields of its own: there may be fields below it. */
export function hasRoomBelow(value: Uint8Array): boolean {
  return value.byteLength === 1 && value[0] === EMPTY_OBJECT
}

/** The bytes of an entry that stands, or will stand, in block `seq` of `core`. */
export function packEntry(entry: TypedEntry, core: Uint8Array, seq: number): Uint8Array {
  const state: State = { start: 0, end: 0, buffer: null }
  const packer = new Packer(entry.head, core, seq)
  packer.preencode(state, entry)
  const bytes: Bytes = { start: 0, end: state.end, buffer: b4a.allocUnsafe(state.end) }
  packer.encode(bytes, entry)
  return bytes.buffer
}

/** Writes an entry in two passes over the same words: how long, then what. */
class Packer {
  readonly #core: Uint8Array
  readonly #seq: number
  readonly #head: Head
  /** Heads of registers that differ from the entry's, in the order in which they first occur. */
  readonly #heads: Head[] = []
  readonly #indexOf: number[] = []

  constructor(head: Head, core: Uint8Array, seq: number) {
    this.#head = head
    this.#core = core
    this.#seq = seq
  }

  preencode(state: State, entry: TypedEntry): void {
    state.end += 1
    c.uint.preencode(state, typeNumber(entry))
    preencodeHead(state, this.#loose(entry.head, null))
    switch (entry.type) {
      case 'value':
        return this.#preencodeRegisters(state, entry.registers)
      case 'counter':
      case 'max':
      case 'min':
        return this.#preencodeRows(state, entry)
      case 'set':
      case 'flag':
        return this.#preencodeDots(state, entry)
      case 'named':
        c.string.preencode(state, entry.name)
        state.end += 1 + (entry.state?.byteLength ?? 0)
        return
      case 'unknown':
        state.end += entry.payload.byteLength
        return
      default:
        return unreachable(entry)
    }
  }

  encode(state: Bytes, entry: TypedEntry): void {
    c.uint8.encode(state, FORMAT_VERSION)
    c.uint.encode(state, typeNumber(entry))
    encodeHead(state, this.#loose(entry.head, null))
    switch (entry.type) {
      case 'value':
        return this.#encodeRegisters(state, entry.registers)
      case 'counter':
      case 'max':
      case 'min':
        return this.#encodeRows(state, entry)
      case 'set':
      case 'flag':
        return this.#encodeDots(state, entry)
      case 'named':
        c.string.encode(state, entry.name)
        c.uint8.encode(state, entry.state === null ? NAMED_DELETED : 0)
        if (entry.state !== null) put(state, entry.state)
        return
      case 'unknown':
        return put(state, entry.payload)
      default:
        return unreachable(entry)
    }
  }

  /** Without what goes without saying: `implied` is the position of who gives none, null for the entry's own block. */
  #loose(head: Head, implied: Position | null): LooseHead {
    const { stamp, seen } = head
    return { position: this.#loosePosition(head.position, implied), stamp, seen }
  }

  #loosePosition({ core, seq }: Position, implied: Position | null): Position | null {
    const isOwn = isSame(core, this.#core)
    if (implied === null ? isOwn && seq === this.#seq : isSameAs(implied, core, seq)) return null
    return { core: isOwn ? NO_CORE : core, seq }
  }

  #preencodeRegisters(state: State, registers: readonly FieldRegister[]): void {
    c.uint.preencode(state, registers.length)
    for (const register of registers) {
      c.uint.preencode(state, register.path.length)
      for (const name of register.path) c.string.preencode(state, name)
      state.end += 1
      const index = this.#headOf(register)
      this.#indexOf.push(index)
      if (index === this.#heads.length) {
        this.#heads.push(register)
        preencodeHead(state, this.#loose(register, this.#head.position))
      } else if (index >= 0) c.uint.preencode(state, index)
      if (register.value !== null) c.uint8array.preencode(state, register.value)
    }
  }

  /** -1 for the entry's own head; as many as there are for a new one. */
  #headOf(register: Head): number {
    if (isSameHead(register, this.#head)) return -1
    const known = this.#heads.findIndex((head) => isSameHead(head, register))
    return known < 0 ? this.#heads.length : known
  }

  #encodeRegisters(state: Bytes, registers: readonly FieldRegister[]): void {
    c.uint.encode(state, registers.length)
    let heads = 0
    registers.forEach((register, i) => {
      c.uint.encode(state, register.path.length)
      for (const name of register.path) c.string.encode(state, name)
      const index = this.#indexOf[i] ?? -1
      const isNew = index === heads
      c.uint8.encode(
        state,
        (register.value === null ? REGISTER_DELETED : 0) |
          (index < 0 ? 0 : isNew ? REGISTER_HAS_HEAD : REGISTER_HAS_HEAD_INDEX)
      )
      if (isNew) {
        heads++
        encodeHead(state, this.#loose(register, this.#head.position))
      } else if (index >= 0) c.uint.encode(state, index)
      if (register.value !== null) c.uint8array.encode(state, register.value)
    })
  }

  #preencodeRows(state: State, { type, rows, baselines }: RowsEntry): void {
    c.uint.preencode(state, rows.length)
    for (const { position, since } of rows) {
      this.#preencodePosition(state, position)
      if (since !== position.seq) c.uint.preencode(state, since)
      state.end += FLOAT_BYTES
    }
    c.uint.preencode(state, baselines.length)
    for (const { position } of baselines) {
      state.end += CORE_BYTES
      c.uint.preencode(state, position.seq)
      if (type === 'counter') state.end += FLOAT_BYTES
    }
  }

  #encodeRows(state: Bytes, { type, rows, baselines }: RowsEntry): void {
    c.uint.encode(state, rows.length)
    for (const { position, value, since } of rows) {
      const hasSince = since !== position.seq
      this.#encodePosition(state, position, hasSince ? ROW_HAS_SINCE : 0)
      if (hasSince) c.uint.encode(state, since)
      c.float64.encode(state, value)
    }
    c.uint.encode(state, baselines.length)
    for (const { position, value } of baselines) {
      c.fixed32.encode(state, position.core)
      c.uint.encode(state, position.seq)
      if (type === 'counter') c.float64.encode(state, value)
    }
  }

  #preencodeDots(state: State, { dots, removed }: DotsEntry): void {
    c.uint.preencode(state, dots.length)
    for (const { position, index, value } of dots) {
      this.#preencodePosition(state, position)
      c.uint.preencode(state, index)
      c.uint8array.preencode(state, value)
    }
    const groups = groupByCore(removed)
    c.uint.preencode(state, groups.length)
    for (const group of groups) {
      state.end += CORE_BYTES
      c.uint.preencode(state, group.length)
      for (const { position, index } of group) {
        c.uint.preencode(state, position.seq)
        c.uint.preencode(state, index)
      }
    }
  }

  #encodeDots(state: Bytes, { dots, removed }: DotsEntry): void {
    c.uint.encode(state, dots.length)
    for (const { position, index, value } of dots) {
      this.#encodePosition(state, position, 0)
      c.uint.encode(state, index)
      c.uint8array.encode(state, value)
    }
    const groups = groupByCore(removed)
    c.uint.encode(state, groups.length)
    for (const group of groups) {
      c.fixed32.encode(state, group[0]?.position.core ?? NO_CORE)
      c.uint.encode(state, group.length)
      for (const { position, index } of group) {
        c.uint.encode(state, position.seq)
        c.uint.encode(state, index)
      }
    }
  }

  #preencodePosition(state: State, position: Position): void {
    state.end += 1
    const loose = this.#loosePosition(position, this.#head.position)
    if (loose === null) return
    state.end += loose.core.byteLength
    c.uint.preencode(state, loose.seq)
  }

  #encodePosition(state: Bytes, position: Position, flags: number): void {
    const loose = this.#loosePosition(position, this.#head.position)
    if (loose === null) return c.uint8.encode(state, flags)
    const hasCore = loose.core.byteLength > 0
    c.uint8.encode(state, flags | ITEM_HAS_SEQ | (hasCore ? ITEM_HAS_CORE : 0))
    c.uint.encode(state, loose.seq)
    if (hasCore) c.fixed32.encode(state, loose.core)
  }
}

const NO_CORE = new Uint8Array(0)
const FLOAT_BYTES = 8

function typeNumber(entry: TypedEntry): number {
  return entry.type === 'unknown' ? entry.number : TYPES.indexOf(entry.type) + FIRST_TYPE
}

function put(state: Bytes, bytes: Uint8Array): void {
  state.buffer.set(bytes, state.start)
  state.start += bytes.byteLength
}

function unreachable(entry: never): never {
  throw new TypeError(`no such entry: ${String(entry)}`)
}

function groupByCore(ids: readonly DotId[]): DotId[][] {
  const groups: DotId[][] = []
  for (const id of ids) {
    const last = groups[groups.length - 1]
    if (last?.[0] !== undefined && isSame(last[0].position.core, id.position.core)) last.push(id)
    else groups.push([id])
  }
  return groups
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || b4a.equals(a, b)
}

function isSameAs(position: Position, core: Uint8Array, seq: number): boolean {
  return position.seq === seq && isSame(position.core, core)
}

function isSameHead(a: Head, b: Head): boolean {
  return (
    isSameAs(a.position, b.position.core, b.position.seq) &&
    (a.stamp === b.stamp || compareStamps(a.stamp, b.stamp) === 0) &&
    isSameSeen(a.seen, b.seen)
  )
}

function isSameSeen(a: readonly Position[], b: readonly Position[]): boolean {
  if (a === b) return true
  return (
    a.length === b.length && a.every(({ core, seq }, i) => isSameAs(b[i] ?? NOWHERE, core, seq))
  )
}

const NOWHERE: Position = { core: NO_CORE, seq: -1 }

/** Total order of positions: by core, then block. */
export function comparePositions(a: Position, b: Position): number {
  return (a.core === b.core ? 0 : b4a.compare(a.core, b.core)) || a.seq - b.seq
}

export function compareDots(a: DotId, b: DotId): number {
  return comparePositions(a.position, b.position) || a.index - b.index
}

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
    const path: string[] = []
    for (let i = 0; i < depth; i++) {
      const name = this.#text()
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
    const bytes = c.uint8array.decode(this.#state)
    return bytes === null || bytes.byteLength === 0 ? malformed() : bytes
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
    if (length > MAX_SHORT_NAME) return UTF8.decode(state.buffer.subarray(start, state.start))
    let text = ''
    for (let i = start; i < state.start; i++) {
      const byte = state.buffer[i] ?? 0
      if (byte >= 0x80) return UTF8.decode(state.buffer.subarray(start, state.start))
      text += String.fromCharCode(byte)
    }
    return text
  }

  #rest(): Uint8Array {
    const rest = this.#state.buffer.subarray(this.#state.start, this.#state.end)
    this.#state.start = this.#state.end
    return rest
  }
}

const ROOT: Path = []

/** Up to here a loop is faster than the decoder. */
const MAX_SHORT_NAME = 24

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function malformed(): never {
  throw new Error('malformed')
}

/** Whether a user's merge type may have this name. */
export function isTypeName(name: string): boolean {
  const length = b4a.byteLength(name)
  return length > 0 && length <= MAX_TYPE_NAME_BYTES && name.isWellFormed()
}

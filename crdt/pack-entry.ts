/**
 * An entry to bytes (typed-entry.ts has the layout): in two passes over the same words, so that the bytes are made once and at
 * their length. What goes without saying is left out on the way: positions that are the head's, heads that were written before.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { encodeEntry } from './entry.ts'
import { compareStamps } from '../clock/index.ts'
import {
  CORE_BYTES,
  encodeHead,
  FORMAT_VERSION,
  preencodeHead,
  type Bytes,
  type Head,
  type LooseHead,
  type Position
} from './head.ts'
import {
  FIRST_TYPE,
  isSame,
  ITEM_HAS_CORE,
  ITEM_HAS_SEQ,
  NAMED_DELETED,
  NO_CORE,
  REGISTER_DELETED,
  REGISTER_HAS_HEAD,
  REGISTER_HAS_HEAD_INDEX,
  ROW_HAS_SINCE,
  TYPES,
  type DotId,
  type DotsEntry,
  type FieldRegister,
  type RowsEntry,
  type TypedEntry
} from './typed-entry.ts'

/** The bytes of an entry that stands, or will stand, in block `seq` of `core`. */
export function packEntry(entry: TypedEntry, core: Uint8Array, seq: number): Uint8Array {
  const whole = packWhole(entry, core, seq)
  if (whole !== null) return whole
  const state: State = { start: 0, end: 0, buffer: null }
  const packer = new Packer(entry.head, core, seq)
  packer.preencode(state, entry)
  const bytes: Bytes = { start: 0, end: state.end, buffer: b4a.allocUnsafe(state.end) }
  packer.encode(bytes, entry)
  return bytes.buffer
}

/** The usual entry, in one step: a value without fields that this block wrote. Null for every other. */
function packWhole(entry: TypedEntry, core: Uint8Array, seq: number): Uint8Array | null {
  if (entry.type !== 'value' || entry.registers.length !== 1) return null
  const [register] = entry.registers
  const { position, stamp, seen } = entry.head
  if (register === undefined || register.path.length > 0) return null
  if (register.position !== position || register.stamp !== stamp || register.seen !== seen)
    return null
  if (!isSameAs(position, core, seq)) return null
  return encodeEntry({ position: null, stamp, seen, value: register.value })
}

/** How many bytes `packEntry` makes of it. */
export function packedBytes(entry: TypedEntry, core: Uint8Array, seq: number): number {
  const state: State = { start: 0, end: 0, buffer: null }
  new Packer(entry.head, core, seq).preencode(state, entry)
  return state.end
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

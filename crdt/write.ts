/**
 * Writing a key: from what everybody says there, and one operation, to what this device says next. Operations of one batch are
 * applied one after the other, each to the entry that the one before gave, all at the same position.
 */
import { ManyhandsError } from '../errors.ts'
import type { Stamp } from '../clock/index.ts'
import { addDot, removeDots, type DotsPayload } from './dots.ts'
import type { PlacedEntry } from './fields.ts'
import { foldEntries } from './fold.ts'
import type { Head } from './head.ts'
import { NO_MERGE_TYPES, type AnyMergeType, type MergeTypes } from './merge-type.ts'
import type { Patch } from './patch.ts'
import { isFields, valueToLeaves } from './paths.ts'
import type { AdmittedLength, Deletes } from './register.ts'
import { addToRows, deleteRows, forgetRow, raiseInRows, type RowsPayload } from './rows.ts'
import { knowledgeOf, seenBy } from './seen.ts'
import type { DotsEntry, NamedEntry, RowsEntry, TypedEntry } from './typed-entry.ts'
import { checkSize, decodeValue, encodeValue, normalizeValue } from './value.ts'
import {
  deleteValue,
  patchAtomic,
  patchValue,
  putAtomic,
  putValue,
  type FieldWrite
} from './write-fields.ts'
import { patchAlone, writeFieldsAlone, writeWhole } from './write-alone.ts'
import { patchPart } from './write-part.ts'

export type WriteOperation =
  /** `base`: what the caller read; by default what stands there. `settles`: conflicts end, at unchanged fields too. */
  | {
      readonly do: 'put'
      readonly value: unknown
      readonly base?: unknown
      readonly settles?: boolean
    }
  /** A value of which these are the canonical bytes, as one register whatever it is. */
  | { readonly do: 'put-whole'; readonly bytes: Uint8Array }
  | { readonly do: 'patch'; readonly fields: Patch }
  /** Whatever type the key is of. */
  | { readonly do: 'del' }
  | { readonly do: 'add'; readonly amount: number }
  /** Takes out of a counter what this core has added to it. */
  | { readonly do: 'forget'; readonly core: Uint8Array }
  | { readonly do: 'include' | 'exclude'; readonly element: unknown }
  | { readonly do: 'enable' | 'disable' }
  | { readonly do: 'raise'; readonly type: 'max' | 'min'; readonly to: number }
  /** Of a user's merge type. */
  | { readonly do: 'apply'; readonly name: string; readonly operation: unknown }

export interface WriteContext {
  /** The core that is written, and the block that the batch becomes. */
  readonly core: Uint8Array
  readonly seq: number
  readonly stamp: Stamp
  readonly admitted: AdmittedLength
  /** Default 'add-wins'. */
  readonly deletes?: Deletes
  /** Objects are one register each (`type: 'register'`). */
  readonly isAtomic?: boolean
  readonly types?: MergeTypes
}

/**
 * The own entry after an operation; null when nothing changes, and nothing needs to be written.
 * @param own what this device says now
 * @throws VALUE_INVALID, VALUE_TOO_LARGE, INVALID_ARGUMENT for what cannot be written; ENTRY_UNSUPPORTED where the own entry is of
 * a type that is not known here
 */
export function writeEntry(
  own: PlacedEntry | null,
  others: readonly PlacedEntry[],
  operation: WriteOperation,
  context: WriteContext
): TypedEntry | null {
  const whole =
    operation.do === 'put-whole' ? overwriteWhole(own, others, operation, context) : null
  return whole ?? new Writer(own, others, context).write(operation)
}

/** The usual write, before anything is prepared for the others. Null where fields, or other types, are to be seen. */
function overwriteWhole(
  own: PlacedEntry | null,
  others: readonly PlacedEntry[],
  { bytes }: { readonly bytes: Uint8Array },
  { core, seq, stamp }: WriteContext
): TypedEntry | null {
  const all = own === null ? others : others.length === 0 ? [own] : [own, ...others]
  return writeWhole(all, bytes, { core, seq }, stamp)
}

class Writer {
  readonly #own: PlacedEntry | null
  readonly #others: readonly PlacedEntry[]
  readonly #context: WriteContext
  readonly #types: MergeTypes

  constructor(own: PlacedEntry | null, others: readonly PlacedEntry[], context: WriteContext) {
    this.#own = own
    this.#types = context.types ?? NO_MERGE_TYPES
    // What only a newer version can read was not seen.
    this.#others = others.filter(({ entry }) => this.#isKnown(entry))
    this.#context = context
    if (own !== null && !this.#isKnown(own.entry)) {
      throw new ManyhandsError(
        'ENTRY_UNSUPPORTED',
        'This device wrote this key with a type that is not known here'
      )
    }
  }

  write(operation: WriteOperation): TypedEntry | null {
    switch (operation.do) {
      case 'put': {
        const { value, base, settles = false } = operation
        const alone = base === undefined ? this.#putAlone(value) : null
        if (alone !== null) return alone === 'same' ? null : alone
        const write = this.#fieldWrite()
        return this.#context.isAtomic === true
          ? putAtomic(write, value)
          : putValue(write, value, base, settles)
      }
      case 'put-whole':
        return putAtomic(this.#fieldWrite(), decodeValue(operation.bytes))
      case 'patch': {
        const alone = this.#patchAlone(operation.fields) ?? this.#patchPart(operation.fields)
        if (alone !== null) return alone === 'same' ? null : alone
        return this.#context.isAtomic === true
          ? patchAtomic(this.#fieldWrite(), operation.fields)
          : patchValue(this.#fieldWrite(), operation.fields)
      }
      case 'del':
        return this.#delete()
      case 'add':
        if (operation.amount === 0) return null
        return this.#rows('counter', addToRows(this.#rowsOf('counter'), operation.amount, this.#at))
      case 'forget': {
        const others = this.#others.flatMap(({ entry }) =>
          entry.type === 'counter' ? [entry] : []
        )
        const own = this.#rowsOf('counter')
        return this.#rows('counter', forgetRow(own, others, operation.core, this.#context.core))
      }
      case 'raise': {
        const { type, to } = operation
        return this.#rows(type, raiseInRows(type, this.#rowsOf(type), to, this.#at))
      }
      case 'include':
        return this.#add('set', encodeValue(operation.element))
      case 'exclude':
        return this.#remove('set', encodeValue(operation.element))
      case 'enable':
        return this.#add('flag', encodeValue(true))
      case 'disable':
        return this.#remove('flag', null)
      case 'apply':
        return this.#apply(this.#mergeType(operation.name), operation.operation)
      default:
        return unreachable(operation)
    }
  }

  /** Null where others, or other types, have a word in it. */
  #putAlone(value: unknown) {
    if (this.#context.isAtomic === true || this.#others.length > 0) return null
    const normal = normalizeValue(value)
    if (!isFields(normal)) return null
    const own = this.#own?.entry ?? null
    return writeFieldsAlone(own, valueToLeaves(normal), this.#at, this.#context.stamp)
  }

  /** As `#putAlone`. */
  #patchAlone(fields: Patch) {
    if (this.#context.isAtomic === true || this.#others.length > 0) return null
    return patchAlone(this.#own?.entry ?? null, fields, this.#at, this.#context.stamp)
  }

  /** Null where the whole object has a word in it. */
  #patchPart(fields: Patch) {
    const { stamp, admitted, deletes = 'add-wins', isAtomic = false } = this.#context
    if (isAtomic) return null
    return patchPart(this.#own, this.#others, fields, {
      position: this.#at,
      stamp,
      admitted,
      deletes
    })
  }

  get #at() {
    return { core: this.#context.core, seq: this.#context.seq }
  }

  get #all(): readonly PlacedEntry[] {
    return this.#own === null ? this.#others : [this.#own, ...this.#others]
  }

  #isKnown(entry: TypedEntry): boolean {
    if (entry.type === 'unknown') return false
    return entry.type !== 'named' || this.#types.get(entry.name) !== null
  }

  #fold() {
    const { admitted, deletes = 'add-wins' } = this.#context
    return foldEntries(this.#all, admitted, { deletes, types: this.#types })
  }

  #delete(): TypedEntry | null {
    const { type, exists, conflicts } = this.#fold()
    if (!exists && conflicts.every(({ isDeleted }) => isDeleted)) return null
    switch (type) {
      case 'value':
        return deleteValue(this.#fieldWrite())
      case 'counter':
      case 'max':
      case 'min': {
        const others = this.#others.flatMap(({ entry }) => (entry.type === type ? [entry] : []))
        return this.#rows(type, deleteRows(this.#rowsOf(type), others, this.#context.core))
      }
      case 'set':
      case 'flag': {
        const own = this.#dotsOf(type)
        const left = removeDots(own, this.#othersDots(type), null, this.#context.core)
        return { type, head: this.#head(), ...(left ?? own ?? NO_DOTS) }
      }
      case null:
        return null
      default:
        return { type: 'named', name: type, head: this.#head(), state: null }
    }
  }

  /** What the registers of a value are written from. */
  #fieldWrite(): FieldWrite {
    const { stamp, admitted, deletes = 'add-wins' } = this.#context
    const all = this.#all
    const { type, exists, refused } = this.#fold()
    const said = all.filter((each) => each.entry.type === 'value' && !refused.includes(each))
    const foreign = all
      .filter((each) => !said.includes(each))
      .map(({ entry }) => knowledgeOf(entry))
    const isReplacing = exists && type !== 'value'
    return { said, foreign, isReplacing, position: this.#at, stamp, admitted, deletes }
  }

  /** The head of an entry that is one thing, whatever it holds: it has seen all entries here. */
  #head(): Head {
    const { core, stamp } = this.#context
    const seen = seenBy(
      this.#all.map(({ entry }) => knowledgeOf(entry)),
      core
    )
    return { position: this.#at, stamp, seen }
  }

  #rows(type: RowsEntry['type'], { rows, baselines }: RowsPayload): RowsEntry {
    return { type, head: this.#head(), rows, baselines }
  }

  #rowsOf(type: RowsEntry['type']): RowsPayload | null {
    const entry = this.#own?.entry
    return entry?.type === type ? entry : null
  }

  #add(type: DotsEntry['type'], element: Uint8Array): DotsEntry {
    const { dots, removed } = addDot(this.#dotsOf(type), this.#othersDots(type), element, this.#at)
    return { type, head: this.#head(), dots, removed }
  }

  #remove(type: DotsEntry['type'], element: Uint8Array | null): DotsEntry | null {
    const { core } = this.#context
    const left = removeDots(this.#dotsOf(type), this.#othersDots(type), element, core)
    return left === null ? null : { type, head: this.#head(), ...left }
  }

  #dotsOf(type: DotsEntry['type']): DotsPayload | null {
    const entry = this.#own?.entry
    return entry?.type === type ? { dots: entry.dots, removed: entry.removed } : null
  }

  #othersDots(type: DotsEntry['type']): DotsPayload[] {
    return this.#others.flatMap(({ entry }) => (entry.type === type ? [entry] : []))
  }

  #mergeType(name: string): AnyMergeType {
    const type = this.#types.get(name)
    if (type !== null) return type
    throw new ManyhandsError('INVALID_ARGUMENT', `There is no merge type "${name}"`)
  }

  #apply(type: AnyMergeType, operation: unknown): NamedEntry | null {
    const own = this.#own === null ? [] : this.#statesOf(type, [this.#own])
    const others = this.#statesOf(type, this.#others)
    const now = { position: this.#at, stamp: this.#context.stamp }
    const state = type.write(own[0] ?? null, others, operation, now)
    if (state === null) return null
    return { type: 'named', name: type.name, head: this.#head(), state: encodeState(type, state) }
  }

  /** Those that can be read: what cannot is refused by the fold, too. */
  #statesOf(type: AnyMergeType, said: readonly PlacedEntry[]): unknown[] {
    return said.flatMap(({ entry }) => {
      if (entry.type !== 'named' || entry.name !== type.name || entry.state === null) return []
      try {
        return [type.codec.decode(entry.state)]
      } catch {
        return []
      }
    })
  }
}

/** What its own reader would not take is not written. */
function encodeState({ name, codec }: AnyMergeType, state: unknown): Uint8Array {
  const bytes: unknown = codec.encode(state)
  if (!(bytes instanceof Uint8Array)) {
    throw new ManyhandsError('INVALID_ARGUMENT', `The codec of "${name}" does not encode to bytes`)
  }
  checkSize(bytes.byteLength)
  codec.decode(bytes)
  return bytes
}

const NO_DOTS: DotsPayload = { dots: [], removed: [] }

function unreachable(operation: never): never {
  throw new TypeError(`no such operation: ${JSON.stringify(operation)}`)
}

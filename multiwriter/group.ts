/**
 * A group of calls that will become one batch. What each key holds is followed operation by operation: each is applied to what
 * the one before it left, so a batch says one thing per key, with one stamp. Keys that are done with can be packed at once
 * (`settle`), so that what was looked up for them is garbage before the rest is looked at. Who asks about a key (`cas`, `update`) is told what
 * it will hold when its turn comes: what this device sees there, changed by the calls before it in the same group and by the
 * operations before it in its own batch.
 */
import b4a from 'b4a'
import z32 from 'z32'
import type { Stamp } from '../clock/index.ts'
import {
  checkEntrySize,
  encodeOpaque,
  packEntry,
  writeEntry,
  type FoldOptions,
  type Position,
  type TypedEntry,
  type WriteContext,
  type WriteOperation
} from '../crdt/index.ts'
import type { Hypercore, TreePut, TreeWrite } from '../core/index.ts'
import { ManyhandsError } from '../errors.ts'
import type { FoldedKey, Said, SaidByAll, View } from './view.ts'

/**
 * What to write next, given what the key holds now; asked again after each write, until null. Not waited for; what it throws is
 * its caller's. May be asked more than once for one write.
 */
export type NextWrite = (now: FoldedKey, step: number) => WriteOperation | null

/** One change of one key, with the whole key of the bee. */
export interface Operation {
  readonly key: Uint8Array
  readonly write: WriteOperation | NextWrite
  /** An object is one register: its fields do not merge. */
  readonly isAtomic?: boolean
  /** Bytes, roughly. */
  readonly size: number
  /** Whether to write it over what is there. Not waited for; what it throws is its caller's. */
  readonly cas?: (previous: FoldedKey, next: () => FoldedKey) => boolean
}

/**
 * Written as an entry of a type that no fold looks at, which has seen nothing. Its position is this batch, or where what it carries
 * on was written first.
 */
export interface OpaqueWrite {
  readonly key: Uint8Array
  /** The payload; null takes the key out of our tree. */
  readonly value: Uint8Array | null
  readonly opaque: { readonly type: number; readonly position: Position | null }
}

export function isOpaque(write: Operation | OpaqueWrite): write is OpaqueWrite {
  return 'opaque' in write
}

/** A compare-and-set that is written. */
export interface CasWrite {
  readonly key: Uint8Array
  readonly stamp: Stamp
}

/** What a group is composed on. */
export interface GroupParts {
  readonly view: View
  readonly core: Hypercore
  /** One for the whole group: a batch has one stamp. */
  readonly now: () => Stamp
  readonly foldOptions: (key: Uint8Array) => FoldOptions
}

export class Group {
  readonly #parts: GroupParts
  /** What is said now at each key, by key (latin1), in the order in which to write them. */
  readonly #known = new Map<string, SaidByAll>()
  /** The same once the operations so far are written: the very same object where they change nothing. */
  readonly #held = new Map<string, SaidByAll>()
  /** Keys of which the last whole write was decided by a `cas`. */
  readonly #decided = new Set<string>()
  readonly #opaque = new Map<string, OpaqueWrite>()
  /** The block is a placeholder: none is written, and so a reader takes the one that the entry comes to stand in. */
  readonly #block: Position
  readonly #writer: string
  readonly #contexts = new Map<FoldOptions, WriteContext>()
  /** Of keys that are done with. */
  readonly #puts: TreePut[] = []
  readonly #casWrites: CasWrite[] = []
  #stamp: Stamp | null = null

  constructor(parts: GroupParts) {
    this.#parts = parts
    this.#block = { core: parts.core.key, seq: parts.core.length }
    this.#writer = z32.encode(parts.core.key)
  }

  get stamp(): Stamp {
    return (this.#stamp ??= this.#parts.now())
  }

  /** What is said at a key: before operations on it come. */
  know(said: SaidByAll): void {
    this.#known.set(idOf(said.key), said)
  }

  /**
   * Takes the operations of one call, all or none. Synchronous where nobody asks what is there: most do not, and a turn per put
   * is what group commit saves.
   * @returns false when a `cas` said no
   * @throws what a `cas` throws; BLOCK_UNAVAILABLE when what it asks about is not on this device; ENTRY_UNSUPPORTED,
   * VALUE_TOO_LARGE, INVALID_ARGUMENT for what cannot be written
   */
  add(operations: readonly Operation[]): boolean | Promise<boolean> {
    const isAsking = operations.some(
      ({ cas, write }) => cas !== undefined || typeof write === 'function'
    )
    if (isAsking) return this.#decide(operations)
    const [only] = operations
    if (only !== undefined && operations.length === 1) return this.#addOnly(only)
    const taken = new Map<string, SaidByAll>()
    for (const operation of operations) {
      const id = idOf(operation.key)
      taken.set(id, this.#written(operation, taken.get(id) ?? this.#heldAt(id)))
    }
    return this.#take(operations, taken)
  }

  /** Most calls are one put of one key: nothing to undo, nothing to collect. */
  #addOnly(operation: Operation): true {
    const id = idOf(operation.key)
    const said = this.#written(operation, this.#heldAt(id))
    this.#checkSize(id, said)
    this.#held.set(id, said)
    this.#mark(operation, id)
    return true
  }

  /** Takes writes that nobody asks about: of several at one key the last stands. */
  addOpaque(writes: readonly OpaqueWrite[]): void {
    for (const write of writes) this.#opaque.set(idOf(write.key), write)
  }

  /** No more operations will come on the keys that are known so far: all that is kept of them is what is to be written. */
  settle(): void {
    for (const put of this.#changed()) this.#puts.push(put)
    for (const write of this.#decidedWrites()) this.#casWrites.push(write)
    this.#known.clear()
    this.#held.clear()
    this.#decided.clear()
  }

  /** One put for each key that says something else now. */
  puts(): readonly TreeWrite[] {
    this.settle()
    const opaque = [...this.#opaque.values()].map(({ key, value, opaque: { type, position } }) =>
      value === null
        ? { key, value }
        : { key, value: encodeOpaque(type, { position, stamp: this.stamp }, value) }
    )
    return opaque.length === 0 ? this.#puts : [...this.#puts, ...opaque]
  }

  #changed(): readonly TreePut[] {
    const { core, seq } = this.#block
    const puts: TreePut[] = []
    for (const [id, before] of this.#known) {
      const said = this.#heldAt(id)
      const own = said === before ? undefined : ownOf(said)
      if (own === undefined) continue
      // What was put and deleted in one go has nothing to delete.
      const isNew = before.entries.length === 0
      if (isNew && said.entries.length === 1 && isNothing(own.entry)) continue
      puts.push({ key: said.key, value: packEntry(own.entry, core, seq) })
    }
    return puts
  }

  /** What was decided by `cas` and still stands. */
  casWrites(): readonly CasWrite[] {
    this.settle()
    return this.#casWrites
  }

  #decidedWrites(): readonly CasWrite[] {
    return [...this.#decided].flatMap((id) => {
      const said = this.#heldAt(id)
      return said === this.#known.get(id) ? [] : [{ key: said.key, stamp: this.stamp }]
    })
  }

  /** What operations on one key make of it; one whose `cas` says no is passed over. */
  preview(key: Uint8Array, operations: readonly Operation[]): FoldedKey {
    let held = this.#heldAt(idOf(key))
    for (const operation of operations) {
      held = this.#after(operation, held, this.#fold(held)) ?? held
    }
    return this.#fold(held)
  }

  async #decide(operations: readonly Operation[]): Promise<boolean> {
    const taken = new Map<string, SaidByAll>()
    for (const operation of operations) {
      const id = idOf(operation.key)
      const before = taken.get(id) ?? this.#heldAt(id)
      // What is not here cannot be asked about, even where it is known what is to be written.
      const here = await this.#parts.view.get(operation.key, LOCAL)
      const isChanged = before !== this.#known.get(id)
      const after = this.#after(operation, before, isChanged ? this.#fold(before) : here)
      if (after === null) return false
      taken.set(id, after)
    }
    return this.#take(operations, taken)
  }

  /** Null when its `cas` says no. */
  #after(operation: Operation, before: SaidByAll, previous: FoldedKey): SaidByAll | null {
    let after: SaidByAll | null = null
    const written = () => (after ??= this.#written(operation, before, previous))
    const isWanted = operation.cas?.(previous, () => this.#fold(written())) ?? true
    return isWanted ? written() : null
  }

  #take(operations: readonly Operation[], taken: ReadonlyMap<string, SaidByAll>): true {
    for (const [id, said] of taken) this.#checkSize(id, said)
    for (const [id, said] of taken) this.#held.set(id, said)
    for (const operation of operations) this.#mark(operation, idOf(operation.key))
    return true
  }

  /** @throws VALUE_TOO_LARGE */
  #checkSize(id: string, said: SaidByAll): void {
    const own = said === this.#heldAt(id) ? undefined : ownOf(said)
    if (own !== undefined) checkEntrySize(own.entry, this.#block.core, this.#block.seq)
  }

  #mark({ cas, write }: Operation, id: string): void {
    if (cas !== undefined) this.#decided.add(id)
    else if (typeof write !== 'function' && isWhole(write)) this.#decided.delete(id)
  }

  #written(operation: Operation, before: SaidByAll, previous?: FoldedKey): SaidByAll {
    const { write } = operation
    if (typeof write !== 'function') return this.#write(before, write, operation)
    let held = before
    for (let step = 0; ; step++) {
      const now = step === 0 && previous !== undefined ? previous : this.#fold(held)
      const next = write(now, step)
      if (next === null) return held
      held = this.#write(held, next, operation)
    }
  }

  #write(said: SaidByAll, write: WriteOperation, { isAtomic = false }: Operation): SaidByAll {
    const { key, unsupported, isOwnUnsupported, refused } = said
    if (isOwnUnsupported) {
      throw new ManyhandsError(
        'ENTRY_UNSUPPORTED',
        'A newer version wrote this key from this device'
      )
    }
    const own = ownOf(said) ?? null
    const others = own === null ? said.entries : said.entries.filter((each) => each !== own)
    const entry = writeEntry(own, others, write, this.#context(key, isAtomic))
    if (entry === null) return said
    // Each field by its name, here and above: a group may hold thousands of keys, and a spread costs more than the rest.
    const next = {
      core: this.#block.core,
      entry,
      writer: this.#writer,
      isOwn: true,
      seq: this.#block.seq
    }
    return { key, entries: [...others, next], unsupported, isOwnUnsupported, refused }
  }

  /** Where nothing is declared, one for all keys. */
  #context(key: Uint8Array, isAtomic: boolean): WriteContext {
    const options = this.#parts.foldOptions(key)
    const known = this.#contexts.get(options)
    if (known !== undefined && known.isAtomic === isAtomic) return known
    const { admitted } = this.#parts.view
    const context = { ...this.#block, stamp: this.stamp, isAtomic, admitted, ...options }
    this.#contexts.set(options, context)
    return context
  }

  #heldAt(id: string): SaidByAll {
    const said = this.#held.get(id) ?? this.#known.get(id)
    if (said === undefined) throw new TypeError('An operation on a key that was not learned')
    return said
  }

  #fold({ key, entries, unsupported }: SaidByAll): FoldedKey {
    return this.#parts.view.foldSaid(key, entries, unsupported)
  }
}

/** Never waits for the network. */
const LOCAL = { wait: false }

function isNothing(entry: TypedEntry): boolean {
  switch (entry.type) {
    case 'value':
      return entry.registers.every(({ value }) => value === null)
    case 'named':
      return entry.state === null
    default:
      return false
  }
}

function isWhole(write: WriteOperation): boolean {
  return write.do === 'put' || write.do === 'put-whole' || write.do === 'del'
}

function ownOf({ entries }: SaidByAll): Said | undefined {
  return entries.find(({ isOwn }) => isOwn)
}

function idOf(key: Uint8Array): string {
  return b4a.toString(key, 'latin1')
}

/**
 * A group of calls that will become one batch: what stands last at each key, and the decision of each compare-and-set. A `cas`
 * is asked about what its key will hold when its turn comes: what this device sees there, changed by the calls before it in the
 * same group and by the operations before it in its own batch.
 */
import b4a from 'b4a'
import z32 from 'z32'
import type { Stamp } from '../clock/index.ts'
import { decodeValue, type Position } from '../crdt/index.ts'
import type { Hypercore } from '../core/index.ts'
import type { FoldedKey, View } from './view.ts'

/** One change of one key, with the whole key of the bee. */
export interface Operation {
  readonly key: Uint8Array
  /** Canonical bytes, or null to delete. */
  readonly value: Uint8Array | null
  /**
   * Written as an entry of another type, which has seen nothing: `value` is its payload, null takes the key out of our tree. Its
   * position is this batch, or where what it carries on was written first.
   */
  readonly opaque?: { readonly type: number; readonly position: Position | null }
  /** Whether to write it over what is there. Not waited for; what it throws is its caller's. */
  readonly cas?: (previous: FoldedKey) => boolean
}

/** A compare-and-set that is written. */
export interface CasWrite {
  readonly key: Uint8Array
  readonly stamp: Stamp
}

export class Group {
  /** By key (latin1), what will be written there. */
  readonly last = new Map<string, Operation>()
  readonly #view: View
  readonly #core: Hypercore
  readonly #now: () => Stamp
  #stamp: Stamp | null = null

  constructor(view: View, core: Hypercore, now: () => Stamp) {
    this.#view = view
    this.#core = core
    this.#now = now
  }

  /** One for the whole group: a batch has one stamp. */
  get stamp(): Stamp {
    return (this.#stamp ??= this.#now())
  }

  /**
   * Takes the operations of one call, all or none. Synchronous without a `cas`: most have none, and a turn per put is what
   * group commit saves.
   * @returns false when a `cas` said no
   * @throws what a `cas` throws; BLOCK_UNAVAILABLE when what it asks about is not on this device
   */
  add(operations: readonly Operation[]): boolean | Promise<boolean> {
    return operations.some(({ cas }) => cas !== undefined)
      ? this.#decide(operations)
      : this.#take(operations)
  }

  async #decide(operations: readonly Operation[]): Promise<boolean> {
    const own = new Map<string, Operation>()
    for (const operation of operations) {
      const id = idOf(operation.key)
      const { cas } = operation
      if (cas !== undefined && !cas(await this.#previous(operation.key, own.get(id)))) return false
      own.set(id, operation)
    }
    return this.#take([...own.values()])
  }

  #take(operations: readonly Operation[]): true {
    for (const operation of operations) this.last.set(idOf(operation.key), operation)
    return true
  }

  /** What was decided by `cas` and still stands. */
  casWrites(): readonly CasWrite[] {
    return [...this.last.values()].flatMap(({ key, cas }) =>
      cas === undefined ? [] : [{ key, stamp: this.stamp }]
    )
  }

  async #previous(key: Uint8Array, own: Operation | undefined): Promise<FoldedKey> {
    const waiting = own ?? this.last.get(idOf(key))
    if (waiting !== undefined) return foldedOf(waiting, this.#core, this.stamp)
    return this.#view.get(key, LOCAL)
  }
}

/** Never waits for the network. */
const LOCAL = { wait: false }

/** What operations on one key make of what stands there; one whose `cas` says no is passed over. */
export function previewOf(
  folded: FoldedKey,
  operations: readonly Operation[],
  core: Hypercore,
  stamp: Stamp
): FoldedKey {
  return operations.reduce(
    (now, operation) => (operation.cas?.(now) === false ? now : foldedOf(operation, core, stamp)),
    folded
  )
}

/** What will stand at a key once the operation is written: it has seen, and settles, all that is there now. */
function foldedOf({ key, value }: Operation, core: Hypercore, stamp: Stamp): FoldedKey {
  const seq = core.length
  const said = {
    position: { core: core.key, seq },
    stamp,
    seen: [],
    value,
    writer: z32.encode(core.key),
    isOwn: true,
    seq,
    isUnknownType: false
  }
  const winner = { said, value: value === null ? null : decodeValue(value) }
  return { key, winner, conflicts: [], unsupported: [] }
}

function idOf(key: Uint8Array): string {
  return b4a.toString(key, 'latin1')
}

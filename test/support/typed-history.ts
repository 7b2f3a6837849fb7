/** Devices that write one key and learn of each other in pieces: a history, from which any prefix of any log can be read. */
import b4a from 'b4a'
import * as assert from 'uvu/assert'
import { tagOf } from '../../clock/index.ts'
import {
  foldEntries,
  packEntry,
  pruneEntry,
  unpackEntry,
  writeEntry,
  type FoldOptions,
  type Head,
  type PlacedEntry,
  type TypedEntry,
  type WriteContext,
  type WriteOperation
} from '../../crdt/index.ts'

/** One operation that was written, and what its author knew. */
export interface Happening {
  readonly author: number
  readonly seq: number
  /** Its place among all. */
  readonly order: number
  readonly known: readonly number[]
  readonly operation: WriteOperation
}

export type Settings = Pick<WriteContext, 'deletes' | 'isAtomic' | 'types'>

export function coreOf(device: number): Uint8Array {
  return new Uint8Array(32).fill(device + 1)
}

function deviceOf(core: Uint8Array): number {
  return (core[0] ?? 0) - 1
}

export class TypedHistory {
  readonly happenings: Happening[] = []
  readonly settings: Settings
  /** Per device its entries, one per block: what stands in its bee from that block on. */
  readonly #logs: Uint8Array[][]
  readonly #known: number[][]
  /** Per device, what it knew when its log was so long, oldest first: what it says to whoever holds that much of it. */
  readonly #told: { readonly length: number; readonly known: readonly number[] }[][]

  constructor(devices: number, settings: Settings = {}) {
    this.settings = settings
    this.#logs = Array.from({ length: devices }, () => [])
    this.#known = this.#logs.map(() => this.#logs.map(() => 0))
    this.#told = this.#logs.map(() => [])
  }

  get lengths(): readonly number[] {
    return this.#logs.map((log) => log.length)
  }

  knownBy(device: number): readonly number[] {
    return (this.#known[device] ?? []).map((length, i) =>
      i === device ? (this.#logs[i]?.length ?? 0) : length
    )
  }

  /** One device learns another's log up to a length, at most all of it. */
  learn(device: number, of: number, upTo = Infinity): void {
    const known = this.#known[device]
    if (known === undefined) return
    known[of] = Math.max(known[of] ?? 0, Math.min(upTo, this.#logs[of]?.length ?? 0))
    const length = this.#logs[device]?.length ?? 0
    this.#told[device]?.push({ length, known: this.knownBy(device) })
  }

  learnAll(device: number): void {
    this.#logs.forEach((_, of) => this.learn(device, of))
  }

  /** What stands in the logs cut to these lengths. */
  saidAt(lengths: readonly number[]): PlacedEntry[] {
    return lengths.flatMap((length, device) => {
      const bytes = this.#logs[device]?.[length - 1]
      return bytes === undefined || bytes === NOTHING ? [] : [placed(bytes, device, length - 1)]
    })
  }

  foldAt(lengths: readonly number[]) {
    const { deletes, types } = this.settings
    const options: FoldOptions = {
      ...(deletes === undefined ? {} : { deletes }),
      ...(types === undefined ? {} : { types })
    }
    return foldEntries(this.saidAt(lengths), (core) => lengths[deviceOf(core)] ?? 0, options)
  }

  /** Whether somebody whom the device has read had seen more of a core than the device has. */
  isHeardAhead(device: number, core: Uint8Array): boolean {
    const known = this.knownBy(device)
    return this.saidAt(known).some(({ entry }) =>
      headsIn(entry).some(({ seen }) =>
        seen.some((item) => b4a.equals(item.core, core) && item.seq >= (known[deviceOf(core)] ?? 0))
      )
    )
  }

  readBy(device: number) {
    return this.foldAt(this.knownBy(device))
  }

  /** Writes one batch; false when nothing was to be written. */
  write(device: number, operations: readonly WriteOperation[], ms: number): boolean {
    const known = this.knownBy(device)
    const said = this.saidAt(known)
    const core = coreOf(device)
    const seq = this.#logs[device]?.length ?? 0
    const others = said.filter((each) => deviceOf(each.core) !== device)
    let own = said.find((each) => deviceOf(each.core) === device) ?? null
    let isWritten = false
    for (const operation of operations) {
      const entry = writeEntry(own, others, operation, {
        core,
        seq,
        stamp: { ms, counter: 0, tag: tagOf(core) },
        admitted: (of) => known[deviceOf(of)] ?? 0,
        ...this.settings
      })
      if (entry === null) continue
      isWritten = true
      own = { core, entry }
      this.happenings.push({ author: device, seq, order: this.happenings.length, known, operation })
    }
    if (isWritten && own !== null) this.#logs[device]?.push(packEntry(own.entry, core, seq))
    return isWritten
  }

  /** What every device knows of each log: no seal may fall below it. */
  get finalLengths(): number[] {
    return this.#logs.map((log, of) =>
      Math.min(log.length, ...this.#known.map((_, device) => this.knownBy(device)[of] ?? 0))
    )
  }

  /** What all have told a device that they know, as far as it holds their logs. */
  finalFor(device: number): number[] {
    const held = this.knownBy(device)
    return this.#logs.map((_, of) =>
      Math.min(
        held[of] ?? 0,
        ...this.#told.map((told, by) => {
          if (by === device || by === of) return held[of] ?? 0
          const last = told.findLast(({ length }) => length <= (held[by] ?? 0))
          return last?.known[of] ?? 0
        })
      )
    )
  }

  /** A device leaves out of its entry what may go; false when that is nothing. Does not add a block. */
  prune(device: number): boolean {
    const known = this.knownBy(device)
    const said = this.saidAt(known)
    const own = said.find((each) => deviceOf(each.core) === device)
    const log = this.#logs[device]
    if (own === undefined || log === undefined) return false
    const final = this.finalFor(device)
    // What others say must stand where it is final.
    if (known.some((length, of) => of !== device && length !== final[of])) return false
    const pruned = pruneEntry(
      own,
      said.filter((each) => each !== own),
      {
        admitted: (of) => known[deviceOf(of)] ?? 0,
        isFinal: ({ core, seq }) => seq < (final[deviceOf(core)] ?? 0)
      }
    )
    if (pruned === own.entry) return false
    log[log.length - 1] =
      pruned === null ? NOTHING : packEntry(pruned, coreOf(device), log.length - 1)
    return true
  }

  /** The operations in logs cut to these lengths. */
  happeningsAt(lengths: readonly number[]): Happening[] {
    return this.happenings.filter(({ author, seq }) => seq < (lengths[author] ?? 0))
  }
}

function headsIn(entry: TypedEntry): readonly Head[] {
  return entry.type === 'value' ? [entry.head, ...entry.registers] : [entry.head]
}

/** In place of an entry that was deleted. */
const NOTHING = new Uint8Array(0)

/** Whether the author of one operation knew the other. */
export function knew(later: Happening, earlier: Happening): boolean {
  if (later.author === earlier.author) return earlier.order < later.order
  return earlier.seq < (later.known[earlier.author] ?? 0)
}

/** Through bytes and back, and the same bytes again. */
function placed(bytes: Uint8Array, device: number, seq: number): PlacedEntry {
  const core = coreOf(device)
  const unpacked = unpackEntry(bytes, core, seq)
  assert.ok(unpacked.ok, unpacked.ok ? '' : unpacked.reason)
  assert.equal(packEntry(unpacked.entry, core, seq), bytes)
  return { core, entry: unpacked.entry }
}

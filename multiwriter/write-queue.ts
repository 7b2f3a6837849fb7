/**
 * Writing: puts issued together become one batch, one signed append, one stamp. While an append is under way the next group
 * gathers, so the log's speed and not the caller's habits decides how large groups are.
 *
 * Each register names what it had seen (DESIGN section 4): the current registers of all other cores at its key, as far as they
 * are on this device (a put never waits for the network), and what those and our own earlier register had seen.
 */
import b4a from 'b4a'
import z32 from 'z32'
import type { HybridLogicalClock, Stamp } from '../clock/index.ts'
import {
  compareRegisters,
  encodeEntry,
  encodeOpaque,
  foldRegisters,
  MAX_SEEN,
  type AdmittedLength,
  type Position
} from '../crdt/index.ts'
import { ManyhandsError } from '../errors.ts'
import type { OwnLog, TreeWrite } from '../core/index.ts'
import { CasLosses } from './cas-losses.ts'
import { Group, previewOf, type Operation } from './group.ts'
import type { Union } from './union.ts'
import type { FoldedKey, Said, SaidByAll, View } from './view.ts'

/** A group is appended at this size; one caller's batch is never split. */
const MAX_GROUP_OPERATIONS = 16384
const MAX_GROUP_BYTES = 4 * 1024 * 1024

interface Pending {
  readonly operations: readonly Operation[]
  readonly resolve: (isWritten: boolean) => void
  readonly reject: (error: unknown) => void
}

export class WriteQueue {
  /** Compare-and-set writes that another device's write has beaten since. */
  readonly losses: CasLosses
  readonly #log: OwnLog
  readonly #union: Union
  readonly #clock: HybridLogicalClock
  #pending: Pending[] = []
  #draining: Promise<void> | null = null

  constructor(log: OwnLog, union: Union, clock: HybridLogicalClock) {
    this.#log = log
    this.#union = union
    this.#clock = clock
    this.losses = new CasLosses(union, z32.encode(log.core.key))
  }

  /**
   * True when the operations are durable, all in one batch; false when a `cas` among them said no. Then, as on a rejection,
   * none of them was written.
   */
  write(operations: readonly Operation[]): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ operations, resolve, reject })
      this.#draining ??= this.#drain()
    })
  }

  /** What operations on one key would make of what stands there. */
  preview(folded: FoldedKey, operations: readonly Operation[]): FoldedKey {
    return previewOf(folded, operations, this.#log.core, this.#clock.now())
  }

  /** Runs a task while nothing is written: after what was issued before, ahead of what is issued meanwhile. */
  async alone<T>(task: () => Promise<T>): Promise<T> {
    while (this.#draining !== null) await this.#draining
    const running = task()
    const done = running.then(
      () => {},
      () => {} // the caller of this one gets it
    )
    this.#draining = done.then(() => this.#drain())
    return running
  }

  /** Waits for what was issued. */
  async settle(): Promise<void> {
    await this.#draining
  }

  async #drain(): Promise<void> {
    // Everything that is issued in this turn comes into the first group.
    await Promise.resolve()
    while (this.#pending.length > 0) await this.#commit(this.#takeGroup())
    // In the turn of the last look: a write issued any later must not wait for a drain that has ended.
    this.#draining = null
  }

  #takeGroup(): Pending[] {
    let operations = 0
    let bytes = 0
    let count = 0
    for (const pending of this.#pending) {
      operations += pending.operations.length
      bytes += pending.operations.reduce(
        (sum, { key, value }) => sum + key.length + (value?.length ?? 0),
        0
      )
      if (count > 0 && (operations > MAX_GROUP_OPERATIONS || bytes > MAX_GROUP_BYTES)) break
      count++
    }
    return this.#pending.splice(0, count)
  }

  /** Never rejects: each caller gets its own outcome. */
  async #commit(group: readonly Pending[]): Promise<void> {
    const verdicts: [Pending, boolean][] = []
    try {
      const view = await this.#union.view(LOCAL)
      const known = await learn(group, view)
      const composed = new Group(view, this.#log.core, () => this.#clock.now())
      for (const pending of group) {
        if (!isAccepted(pending, known)) continue
        const taken = composed.add(pending.operations)
        const isTaken = taken instanceof Promise ? await taken.catch(pending.reject) : taken
        if (isTaken !== undefined) verdicts.push([pending, isTaken])
      }
      const puts = this.#putsOf(composed, known, view.admitted)
      if (puts.length > 0) await this.#log.append(puts)
      this.losses.watch(composed.casWrites())
      // Not before: who was refused for what another call of this group writes must not hear so if that was not written.
      for (const [{ resolve }, isTaken] of verdicts) resolve(isTaken)
    } catch (error) {
      // A rejection after a resolution does nothing, so those refused above keep their own reason.
      for (const { reject } of group) reject(error)
    }
  }

  /** One put per key: of several operations on one key the last stands. */
  #putsOf(
    composed: Group,
    known: ReadonlyMap<string, SaidByAll>,
    admitted: AdmittedLength
  ): readonly TreeWrite[] {
    const { last } = composed
    for (const [id, { value, opaque }] of last) {
      if (value === null && opaque === undefined && isGone(known.get(id), admitted)) last.delete(id)
    }
    if (last.size === 0) return []
    const stamp = composed.stamp
    // In key order, for the same reason as in `learn`.
    const puts = [...known].flatMap(([id, said]) => {
      const operation = last.get(id)
      if (operation === undefined) return []
      const { key, value } = operation
      const seen = seenBy(said.registers, this.#log.core.key)
      return [{ key, value: encodeEntry({ position: null, stamp, seen, value }) }]
    })
    return [...puts, ...opaquePuts(last.values(), stamp)]
  }
}

function opaquePuts(operations: Iterable<Operation>, stamp: Stamp): readonly TreeWrite[] {
  return [...operations].flatMap(({ key, value, opaque }): TreeWrite[] => {
    if (opaque === undefined) return []
    const { type, position } = opaque
    return [
      value === null
        ? { key, value }
        : { key, value: encodeOpaque(type, { position, stamp }, value) }
    ]
  })
}

/**
 * What is known at the keys of a group, by key (latin1, so that the order of strings is that of bytes). Looked up in key order:
 * neighbours stand in the same nodes of every tree, and each node is fetched, and passes through the processor's caches, once.
 */
async function learn(group: readonly Pending[], view: View): Promise<Map<string, SaidByAll>> {
  const keys = new Map<string, Uint8Array>()
  for (const { operations } of group) {
    for (const { key, opaque } of operations)
      if (opaque === undefined) keys.set(b4a.toString(key, 'latin1'), key)
  }
  const known = new Map<string, SaidByAll>()
  for (const id of [...keys.keys()].sort()) {
    const said = view.saidHere(keys.get(id) ?? NO_KEY)
    // Awaited only where it must be: most keys are in memory, and a turn per put is what group commit saves.
    known.set(id, said instanceof Promise ? await said : said)
  }
  return known
}

const NO_KEY = new Uint8Array(0)

/** False (and a rejection) when one caller's operations must not be written. */
function isAccepted(
  { operations, reject }: Pending,
  known: ReadonlyMap<string, SaidByAll>
): boolean {
  const isFree = operations.every(
    ({ key }) => !isOwnUnsupported(known.get(b4a.toString(key, 'latin1')))
  )
  if (!isFree) {
    reject(
      new ManyhandsError('ENTRY_UNSUPPORTED', 'A newer version wrote this key from this device')
    )
  }
  return isFree
}

/** A put never waits for the network. */
const LOCAL = { wait: false }

/** Our bee holds one entry per key, so writing would take the place of what we cannot read. */
function isOwnUnsupported(said: SaidByAll | undefined): boolean {
  if (said === undefined) return false
  return said.isOwnUnsupported || said.registers.some((each) => each.isOwn && each.isUnknownType)
}

/** Nothing left to delete: nobody wrote the key, or all that the fold shows are tombstones. */
function isGone(said: SaidByAll | undefined, admitted: AdmittedLength): boolean {
  if (said === undefined || said.registers.length === 0) return true
  const { winner, conflicts } = foldRegisters(said.registers, admitted)
  return [winner, ...conflicts].every(({ value }) => value === null)
}

/**
 * Per core the greatest position that a write knowing these registers has seen, sorted by core. What only a newer version can
 * read was not seen. Beyond MAX_SEEN, what is known at second hand is left out first, then the oldest.
 */
function seenBy(registers: readonly Said[], own: Uint8Array): readonly Position[] {
  if (registers.length === 0) return []
  const first = new Map<string, Position>()
  const second = new Map<string, Position>()
  const readable = registers.filter((register) => !register.isUnknownType)
  for (const { position, isOwn, seen } of readable.sort((a, b) => compareRegisters(b, a))) {
    if (!isOwn) raise(first, position)
    for (const item of seen) if (!b4a.equals(item.core, own)) raise(second, item)
  }
  for (const [id, item] of second) {
    if (first.has(id) || first.size < MAX_SEEN) raise(first, item)
  }
  return [...first.values()].slice(0, MAX_SEEN).sort((a, b) => b4a.compare(a.core, b.core))
}

function raise(seen: Map<string, Position>, item: Position): void {
  const id = b4a.toString(item.core, 'hex')
  const known = seen.get(id)
  if (known === undefined || known.seq < item.seq) seen.set(id, item)
}

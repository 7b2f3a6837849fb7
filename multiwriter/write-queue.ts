/**
 * Writing: puts issued together become one batch, one signed append, one stamp. While an append is under way the next group
 * gathers, so the log's speed and not the caller's habits decides how large groups are.
 *
 * Each register names what it had seen (DESIGN section 4): the current registers of all other cores at its key, as far as they
 * are on this device (a put never waits for the network), and what those and our own earlier register had seen.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { compareStamps, type HybridLogicalClock, type Stamp } from '../clock/index.ts'
import type { OwnLog, TreeWrite } from '../core/index.ts'
import { CasLosses } from './cas-losses.ts'
import { Group, isOpaque, type CasWrite, type OpaqueWrite, type Operation } from './group.ts'
import type { MergePolicies } from './merge-policies.ts'
import { heldOwn, putBack } from './put-back.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { FoldedKey, SaidByAll, View } from './view.ts'

/** A group is appended at this size; one caller's batch is never split. */
export interface GroupLimits {
  readonly operations: number
  readonly bytes: number
}

const USUAL_LIMITS: GroupLimits = { operations: 16384, bytes: 4 * 1024 * 1024 }

interface Pending {
  readonly operations: readonly Operation[]
  readonly opaque: readonly OpaqueWrite[]
  readonly resolve: (stamp: Stamp | null) => void
  readonly reject: (error: unknown) => void
}

/** Whether a call had its way. */
type Verdict = readonly [Pending, boolean]

interface Composed {
  readonly puts: readonly TreeWrite[]
  readonly casWrites: readonly CasWrite[]
  /** Null where no call had its way. */
  readonly stamp: Stamp | null
  readonly verdicts: readonly Verdict[]
}

/** What is asked about whether it may be written. */
interface Keyed {
  readonly key: Uint8Array
}

export class WriteQueue {
  /** Compare-and-set writes that another device's write has beaten since. */
  readonly losses: CasLosses
  readonly #log: OwnLog
  readonly #union: Union
  readonly #clock: HybridLogicalClock
  readonly #policies: MergePolicies
  readonly #refusals: Refusals
  readonly #limits: GroupLimits
  readonly #checkMay: (writes: readonly Keyed[]) => void
  #pending: Pending[] = []
  #draining: Promise<void> | null = null

  /** @param checkMay throws where this may not be written; for no writes, where nothing may */
  constructor(
    log: OwnLog,
    union: Union,
    clock: HybridLogicalClock,
    refusals: Refusals,
    checkMay: (writes: readonly Keyed[]) => void = () => {},
    limits: GroupLimits = USUAL_LIMITS
  ) {
    this.#limits = limits
    this.#refusals = refusals
    this.#checkMay = checkMay
    this.#log = log
    this.#union = union
    this.#clock = clock
    this.#policies = union.policies
    this.losses = new CasLosses(union, z32.encode(log.core.key))
  }

  /**
   * Their batch's stamp when the operations are durable, all in one batch; null when a `cas` among them said no. Then, as on a
   * rejection, none of them was written.
   */
  write(writes: readonly (Operation | OpaqueWrite)[]): Promise<Stamp | null> {
    return new Promise((resolve, reject) => {
      const { operations, opaque } = sorted(writes)
      this.#pending.push({ operations, opaque, resolve, reject })
      this.#draining ??= this.#drain()
    })
  }

  /** What operations on one key would make of what is said there. */
  preview(view: View, said: SaidByAll, operations: readonly Operation[]): FoldedKey {
    const group = this.#groupOn(view)
    group.know(said)
    return group.preview(said.key, operations)
  }

  /** Whether this may be written now; for no writes, whether anything may. */
  mayWrite(writes: readonly Keyed[] = NOTHING): boolean {
    try {
      this.#checkMay(writes)
      return true
    } catch {
      return false
    }
  }

  /**
   * Runs a task that writes, while nothing else is written: after what was issued before, ahead of what is issued meanwhile.
   * @throws NOT_ALLOWED
   */
  async alone<T>(task: () => Promise<T>): Promise<T> {
    while (this.#draining !== null) await this.#draining
    this.#checkMay(NOTHING)
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
      operations += pending.operations.length + pending.opaque.length
      for (const { key, size } of pending.operations) bytes += key.length + size
      const isFull = operations > this.#limits.operations || bytes > this.#limits.bytes
      if (count > 0 && isFull) break
      count++
    }
    return this.#pending.splice(0, count)
  }

  /** Never rejects: each caller gets its own outcome. */
  async #commit(all: readonly Pending[]): Promise<void> {
    const group = this.#allowed(all)
    if (group.length === 0) return
    try {
      const { puts, casWrites, stamp, verdicts } = await this.#compose(group)
      this.#checkMay(puts) // what was looked up may have taken a while
      if (puts.length > 0) await this.#log.append(puts)
      // Where the disk has failed, what is there already may be there in memory only.
      else if (stamp !== null) this.#log.check()
      this.losses.watch(casWrites)
      // Not before: who was refused for what another call of this group writes must not hear so if that was not written.
      for (const [{ resolve }, isTaken] of verdicts) resolve(isTaken ? stamp : null)
    } catch (error) {
      // A rejection after a resolution does nothing, so those refused above keep their own reason.
      for (const { reject } of group) reject(error)
    }
  }

  /** What is to be appended, and no more: what was looked up for it, ten times as much, is let go before the append. */
  async #compose(group: readonly Pending[]): Promise<Composed> {
    const view = await this.#view()
    if (group.every(isPlainPut)) {
      const composed = this.#groupOn(view)
      const verdicts = await addByKey(composed, group, view)
      if (!this.#isLate(composed, verdicts)) return composedOf(composed, verdicts)
    }
    const composed = this.#groupOn(view)
    return composedOf(composed, await addByCall(composed, group, view))
  }

  /** Whether something that was looked up after the stamp was made is later: a write is stamped after all that it knows. */
  #isLate(composed: Group, verdicts: readonly Verdict[]): boolean {
    const { last } = this.#clock
    return verdicts.length > 0 && last !== null && compareStamps(last, composed.stamp) > 0
  }

  /** Mostly all may, and that is asked once: to know what became of this device's membership costs more than a put. */
  #allowed(all: readonly Pending[]): readonly Pending[] {
    const writes = all.flatMap(({ operations, opaque }) => [...operations, ...opaque])
    return this.mayWrite(writes) ? all : all.filter((pending) => this.#isAllowed(pending))
  }

  /** One caller's keys are no other's business. */
  #isAllowed({ operations, opaque, reject }: Pending): boolean {
    try {
      this.#checkMay(operations)
      this.#checkMay(opaque)
      return true
    } catch (error) {
      reject(error)
      return false
    }
  }

  /** One that gives all of this device's log: what is written now goes on from its last entries. */
  async #view(): Promise<View> {
    const view = await this.#union.view(LOCAL)
    if (heldOwn(view, this.#log) === null) return view
    return putBack({
      union: this.#union,
      own: this.#log,
      clock: this.#clock,
      refusals: this.#refusals
    })
  }

  #groupOn(view: View): Group {
    return new Group({
      view,
      core: this.#log.core,
      now: () => this.#clock.now(),
      foldOptions: (key) => this.#policies.of(key)
    })
  }
}

/** Most calls hold nothing opaque, and need no lists of their own. */
function sorted(
  writes: readonly (Operation | OpaqueWrite)[]
): Pick<Pending, 'operations' | 'opaque'> {
  if (hasNoOpaque(writes)) return { operations: writes, opaque: NOTHING }
  const operations = writes.filter((write): write is Operation => !isOpaque(write))
  return { operations, opaque: writes.filter(isOpaque) }
}

function hasNoOpaque(writes: readonly (Operation | OpaqueWrite)[]): writes is readonly Operation[] {
  return !writes.some(isOpaque)
}

const NOTHING: readonly never[] = []

/** Undefined (and a rejection) when one caller's operations cannot be written. */
function add(composed: Group, { operations, opaque, reject }: Pending) {
  try {
    const taken = composed.add(operations)
    composed.addOpaque(opaque)
    return taken
  } catch (error) {
    return reject(error)
  }
}

function composedOf(composed: Group, verdicts: readonly Verdict[]): Composed {
  const stamp = verdicts.some(([, isTaken]) => isTaken) ? composed.stamp : null
  return { puts: composed.puts(), casWrites: composed.casWrites(), stamp, verdicts }
}

/** A call of one operation that asks for nothing meets others only at its key. */
function isPlainPut({ operations, opaque }: Pending): boolean {
  const [only] = operations
  if (only === undefined || operations.length > 1 || opaque.length > 0) return false
  return only.cas === undefined && typeof only.write !== 'function'
}

/**
 * Key by key: at any moment no more is in memory than what is said at one. In key order: neighbours stand in the same nodes of
 * every tree, and each node is fetched, and passes through the processor's caches, once.
 */
async function addByKey(
  composed: Group,
  group: readonly Pending[],
  view: View
): Promise<readonly Verdict[]> {
  const refused = new Set<Pending>()
  for (const calls of byKey(group)) {
    const operations = calls.flatMap((call) => call.operations)
    const key = operations[0]?.key ?? NO_KEY
    const said = view.saidHere(key, operations.every(isOverwriting))
    // Awaited only where it must be: most keys are in memory, and a turn per put is what group commit saves.
    composed.know(said instanceof Promise ? await said : said)
    for (const call of calls) if (add(composed, call) === undefined) refused.add(call)
    composed.settle()
  }
  return group.filter((call) => !refused.has(call)).map((call) => [call, true] as const)
}

/** Calls of one operation, those on one key together. */
function byKey(group: readonly Pending[]): Iterable<readonly Pending[]> {
  const calls = new Map<string, Pending[]>()
  for (const call of group) {
    const id = b4a.toString(call.operations[0]?.key ?? NO_KEY, 'latin1')
    const known = calls.get(id)
    if (known === undefined) calls.set(id, [call])
    else known.push(call)
  }
  return [...calls.keys()].sort().map((id) => calls.get(id) ?? [])
}

/** Call by call, once it is known what is said at all their keys. */
async function addByCall(
  composed: Group,
  group: readonly Pending[],
  view: View
): Promise<readonly Verdict[]> {
  await learn(composed, group, view)
  const verdicts: Verdict[] = []
  for (const pending of group) {
    const taken = add(composed, pending)
    const isTaken = taken instanceof Promise ? await taken.catch(pending.reject) : taken
    if (isTaken !== undefined) verdicts.push([pending, isTaken])
  }
  return verdicts
}

/** What is said at the keys of a group; in key order, as in `addByKey`. Keys are by latin1, so that the order of strings is that of bytes. */
async function learn(composed: Group, group: readonly Pending[], view: View): Promise<void> {
  const keys = new Map<string, Uint8Array>()
  // Where one value after another is put, it is enough to know what the last one has not seen.
  const asked = new Set<string>()
  for (const { operations } of group) {
    for (const operation of operations) {
      const id = b4a.toString(operation.key, 'latin1')
      keys.set(id, operation.key)
      if (!isOverwriting(operation)) asked.add(id)
    }
  }
  for (const id of [...keys.keys()].sort()) {
    const said = view.saidHere(keys.get(id) ?? NO_KEY, !asked.has(id))
    composed.know(said instanceof Promise ? await said : said)
  }
}

function isOverwriting({ write, cas }: Operation): boolean {
  return cas === undefined && typeof write !== 'function' && write.do === 'put-whole'
}

const NO_KEY = new Uint8Array(0)

/** A put never waits for the network. */
const LOCAL = { wait: false }

/**
 * Leaving out of this device's log what others have written over for good (crdt/prune.ts says what that is). It shortens scans
 * and lookups: a key that five devices wrote in turn is one entry again. Nobody's view changes, nothing counts as written, and
 * every version stays what it was.
 *
 * One pass asks of each log which keys changed between where it was final at the last pass and where it is now: only there can
 * anything new be left out. The keys are gone through in slices, each in a turn of the write queue, so that no put comes between
 * looking and writing, and puts wait for no more than one slice. A slice that leaves something out is one batch, and names how far
 * each other log is final: who reads less of any of them reads this log without it (reliance.ts). A pass that has ended is
 * remembered in memory; after a start the first one goes through everything.
 *
 * A key is left alone where something at it cannot be read here, and where somebody said another thing after the length that is
 * final: that is looked at again when it is final, too.
 */
import b4a from 'b4a'
import type { CoreLength, HybridLogicalClock } from '../clock/index.ts'
import { packEntry, pruneEntry, type Position } from '../crdt/index.ts'
import {
  TreeDiff,
  type OwnLog,
  type ReadOptions,
  type TreeRange,
  type TreeWrite,
  type Work
} from '../core/index.ts'
import type { Acknowledgements, FinalTrees } from './acknowledgements.ts'
import type { Cursor } from './cursor.ts'
import { Keyspace } from './keyspace.ts'
import { PRUNED_KEY, sayLengths } from './log-section.ts'
import { mergeSorted, type Group } from './merge.ts'
import { isGone, putBack, recordAt, USUAL_PORTIONS, type Portions } from './put-back.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { View } from './view.ts'
import type { WriteQueue } from './write-queue.ts'

export interface PrunerParts {
  readonly union: Union
  readonly own: OwnLog
  readonly clock: HybridLogicalClock
  readonly queue: WriteQueue
  readonly refusals: Refusals
  readonly acknowledgements: Acknowledgements
  /** Default: as is fast. */
  readonly portions?: Portions
}

/** Documents keep their updates until they are compacted, and of deletions every one counts. */
const RANGE: TreeRange = new Keyspace().whole

const HERE: ReadOptions = { wait: false }

interface Keyed {
  readonly key: Uint8Array
}

export class Pruner {
  readonly #parts: PrunerParts
  /** Where each log was final at the last pass, by writer. */
  #done: ReadonlyMap<string, number> = new Map()
  #pass: Promise<unknown> = Promise.resolve()

  constructor(parts: PrunerParts) {
    this.#parts = parts
  }

  /** Acknowledges, then leaves out what may go. Passes take turns. @returns entries of this device that became shorter, or went */
  run(work: Work = {}): Promise<number> {
    const pass = this.#pass.then(() => this.#run(work))
    this.#pass = pass.catch(() => {}) // shown to the caller of this one
    return pass
  }

  async #run({ signal, onprogress }: Work): Promise<number> {
    const { union, queue, acknowledgements, portions = USUAL_PORTIONS } = this.#parts
    await queue.alone(() => this.#mend())
    await queue.alone(() => acknowledgements.acknowledge())
    const view = await union.view(HERE)
    const final = await acknowledgements.finalTrees(view)
    const keys = this.#changedKeys(view, final)
    let pruned = 0
    try {
      for (let done = 0; ;) {
        signal?.throwIfAborted()
        const groups = await keys.nextBatch(portions.keysPerSlice)
        if (groups.length === 0) break
        const slice = groups.map(({ items }) => items[0]?.key ?? NO_KEY)
        pruned += await queue.alone(() => this.#prune(slice))
        done += slice.length
        onprogress?.({ task: 'leaving out what was written over', done, unit: 'keys' })
      }
      this.#done = new Map(view.parts.map(({ core, writer }) => [writer, final.lengthOf(core)]))
    } catch (error) {
      if (!isGone(error)) throw error
      // A bad tree, or one whose blocks were cleared: whoever reads it takes note, and the next pass begins anew.
      this.#done = new Map()
    } finally {
      await keys.close()
    }
    return pruned
  }

  /** What fell away is put back first: from then on the view gives all that this log relied on. */
  async #mend(): Promise<void> {
    await putBack(this.#parts)
  }

  /** Where something has become final since the last pass. */
  #changedKeys({ parts }: View, final: FinalTrees): Cursor<Group<Keyed>> {
    const diffs = parts.flatMap(({ core, writer }) => {
      const tree = final.treeOf(core)
      const log = this.#parts.union.log(core)
      if (tree === null || log === null) return []
      const before = Math.min(this.#done.get(writer) ?? 0, tree.length)
      return [new TreeDiff(log.treeAt(before), tree, RANGE, HERE)]
    })
    return mergeSorted<Keyed>(diffs, { compare: (a, b) => b4a.compare(a.key, b.key) })
  }

  async #prune(keys: readonly Uint8Array[]): Promise<number> {
    const { own, clock, acknowledgements } = this.#parts
    const view = await putBack(this.#parts)
    // A seal that holds back this log hides what stands in it: nothing can be told of that.
    if (view.admitted(own.core.key) !== own.core.length) return 0
    const final = await acknowledgements.finalTrees(view)
    const writes: TreeWrite[] = []
    for (const key of keys) {
      const write = await this.#pruneKey(key, view, final)
      if (write !== null) writes.push(write)
    }
    if (writes.length === 0) return 0
    const relied = await this.#relied(view, final)
    await own.append([sayLengths(PRUNED_KEY, relied, clock.now()), ...writes])
    return writes.length
  }

  /** Null where everything stays. */
  async #pruneKey(key: Uint8Array, view: View, final: FinalTrees): Promise<TreeWrite | null> {
    const { core } = this.#parts.own
    // Most keys that others change are not ours.
    if ((await this.#parts.own.tree.snapshot().get(key, HERE)) === null) return null
    try {
      const { entries, unsupported, refused } = await view.said(key, HERE)
      const own = entries.find(({ isOwn }) => isOwn)
      if (own === undefined || unsupported.length > 0 || refused.length > 0) return null
      if (!(await isSettled(key, view, final))) return null
      const others = entries.filter((each) => each !== own)
      const narrow = view.parts.filter(({ prefixes }) => prefixes !== null)
      // A grant that turns out not to count takes back what it let count, and no seal falls by which we would hear of it.
      const isNarrow = (position: Position) =>
        narrow.some((part) => b4a.equals(part.core, position.core))
      const isFinal = (position: Position) =>
        position.seq < final.lengthOf(position.core) && !isNarrow(position)
      const pruned = pruneEntry(own, others, { admitted: view.admitted, isFinal })
      if (pruned === own.entry) return null
      // The block is a placeholder: every position is an earlier one, and so is said.
      return { key, value: pruned === null ? null : packEntry(pruned, core.key, core.length) }
    } catch (error) {
      if (isGone(error)) return null
      throw error
    }
  }

  /** How far each other log is final, and no less than was relied on before. */
  async #relied({ parts }: View, final: FinalTrees): Promise<readonly CoreLength[]> {
    const { own } = this.#parts
    const before = (await recordAt(own.tree.snapshot(), own.core.key))?.lengths ?? []
    const relied = new Map(before.map((each) => [b4a.toString(each.core, 'hex'), each]))
    for (const { core, isOwn } of parts) {
      const length = final.lengthOf(core)
      const id = b4a.toString(core, 'hex')
      if (!isOwn && length > (relied.get(id)?.length ?? 0)) relied.set(id, { core, length })
    }
    return [...relied.values()]
  }
}

/** Whether everybody else said at a key, where it is final, what is said now. */
async function isSettled(key: Uint8Array, { parts }: View, final: FinalTrees): Promise<boolean> {
  for (const { core, isOwn, tree } of parts) {
    if (isOwn || final.lengthOf(core) === tree.length) continue
    const then = await final.treeOf(core)?.get(key, HERE)
    const now = await tree.get(key, HERE)
    if ((then?.seq ?? null) !== (now?.seq ?? null)) return false
  }
  return true
}

const NO_KEY = new Uint8Array(0)

/**
 * Putting back what this device's log left out. Pruning relies on what no seal may cut away; where one does all the same (by
 * hand, or what the membership log lets a majority do), the log would be read at the batch before its pruning, without what was
 * written since. So its writer puts the registers back, each with its position, from its own history: what stood in the tree
 * before each pruning, and not behind it. The last batch says that the log relies no more on what it had relied on then. Until
 * it is there readers stay where they are: the whole shows at once, however many batches it takes.
 *
 * Clearing blocks (rewrite.ts) puts everything back as well: what a pruning left out stands in blocks that would go.
 */
import b4a from 'b4a'
import type { CoreLength, HybridLogicalClock } from '../clock/index.ts'
import { packEntry, restoreEntry, unpackEntry, type TypedEntry } from '../crdt/index.ts'
import {
  TreeDiff,
  TreeRefusal,
  type LogReader,
  type OwnLog,
  type ReadOptions,
  type TreeEntry,
  type TreePut,
  type TreeSnapshot
} from '../core/index.ts'
import { isManyhandsError } from '../errors.ts'
import { BEHIND_LOG_SECTION, heardLengths, PRUNED_KEY, sayLengths } from './log-section.ts'
import type { Part } from './part.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { View } from './view.ts'

export interface PutBackParts {
  readonly union: Union
  readonly own: OwnLog
  readonly clock: HybridLogicalClock
  readonly refusals: Refusals
  readonly portions?: Portions
}

/** How much is done at once. */
export interface Portions {
  /** Changed keys that pruning looks at in one turn of the queue. */
  readonly keysPerSlice: number
  /** Entries that are put back in one batch. */
  readonly entriesPerBatch: number
}

export const USUAL_PORTIONS: Portions = { keysPerSlice: 256, entriesPerBatch: 1024 }

const HERE: ReadOptions = { wait: false }

/** Of two trees that are compared. */
const CHANGES_AT_ONCE = 1024

/** This device's log, if it relied on more than a view gives, and what is written to it now counts. */
export function heldOwn({ parts }: View, { core }: OwnLog): (Part & { held: TreeSnapshot }) | null {
  const part = parts.find(({ isOwn }) => isOwn)
  if (part?.held === undefined || part.held.length !== core.length) return null
  return { ...part, held: part.held }
}

/** Call while nothing else is written. @returns a view that gives all that this device's log relied on */
export async function putBack(parts: PutBackParts): Promise<View> {
  const { union, own, clock, refusals } = parts
  const { entriesPerBatch } = parts.portions ?? USUAL_PORTIONS
  for (;;) {
    const view = await union.view(HERE)
    const part = heldOwn(view, own)
    const log = union.log(own.core.key)
    if (part === null || log === null) return view
    const { puts, lost } = await leftOut(log, part.held, part.tree.length)
    if (lost !== null) refusals.add(log.id, 'pruned-lost', lost)
    for (let from = 0; from < puts.length; from += entriesPerBatch)
      await own.append(puts.slice(from, from + entriesPerBatch))
    const before = await recordAt(part.tree, own.core.key)
    await own.append([sayLengths(PRUNED_KEY, before?.lengths ?? [], clock.now())])
  }
}

interface PrunedRecord {
  readonly seq: number
  readonly lengths: readonly CoreLength[]
}

/** What a tree says that it relied on; null for one that was never pruned. */
export async function recordAt(tree: TreeSnapshot, core: Uint8Array): Promise<PrunedRecord | null> {
  const entry = await tree.get(PRUNED_KEY, HERE)
  if (entry === null) return null
  return { seq: entry.seq, lengths: heardLengths(entry.value, core) ?? [] }
}

/** The lengths at which a tree's log stood before each of its prunings, the newest first. */
export async function lengthsBefore(
  log: LogReader,
  tree: TreeSnapshot
): Promise<readonly number[]> {
  const lengths: number[] = []
  let at = tree
  for (;;) {
    const record = await recordAt(at, log.key)
    if (record === null) return lengths
    at = await log.snapshot(record.seq, HERE)
    lengths.push(at.length)
  }
}

/**
 * What the prunings between a length and a tree of our own log left out, as puts to that tree.
 * @returns `lost` names a block of a pruning that can be read no more, with those before it
 */
export async function leftOut(
  log: LogReader,
  tree: TreeSnapshot,
  length = 0
): Promise<{ readonly puts: readonly TreePut[]; readonly lost: number | null }> {
  const restored = new Restored(log, tree)
  let lost: number | null = null
  for (let at = tree; at.length > length;) {
    const record = await recordAt(at, log.key)
    if (record === null) break
    try {
      at = await restored.addBatch(record.seq)
    } catch (error) {
      if (!isGone(error)) throw error
      lost = record.seq
      break
    }
  }
  return { puts: restored.puts(), lost }
}

/** What is not here, was cleared, or is bad. */
export function isGone(error: unknown): boolean {
  return (
    error instanceof TreeRefusal ||
    isManyhandsError(error, 'VERSION_UNAVAILABLE') ||
    isManyhandsError(error, 'BLOCK_UNAVAILABLE')
  )
}

/** Entries with what was left out put back, by key. */
class Restored {
  readonly #log: LogReader
  readonly #tree: TreeSnapshot
  readonly #entries = new Map<string, TypedEntry | null>()

  constructor(log: LogReader, tree: TreeSnapshot) {
    this.#log = log
    this.#tree = tree
  }

  puts(): readonly TreePut[] {
    const { key: core } = this.#log
    return [...this.#entries.keys()].sort().flatMap((id) => {
      const entry = this.#entries.get(id) ?? null
      if (entry === null) return []
      // The block is a placeholder: every position is an earlier one, and so is said.
      return [{ key: b4a.from(id, 'latin1'), value: packEntry(entry, core, this.#tree.length) }]
    })
  }

  /** What the batch of a block left out; call for later batches first. @returns the tree before it */
  async addBatch(seq: number): Promise<TreeSnapshot> {
    const [block] = await this.#log.written(seq, seq + 1, HERE)
    const before = await this.#log.snapshot(seq, HERE)
    const diff = new TreeDiff(
      before,
      this.#log.treeAt(block?.end ?? this.#tree.length),
      BEHIND_LOG_SECTION,
      HERE
    )
    try {
      for (;;) {
        const changes = await diff.nextBatch(CHANGES_AT_ONCE)
        if (changes.length === 0) return before
        for (const { key, left, right } of changes) await this.#add(key, left, right, seq)
      }
    } finally {
      diff.close()
    }
  }

  async #add(
    key: Uint8Array,
    left: TreeEntry | null,
    right: TreeEntry | null,
    since: number
  ): Promise<void> {
    const before = this.#read(left)
    if (before === null) return
    const id = b4a.toString(key, 'latin1')
    const known = this.#entries.get(id) ?? this.#read(await this.#tree.get(key, HERE))
    const entry = restoreEntry(known, before, this.#read(right), since)
    if (entry !== null) this.#entries.set(id, entry)
  }

  #read(entry: TreeEntry | null): TypedEntry | null {
    if (entry === null) return null
    const unpacked = unpackEntry(entry.value, this.#log.key, entry.seq)
    return unpacked.ok ? unpacked.entry : null
  }
}

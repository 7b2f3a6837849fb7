/**
 * History: what every log wrote, batch by batch, merged by time. Each log is walked in its own order, forward or backward, and
 * its batches are merged by stamp; ties by core, then block.
 *
 * A writer's own order is the order of its batches, whatever its stamps (a clock that was set back, a forger): so each log's
 * stamps are clamped on the way to never fall (never rise, in reverse), which is the greedy merge. Where a log's stamps do fall,
 * the reverse order is therefore not the mirror image: finding that would take reading everything first.
 *
 * A block of another device's log may hold what no tree ever led to: an entry is shown only if the tree at the end of its batch
 * says the same. Where that was cleared since, the block is believed.
 *
 * Blocks are read as batches are asked for, a few and then more at a time. Held in memory is one batch of each log, of a batch
 * of thousands of blocks a part of it.
 */
import b4a from 'b4a'
import { compareStamps, type CoreLength, type Stamp } from '../clock/index.ts'
import {
  isInRange,
  placeOf,
  TreeRefusal,
  type LogReader,
  type ReadOptions,
  type TreeRange,
  type WrittenBlock
} from '../core/index.ts'
import { isManyhandsError } from '../errors.ts'
import type { Cursor } from './cursor.ts'
import type { Written } from './entry.ts'
import { mergeSorted, type Group } from './merge.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { Part } from './part.ts'
import type { Said, View } from './view.ts'

export interface HistoryOptions {
  /** Its `reverse` says newest first. */
  readonly range: TreeRange
  /** Where to begin in each log; absent: at its start. */
  readonly since: readonly CoreLength[]
  /** Goes on with what arrives; ends with the union. */
  readonly live: boolean
  /** A hint: so many entries will be asked for, at most. */
  readonly limit: number
  readonly read: ReadOptions
}

/** The readable writes of one batch that lie in the range, in key order; at least one. */
interface WrittenBatch {
  readonly core: Uint8Array
  readonly seq: number
  readonly order: Stamp
  readonly items: readonly Written[]
}

/** What a full reader does not hold, nobody can give it. */
const HERE: ReadOptions = { wait: false }

const NONE: ReadonlySet<string> = new Set()

/** One storage read, or one round trip, for so many blocks. */
const MAX_BLOCKS_AT_ONCE = 64

/** So many blocks of one batch are held; a longer batch is given in parts. */
const MAX_BATCH_BLOCKS = 4096

export class History implements Cursor<Written> {
  readonly #union: Union
  readonly #refusals: Refusals
  readonly #options: HistoryOptions
  /** Blocks of each core shown or about to be, by its text form: each write is shown once, seals that move notwithstanding. */
  readonly #shown = new Map<string, number>()
  #view: View
  #merge: Cursor<Group<WrittenBatch>>
  /** What is left of the batch that was taken last. */
  #rest: readonly Written[] = []
  #isClosed = false
  #wake: (() => void) | null = null

  /** @param view how far it goes, or for a live one where it begins to wait */
  constructor(union: Union, refusals: Refusals, view: View, options: HistoryOptions) {
    this.#union = union
    this.#refusals = refusals
    this.#options = options
    this.#view = view
    for (const { core, length } of options.since) this.#shown.set(idOf(core), length)
    this.#merge = this.#mergeNew()
    if (!options.live) return
    union.events.on('change', this.#onchange)
    union.events.on('close', this.#end)
  }

  async nextBatch(size: number): Promise<readonly Written[]> {
    while (!this.#isClosed) {
      if (this.#rest.length > 0) return this.#take(size)
      if (await this.#nextRest()) continue
      if (!this.#options.live) break
      await this.#nextView()
    }
    await this.close()
    return []
  }

  async close(): Promise<void> {
    this.#end()
    await this.#merge.close()
  }

  #take(size: number): readonly Written[] {
    const taken = this.#rest.slice(0, size)
    this.#rest = this.#rest.slice(size)
    return taken
  }

  async #nextRest(): Promise<boolean> {
    try {
      const groups = await this.#merge.nextBatch(1)
      this.#rest = groups.flatMap(({ items }) => items.flatMap((batch) => batch.items))
    } catch (error) {
      this.#passUnlessEnded(error)
    }
    return this.#rest.length > 0
  }

  /** Waits until there is more in the logs than was shown. */
  async #nextView(): Promise<void> {
    if (this.#isClosed) return
    const woken = new Promise<void>((resolve) => (this.#wake = resolve))
    try {
      const view = await this.#union.view(this.#options.read)
      if (view === this.#view) return await woken
      this.#view = view
      this.#merge = this.#mergeNew()
    } catch (error) {
      this.#passUnlessEnded(error)
    }
  }

  /** What fails because a live one was closed, or its database, is its end, not its failure. */
  #passUnlessEnded(error: unknown): void {
    if (!this.#isClosed || !this.#options.live) throw error
  }

  /** Everything in the view that was not shown. */
  #mergeNew(): Cursor<Group<WrittenBatch>> {
    const { reverse = false } = this.#options.range
    const cursors = this.#view.parts.flatMap((part) => this.#logCursor(part))
    const direction = reverse ? -1 : 1
    return mergeSorted(cursors, { compare: (a, b) => direction * compareBatches(a, b) })
  }

  #logCursor(part: Part): LogHistory[] {
    const start = this.#shown.get(idOf(part.core)) ?? 0
    const end = part.tree.length
    const log = this.#union.log(part.core)
    if (log === null || start >= end) return []
    this.#shown.set(idOf(part.core), end)
    return [new LogHistory(log, part, this.#view, this.#refusals, start, this.#options)]
  }

  readonly #onchange = (): void => {
    this.#wake?.()
  }

  readonly #end = (): void => {
    this.#isClosed = true
    this.#union.events.off('change', this.#onchange)
    this.#union.events.off('close', this.#end)
    this.#wake?.()
  }
}

/** One log's batches from `start` to the length of its part, in either direction. */
class LogHistory implements Cursor<WrittenBatch> {
  readonly #log: LogReader
  readonly #part: Part
  readonly #view: View
  readonly #refusals: Refusals
  readonly #range: TreeRange
  readonly #read: ReadOptions
  readonly #limit: number
  /** Not read yet: from here up to there. */
  #start: number
  #end: number
  /** The blocks read last, of one batch, which may go on; in reading order. */
  #open: WrittenBlock[] = []
  /** The last batch given is ordered so: the next one does not come before it. */
  #order: Stamp | null = null

  constructor(
    log: LogReader,
    part: Part,
    view: View,
    refusals: Refusals,
    start: number,
    { range, read, limit }: HistoryOptions
  ) {
    this.#log = log
    this.#part = part
    this.#view = view
    this.#refusals = refusals
    this.#start = start
    this.#end = part.tree.length
    this.#range = range
    this.#read = read
    this.#limit = limit
  }

  async nextBatch(size: number): Promise<readonly WrittenBatch[]> {
    const batches: WrittenBatch[] = []
    while (batches.length === 0 && (this.#start < this.#end || this.#open.length > 0)) {
      for (const blocks of await this.#nextBlocks(size)) {
        const batch = await this.#batchOf(blocks)
        if (batch !== null) batches.push(batch)
      }
    }
    return batches
  }

  close(): void {
    this.#start = this.#end
    this.#open = []
  }

  /** The batches that some more blocks complete. */
  async #nextBlocks(size: number): Promise<readonly WrittenBlock[][]> {
    const complete: WrittenBlock[][] = []
    for (const block of await this.#readOn(size)) {
      if (block.refusal !== null) {
        this.#refusals.addTree(this.#log.id, block.refusal)
      }
      const isSame = this.#open[0]?.batch === block.batch
      if (this.#open.length > 0 && (!isSame || this.#open.length === MAX_BATCH_BLOCKS)) {
        complete.push(this.#open)
        this.#open = []
      }
      this.#open.push(block)
    }
    if (this.#start < this.#end && !this.#isAtBatchEnd()) return complete
    if (this.#open.length > 0) complete.push(this.#open)
    this.#open = []
    return complete
  }

  /** So many blocks as batches are asked for; of a batch that is open, as far as it goes. */
  async #readOn(size: number): Promise<readonly WrittenBlock[]> {
    const first = this.#open[0]
    const isReverse = this.#range.reverse === true
    const wanted =
      first !== undefined && isReverse ? this.#end - first.batch : Math.min(size, this.#limit)
    const count = Math.min(Math.max(wanted, 1), MAX_BLOCKS_AT_ONCE, this.#end - this.#start)
    const from = isReverse ? this.#end - count : this.#start
    const blocks = await this.#log.written(from, from + count, this.#read)
    if (this.#start === this.#end) return [] // closed meanwhile
    if (isReverse) this.#end = from
    else this.#start = from + count
    return isReverse ? [...blocks].reverse() : blocks
  }

  /** In reverse a batch ends with its first block; forward, only the next block tells. */
  #isAtBatchEnd(): boolean {
    const last = this.#open.at(-1)
    return last !== undefined && this.#range.reverse === true && last.batch === last.seq
  }

  async #batchOf(blocks: readonly WrittenBlock[]): Promise<WrittenBatch | null> {
    const linked = await this.#linkedKeys(blocks)
    const items = blocks.flatMap((block) => this.#itemsOf(block, linked))
    const [first, ...others] = items.map(({ said }) => said.entry.head.stamp)
    if (first === undefined) return null
    const direction = this.#range.reverse === true ? -1 : 1
    // An honest batch has one stamp.
    const order = others.reduce((a, b) => (compareStamps(a, b) >= 0 ? a : b), first)
    if (this.#order === null || direction * compareStamps(this.#order, order) < 0) {
      this.#order = order
    }
    items.sort((a, b) => direction * b4a.compare(a.key, b.key))
    const seq = blocks[0]?.seq ?? 0
    return { core: this.#part.core, seq, order: this.#order, items }
  }

  #itemsOf({ entries }: WrittenBlock, linked: ReadonlySet<string> | null): readonly Written[] {
    return entries.flatMap((entry) => {
      if (!isInRange(entry.key, this.#range)) return []
      if (linked?.has(placeOf(entry.seq, entry.offset)) === false) {
        this.#refusals.add(this.#log.id, 'unlinked-entry', entry.seq)
        return []
      }
      const said = this.#view.read(this.#part, entry)
      if (typeof said === 'string' || this.#isCarried(said)) return []
      const written = this.#view.lastWritten(entry.key, said)
      return written === null ? [] : [{ key: entry.key, said, written }]
    })
  }

  /** Where keys stand that the tree at the end of their batch leads to; null where that is not asked, or cannot be. */
  async #linkedKeys(blocks: readonly WrittenBlock[]): Promise<ReadonlySet<string> | null> {
    const isShown = blocks.some(({ entries }) =>
      entries.some(({ key }) => isInRange(key, this.#range))
    )
    if (this.#part.isOwn || !isShown) return null
    const start = blocks.reduce((least, { seq }) => Math.min(least, seq), Infinity)
    const end = blocks[0]?.end ?? 0
    if (end > this.#part.tree.length) return NONE
    try {
      return await this.#log.linkedKeys(start, end, this.#log.isSparse ? this.#read : HERE)
    } catch (error) {
      if (error instanceof TreeRefusal) return NONE
      const isGone = !this.#log.isSparse && isManyhandsError(error, 'BLOCK_UNAVAILABLE')
      if (isGone || isManyhandsError(error, 'VERSION_UNAVAILABLE')) return null
      throw error
    }
  }

  /** Written earlier, and only carried on since: told where it was written, unless that is gone. */
  #isCarried({ entry, seq }: Said): boolean {
    const { position } = entry.head
    return position.seq !== seq && !this.#log.isCleared(position.seq)
  }
}

function compareBatches(a: WrittenBatch, b: WrittenBatch): number {
  return compareStamps(a.order, b.order) || b4a.compare(a.core, b.core) || a.seq - b.seq
}

function idOf(core: Uint8Array): string {
  return b4a.toString(core, 'hex')
}

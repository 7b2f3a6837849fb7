/**
 * Blocks that a writer has cleared from its own log, and says so in it.
 *
 * A full reader reads up to the first block that is not here, so a block cleared without a word would hide everything behind it
 * from every newcomer, for ever. So the writer puts the ranges that it clears under a key of its own (multiwriter/cleared.ts),
 * signed like everything else, and readers take these blocks as not needed. Three laws:
 *
 * 1. The declaring batch, and every later one, stands on none of the blocks it declares. Readers check it before they clear
 *    their own copies; where a later tree leads there all the same, that log is refused from there on, and no other is touched.
 * 2. A declaration counts from the end of its batch on (`since`). To whoever reads less of the log (a seal, an older version, a
 *    newcomer on the way) nothing was declared: the log is then read as far as it is here. Who has cleared by an earlier declaration
 *    reads on by that one until the newer batch is all here.
 * 3. Ranges begin at even blocks: the stack's `clear` at an odd one drops the hash of the block before it, and a reader who stands
 *    there can be brought no further.
 *
 * Learned at opening, at a peer's hint, and where blocks are missing; then looked up at the greatest signed length, fetching only
 * the way down to one key.
 */
import Hypercore from 'hypercore'
import SessionConfig from 'hyperbee2/lib/session-config.js'
import { isManyhandsError } from '../../errors.ts'
import { batchesOf, type BatchBounds } from './batches.ts'
import { TreeContext } from './context.ts'
import { clearBlocks } from './clear-blocks.ts'
import { reachableBlocks } from './reach.ts'
import { isWaitingForKey, TreeRefusal } from './refusal.ts'
import { TreeSnapshot, type ReadOptions } from './snapshot.ts'
import { isRanges, type BlockRange } from './ranges.ts'

/** As many blocks may be on their way at once, in no order, each a batch. */
const MAX_BATCHES = 512

/** What a log's newest declaration says. */
export interface Cleared {
  readonly ranges: readonly BlockRange[]
  /** The length from which on it counts. */
  readonly since: number
}

/** Where and how declarations are written, and what to do about them. */
export interface ClearingHooks {
  readonly key: Uint8Array
  /** Null for what is none. */
  decode(value: Uint8Array, core: Uint8Array): readonly BlockRange[] | null
  /** The declaration in this block is malformed, or not true. */
  refuse(core: Uint8Array, seq: number): void
  /** All of the ranges is gone from this device. */
  oncleared(core: Uint8Array, since: number): void
  /** Our own log: called before anything is cleared, to take note that it will be missing on purpose. */
  beforeClear?(ranges: readonly BlockRange[]): Promise<void>
}

export interface ClearedLogOptions {
  readonly hooks: ClearingHooks
  readonly isSparse: boolean
  /** We write it: whoever declares something says so here as well. */
  readonly isOwn: boolean
  /** The contexts that read this log. */
  contexts(): readonly TreeContext[]
  /** The ranges have changed. */
  onchange(): void
}

/** What one log declares as cleared: learns it, and clears our copies. */
export class ClearedLog {
  readonly #options: ClearedLogOptions
  #core: Hypercore
  #cleared: Cleared | null = null
  /** A newer one, until what it does not declare is here. */
  #coming: Cleared | null = null
  #attempt: Attempt | null = null
  #isHinted = false
  /** Up to this `since` declarations proved untrue. */
  #refusedSince = 0
  /** Up to this `since` our copies are gone. */
  #doneSince = 0
  #clearing: Promise<void> | null = null
  #isClosed = false

  constructor(core: Hypercore, options: ClearedLogOptions) {
    this.#core = core
    this.#options = options
  }

  get cleared(): Cleared | null {
    return this.#cleared
  }

  /** Up to which declaration our copies are gone; 0 for none. */
  get doneSince(): number {
    return this.#doneSince
  }

  /** How far the log is here, blocks that are cleared apart, for a reader up to `limit`. */
  lengthHere(limit: number): number {
    const { contiguousLength } = this.#core
    const cleared = this.#cleared
    if (cleared === null || limit < cleared.since) return contiguousLength
    const length = this.firstMissing()
    return length < cleared.since ? contiguousLength : length
  }

  /** The first block that is neither here nor cleared. */
  firstMissing(ranges = this.#cleared?.ranges ?? []): number {
    const { length, contiguousLength, core } = this.#core
    let at = contiguousLength
    for (const { start, end } of ranges) {
      if (at < start) break
      if (at < end) at = core.bitfield.findFirst(false, end)
    }
    return at === -1 ? length : Math.min(at, length)
  }

  /** Learns what this device can know of the declarations by itself; what is missing is asked for meanwhile. */
  async ready(): Promise<void> {
    await this.learn(true, { wait: false })
    if (!this.#options.isSparse) await this.#learnBelow()
    this.grown()
  }

  /**
   * The log may have grown by more than has come of it, and its newest tree not be here, or not all of it. But what was cleared
   * here, was when the tree that says so was here, so the newest of those that are says it.
   */
  async #learnBelow(): Promise<void> {
    const { core, length } = this.#core
    let newest = this.#cleared
    let end = length
    for (let step = 0; !this.#isRead && step < MAX_BATCHES; step++) {
      const seq = end === 0 ? -1 : core.bitfield.findLast(true, end - 1)
      if (seq === -1 || this.#isClosed) break
      const batch = await this.#batchOf(seq)
      const found = await this.#foundAt(batch.end)
      if (found === null) break // before anything was cleared
      if (found !== 'unread' && this.#isWhole(found)) {
        this.#coming = newest
        return this.#set(found)
      }
      if (found !== 'unread') newest ??= found
      end = batch.start
    }
    if (newest !== null && this.#cleared === null) this.#set(newest)
  }

  /** The log is read by what is known to be cleared. */
  get #isRead(): boolean {
    return this.firstMissing() >= (this.#cleared?.since ?? this.#core.length)
  }

  /** Whether a declaring tree is here, with all before it that it does not declare. */
  #isWhole({ ranges, since }: Cleared): boolean {
    return this.firstMissing(ranges) >= since
  }

  /** Of a block that is here; of one that cannot be read, itself. */
  async #batchOf(seq: number): Promise<BatchBounds> {
    const context = new TreeContext(this.#core, { isLazy: true })
    const [batch] = await batchesOf(context, [seq], { wait: false }).catch(() => [])
    return batch ?? { start: seq, end: seq + 1 }
  }

  /** What the tree of this length declares, if it is here to be asked, and to be believed. */
  async #foundAt(length: number): Promise<Cleared | 'unread' | null> {
    const attempt = new Attempt(this.#core, this.#options, () => true, { wait: false }, length)
    this.#attempt = attempt
    const found = await attempt.run().catch(() => 'unread' as const)
    if (this.#attempt !== attempt || found === 'malformed') return 'unread'
    return found !== null && found !== 'unread' && found.since <= this.#refusedSince
      ? 'unread'
      : found
  }

  /** A peer says that this log declares something. */
  hint(since: number): void {
    const known = this.#coming ?? this.#cleared
    if (since <= (known?.since ?? 0) || since <= this.#refusedSince) return
    this.#isHinted = true
    void this.learn(true)
  }

  /** To be called when the log has grown. */
  grown(): void {
    if (this.#options.isOwn) return
    const isKnown = this.#isHinted || this.#cleared !== null
    // A sparse reader always misses blocks.
    const isShort = !this.#options.isSparse && this.firstMissing() < this.#core.length
    if (isKnown || isShort) void this.learn(isKnown)
  }

  /** Looks at the newest declaration, and clears what it names. Never rejects. @param always even when no block is missing */
  async learn(always: boolean, options: ReadOptions = {}): Promise<void> {
    this.#attempt?.cancel()
    if (this.#isClosed || this.#core.length === 0) return
    const isWanted = () => always || this.firstMissing() < this.#core.length
    const attempt = new Attempt(this.#core, this.#options, isWanted, options)
    this.#attempt = attempt
    try {
      const found = await attempt.run()
      if (this.#attempt !== attempt) return
      if (found === 'malformed') this.#options.hooks.refuse(this.#core.key, attempt.length - 1)
      else if (found !== null) this.#adopt(found)
      await this.clear()
    } catch {
      // Closed, cancelled, not to be had now, or a bad tree, which its readers say: what is not learned is not left out.
    }
  }

  /**
   * Clears our copies of what is declared, as soon as the declaring tree is here and known to stand without them. Never rejects:
   * what fails now is done at the next opening.
   */
  async clear(): Promise<void> {
    if (this.#coming !== null) this.#adopt(this.#coming)
    const cleared = this.#cleared
    if (cleared === null || this.#doneSince >= cleared.since || this.#isClosed) return
    this.#clearing ??= this.#clear(cleared)
      .catch(() => {})
      .finally(() => (this.#clearing = null))
    await this.#clearing
  }

  /** The log goes on in another session. */
  readFrom(core: Hypercore): void {
    this.#core = core
  }

  /** Waits for a clearing under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#attempt?.cancel()
    await this.#clearing
  }

  #adopt(cleared: Cleared): void {
    if (cleared.since <= (this.#cleared?.since ?? 0) || cleared.since <= this.#refusedSince) return
    // By a newer one that is not all here yet, nothing could be read of what is.
    const waits = !this.#options.isSparse && this.#cleared !== null && this.#isRead
    if (waits && !this.#isWhole(cleared)) this.#coming = cleared
    else this.#set(cleared)
  }

  #set(cleared: Cleared | null): void {
    this.#cleared = cleared
    if ((this.#coming?.since ?? 0) <= (cleared?.since ?? Infinity)) this.#coming = null
    for (const context of this.#options.contexts()) context.setCleared(cleared)
    this.#options.onchange()
  }

  async #clear(cleared: Cleared): Promise<void> {
    const { hooks, isSparse } = this.#options
    if (!isSparse) {
      if (this.firstMissing() < cleared.since) return
      if (await this.#isNeeded(cleared)) return this.#distrust(cleared)
    }
    const runs = heldRuns(this.#core, cleared.ranges)
    if (runs.length > 0) await hooks.beforeClear?.(cleared.ranges)
    for (const { start, end } of runs) await clearBlocks(this.#core, start, end)
    this.#doneSince = cleared.since
    hooks.oncleared(this.#core.key, cleared.since)
  }

  /** Whether the declaring tree stands on what it declares (law 1). */
  async #isNeeded({ ranges, since }: Cleared): Promise<boolean> {
    try {
      const needed = await reachableBlocks(this.#core, since, { wait: false })
      return ranges.some(({ start, end }) => {
        for (let seq = start; seq < end; seq++) if (needed.has(seq)) return true
        return false
      })
    } catch (error) {
      if (isWaitingForKey(error)) throw error // nothing is known yet
      // Everything else below `since` is here: what it lacks is what it declares.
      if (error instanceof TreeRefusal || isManyhandsError(error, 'BLOCK_UNAVAILABLE')) return true
      throw error
    }
  }

  #distrust({ since }: Cleared): void {
    this.#refusedSince = since
    this.#options.hooks.refuse(this.#core.key, since - 1)
    this.#set(null)
  }
}

/** One look at the newest declaration. */
class Attempt {
  readonly length: number
  readonly #core: Hypercore
  readonly #options: ClearedLogOptions
  readonly #isWanted: () => boolean
  readonly #read: ReadOptions
  readonly #config: SessionConfig
  #release: () => void = () => {}

  constructor(
    core: Hypercore,
    options: ClearedLogOptions,
    isWanted: () => boolean,
    read: ReadOptions,
    length = core.length
  ) {
    this.#core = core
    this.length = length
    this.#options = options
    this.#isWanted = isWanted
    this.#read = read
    this.#config = new SessionConfig([], 0, read.wait ?? true, null)
  }

  cancel(): void {
    Hypercore.destroyRequests(this.#config.activeRequests, null)
    this.#release()
  }

  async run(): Promise<Cleared | 'malformed' | null> {
    const { hooks } = this.#options
    const { key } = hooks
    const context = new TreeContext(this.#core, { isLazy: true })
    // Through the reader's context: this block is what it reads next, and is decoded once.
    const [reader = context] = this.#options.contexts()
    const root = await reader.getBlock(this.length - 1, 0, this.#config)
    // What was missing may just have come: then nothing is asked for.
    if (root.batch.end !== 0 || !this.#isWanted()) return null
    const cursor = new TreeSnapshot(context, this.length).cursor({ gte: key, lte: key }, this.#read)
    this.#release = () => cursor.close()
    const [entry] = await cursor.nextBatch(1)
    if (entry === undefined) return null
    const { batch } = await context.getBlock(entry.seq, 0, this.#config)
    const ranges = hooks.decode(entry.value, this.#core.key)
    if (ranges === null || !isRanges(ranges, entry.seq - batch.start)) return 'malformed'
    return { ranges, since: entry.seq + batch.end + 1 }
  }
}

/** The parts of the ranges that are on this device. */
function heldRuns({ core }: Hypercore, ranges: readonly BlockRange[]): readonly BlockRange[] {
  const { bitfield } = core
  return ranges.flatMap(({ start, end }) => {
    const runs: BlockRange[] = []
    for (let at = bitfield.findFirst(true, start); at !== -1 && at < end;) {
      const missing = bitfield.findFirst(false, at)
      const stop = missing === -1 ? end : Math.min(missing, end)
      runs.push({ start: at, end: stop })
      at = bitfield.findFirst(true, stop)
    }
    return runs
  })
}

/**
 * Which logs say something at which keys, kept in memory where a read would otherwise ask many logs in vain: those of many
 * writers, and those of one device that went on under new ones (docs/decisions/014-which-logs-speak.md). It says only who is to
 * be asked. What they say is read from their trees as ever, so nothing about it can be wrong, and nothing is stored.
 *
 * It is learnt from the trees themselves, all of them merged once, and holds for each log at the length that it had then. A log
 * that has moved since, either way, is stale: it is asked at every key. What learning costs is paid by the reads that it would
 * have spared: no key is learnt before a log was asked in vain. So a space that is read little learns nothing, and where logs move
 * before it has paid, it is done ever more rarely. Who reads a range to its end has merged it: then that is learnt for nothing (`Hearing`),
 * if it is more than what is known.
 *
 * Only keys of the database, and only from what is on this device: a log of which something is missing stays stale. A table that
 * would grow beyond `maxBytes` is given up for good.
 */
import b4a from 'b4a'
import type { TreeEntry, TreeRange, TreeSnapshot } from '../core/index.ts'
import { FIRST_BATCH, LARGEST_BATCH, type Cursor } from './cursor.ts'
import { Keyspace, SECTION_DB } from './keyspace.ts'
import { mergeSorted, type Group } from './merge.ts'
import type { Part } from './part.ts'
import { SpeakerTableBuilder, type SpeakerTable, type Speakers } from './speaker-table.ts'

export interface SpeakerLimits {
  /** With fewer stale logs than that there is little to win: nothing is learnt. */
  readonly fewLogs: number
  /** Logs asked in vain per key that is learnt. */
  readonly askedPerKey: number
  /** Of memory. A table that would take more is given up, for good. */
  readonly maxBytes: number
}

const USUAL_LIMITS: SpeakerLimits = {
  fewLogs: 4,
  // A lookup costs about what a key of a merge does: so learning costs no more than what was lost before it.
  askedPerKey: 1,
  // A million keys of 20 bytes.
  maxBytes: 32 * 1024 * 1024
}

/** Then learning costs no more than a sixteenth of what is lost. */
const MAX_DEARNESS = 16

/** A key that is merged from many logs costs a few comparisons more than one of a single log. */
const MERGED_PER_ASKED = 4

/** A range of which all bounds are known. */
type Bounds = Required<Pick<TreeRange, 'gte' | 'lt'>>

const DATABASE = boundsOf(new Keyspace().whole) ?? { gte: new Uint8Array(0), lt: new Uint8Array(0) }

export class KnownSpeakers {
  readonly #limits: SpeakerLimits
  #learnt: Learnt | null = null
  #learning: Learning | null = null
  /** Keys that may be learnt now, as reads have paid for them. */
  #paid = 0
  /** By how much learning is dearer than usual. */
  #dearness = 1
  /** Questions that the table has spared. */
  #spared = 0
  #isGivenUp = false

  constructor(limits: SpeakerLimits = USUAL_LIMITS) {
    this.#limits = limits
  }

  /** Keys of which it is known who says something there. */
  get keys(): number {
    return this.#learnt?.table.size ?? 0
  }

  /** Who is to be asked in a view of these parts. */
  among(parts: readonly Part[]): Among {
    const learnt = this.#learnt
    return new Among(parts, learnt, {
      isOutdated: () => this.#learnt !== learnt,
      spare: (asked) => (this.#spared += asked),
      pay: (stale, asked) => {
        if (stale >= this.#limits.fewLogs) this.#pay(parts, asked)
      },
      hear: (stale, range) =>
        stale < this.#limits.fewLogs || this.#isGivenUp ? null : this.#hear(parts, range)
    })
  }

  #hear(parts: readonly Part[], range: TreeRange): Hearing | null {
    const bounds = isInDatabase(range) && range.reverse !== true ? boundsOf(range) : null
    if (bounds === null) return null
    return new Hearing(parts, bounds, this.#limits.maxBytes, (heard) => {
      if (!this.#isGivenUp && heard.table.size > this.#stillKnown(parts)) this.#learnt = heard
    })
  }

  /** Keys of which most of what is known holds still. */
  #stillKnown(parts: readonly Part[]): number {
    const stale = new Among(parts, this.#learnt, NO_HOOKS).stale.length
    return stale < this.#limits.fewLogs ? this.keys : 0
  }

  /** Nothing is learnt any more. */
  close(): void {
    this.#isGivenUp = true
    this.#learning?.close()
    this.#learning = null
  }

  #pay(parts: readonly Part[], asked: number): void {
    if (this.#isGivenUp) return
    this.#paid += asked / (this.#limits.askedPerKey * this.#dearness)
    if (this.#paid < FIRST_BATCH) return
    const learning = (this.#learning ??= new Learning(parts, () => this.#look()))
    const left = learning.advance(this.#paid)
    // What is left when it has ended buys nothing of the next one.
    this.#paid = this.#learning === learning ? left : 0
  }

  #look(): void {
    const learning = this.#learning
    if (learning === null) return
    if (learning.byteLength > this.#limits.maxBytes) {
      this.#learnt = null
      this.close()
    } else if (learning.learnt !== null) {
      this.#appraise()
      this.#learnt = learning.learnt
      this.#learning = null
      this.#paid = 0
    }
  }

  /** Where logs move before what was learnt of them has paid, less and less is learnt. */
  #appraise(): void {
    const hasPaid = this.#spared >= this.keys
    this.#dearness = hasPaid ? 1 : Math.min(2 * this.#dearness, MAX_DEARNESS)
    this.#spared = 0
  }
}

/** What was learnt, and of which trees: by writer, with their numbers in the table. */
interface Learnt {
  /** All keys that there are in it. */
  readonly range: Bounds
  readonly table: SpeakerTable
  readonly trees: ReadonlyMap<string, { readonly number: number; readonly tree: TreeSnapshot }>
}

/** The merge of all keys of some parts, as far as it was paid for. */
class Learning {
  learnt: Learnt | null = null
  readonly #parts: readonly Part[]
  readonly #onstep: () => void
  readonly #builder = new SpeakerTableBuilder()
  readonly #unreadable = new Set<number>()
  readonly #groups: Cursor<Group<TreeEntry>>
  /** For blocks from the disk. */
  #isWaiting = false

  constructor(parts: readonly Part[], onstep: () => void) {
    this.#parts = [...parts]
    this.#onstep = onstep
    const cursors = parts.map(({ tree }, i) => readable(tree, () => this.#unreadable.add(i)))
    this.#groups = mergeSorted<TreeEntry>(cursors, { compare: (a, b) => b4a.compare(a.key, b.key) })
  }

  /** Bytes of memory. */
  get byteLength(): number {
    return this.#builder.byteLength
  }

  /** Goes on by so many keys. @returns how many are left over */
  advance(keys: number): number {
    let left = keys
    while (left >= 1 && !this.#isWaiting && this.learnt === null) {
      const batch = this.#groups.nextBatch(Math.min(LARGEST_BATCH, Math.floor(left)))
      if (batch instanceof Promise) this.#await(batch)
      else {
        left -= batch.length
        this.#take(batch)
      }
    }
    return left
  }

  close(): void {
    void this.#groups.close()
  }

  /** What comes was paid for by nobody yet: at most one batch. */
  #await(batch: Promise<readonly Group<TreeEntry>[]>): void {
    this.#isWaiting = true
    const go = (groups: readonly Group<TreeEntry>[]) => {
      this.#isWaiting = false
      this.#take(groups)
    }
    // Of trees that are walked with checks none is out of order: nothing else is refused here.
    void batch.then(go, () => {})
  }

  #take(groups: readonly Group<TreeEntry>[]): void {
    for (const { items, sources } of groups) {
      const [first] = items
      if (first !== undefined) this.#builder.add(first.key, sources)
    }
    if (groups.length === 0) this.learnt = this.#finish()
    this.#onstep()
  }

  #finish(): Learnt {
    const trees = this.#parts.flatMap(({ writer, tree }, number) =>
      this.#unreadable.has(number) ? [] : [[writer, { number, tree }] as const]
    )
    return { range: DATABASE, table: this.#builder.table(), trees: new Map(trees) }
  }
}

/** What somebody else merges of a range, from its first key on: learnt once it has come to the end. */
export class Hearing {
  /** Keys that were merged, and have taught nothing yet. */
  merged = 0
  readonly #parts: readonly Part[]
  readonly #range: Bounds
  readonly #maxBytes: number
  readonly #onend: (heard: Learnt) => void
  #builder: SpeakerTableBuilder | null = new SpeakerTableBuilder()

  constructor(
    parts: readonly Part[],
    range: Bounds,
    maxBytes: number,
    onend: (heard: Learnt) => void
  ) {
    this.#parts = [...parts]
    this.#range = range
    this.#maxBytes = maxBytes
    this.#onend = onend
  }

  /** @param groups the next ones; none at the end */
  hear(groups: readonly Group<TreeEntry>[]): void {
    this.merged += groups.length
    const builder = this.#builder
    if (builder === null) return
    for (const { items, sources } of groups) builder.add(items[0]?.key ?? NO_KEY, sources)
    if (builder.byteLength > this.#maxBytes) this.#builder = null
    if (groups.length > 0) return
    this.#builder = null
    this.merged = 0
    const trees = this.#parts.map(({ writer, tree }, number) => [writer, { number, tree }] as const)
    this.#onend({ range: this.#range, table: builder.table(), trees: new Map(trees) })
  }
}

function boundsOf({ gte, lt }: TreeRange): Bounds | null {
  return gte === undefined || lt === undefined ? null : { gte, lt }
}

/** The keys of a tree. It ends where the tree cannot be read, and says so: whoever reads it there is told why. */
function readable(tree: TreeSnapshot, onfailure: () => void): Cursor<TreeEntry> {
  const cursor = tree.cursor(DATABASE, { wait: false })
  const fail = () => {
    onfailure()
    return []
  }
  return {
    nextBatch(size) {
      try {
        const batch = cursor.nextBatch(size)
        return batch instanceof Promise ? batch.catch(fail) : batch
      } catch {
        return fail()
      }
    },
    close: () => cursor.close()
  }
}

interface AmongHooks {
  /** Whether more is known by now, or nothing any more. */
  isOutdated(): boolean
  /** So many logs were not asked. */
  spare(asked: number): void
  /** Of so many stale logs it was asked so often to no use, about. */
  pay(stale: number, asked: number): void
  /** So many stale logs are to be merged. */
  hear(stale: number, range: TreeRange): Hearing | null
}

const NO_HOOKS: AmongHooks = {
  isOutdated: () => false,
  spare: () => {},
  pay: () => {},
  hear: () => null
}

/** Who is to be asked among the parts of one view, at their lengths. */
export class Among {
  /** Parts that are to be asked everywhere: nothing is known of them as they are now. */
  readonly stale: readonly number[]
  readonly #learnt: Learnt | null
  readonly #hooks: AmongHooks
  /** How many parts say anything at all. */
  readonly #count: number
  /** How many parts are not stale. */
  readonly #known: number
  /** Parts by their numbers in the table; of stale ones nothing. */
  readonly #places: readonly (number | undefined)[]
  /** By number, for keys with that one speaker: its part, and that among all that are to be asked. Made once: most keys have one. */
  readonly #alone: (readonly number[] | undefined)[] = []
  readonly #asked: (readonly number[] | undefined)[] = []

  constructor(parts: readonly Part[], learnt: Learnt | null, hooks: AmongHooks) {
    this.#learnt = learnt
    this.#hooks = hooks
    const places: (number | undefined)[] = []
    const stale: number[] = []
    parts.forEach(({ writer, tree }, i) => {
      const known = learnt?.trees.get(writer)
      if (known !== undefined && isSame(known.tree, tree)) places[known.number] = i
      else if (tree.length > 0) stale.push(i)
    })
    this.#places = places
    this.#count = parts.filter(({ tree }) => tree.length > 0).length
    this.#known = parts.length - stale.length
    this.stale = stale
  }

  isOutdated(): boolean {
    return this.#hooks.isOutdated()
  }

  /** Parts among which all are that say something at a key; they rise. Null: all parts. */
  at(key: Uint8Array): readonly number[] | null {
    if (this.#learnt === null || !isBetween(key, this.#learnt.range)) {
      this.#hooks.pay(this.#count, this.#count)
      return null
    }
    this.#hooks.pay(this.stale.length, this.stale.length)
    const speakers = this.#learnt.table.at(key)
    this.#hooks.spare(this.#known)
    const [only] = speakers
    if (only === undefined) return this.stale
    if (speakers.length > 1) return this.#withStale(speakers)
    return (this.#asked[only] ??= this.#withStale(speakers))
  }

  /** What is known of a range: keys, and the parts that say something there. Null where nothing is. */
  keysIn(range: TreeRange): KnownKeys | null {
    if (this.#learnt === null || !isWithinBounds(range, this.#learnt.range)) return null
    const { table } = this.#learnt
    const { start, end } = boundsIn(table, range)
    return { table, start, end, placed: (speakers) => this.#placed(speakers) }
  }

  /** So many keys were merged from all logs. */
  merged(keys: number): void {
    this.#hooks.pay(this.#count, keys / MERGED_PER_ASKED)
  }

  /** All logs are to be merged in a range. Null where nothing of that is to be learnt. */
  hear(range: TreeRange): Hearing | null {
    return this.#hooks.hear(this.#count, range)
  }

  #withStale(speakers: Speakers): readonly number[] {
    return [...this.#placed(speakers), ...this.stale].sort((a, b) => a - b)
  }

  #placed(speakers: Speakers): readonly number[] {
    const [only] = speakers
    if (only === undefined || speakers.length > 1) return this.#placesOf(speakers)
    return (this.#alone[only] ??= this.#placesOf(speakers))
  }

  #placesOf(speakers: Speakers): readonly number[] {
    return speakers.flatMap((number) => this.#places[number] ?? [])
  }
}

/** A stretch of the table, from `start` up to, not including, `end`. */
export interface KnownKeys {
  readonly table: SpeakerTable
  readonly start: number
  readonly end: number
  /** Parts of the view by their numbers in the table, but for those that are stale. */
  placed(speakers: Speakers): readonly number[]
}

/** Whether two readings of one log have the same keys. */
function isSame(a: TreeSnapshot, b: TreeSnapshot): boolean {
  return a.length === b.length && a.length <= a.sharedWith(b)
}

function isBetween(key: Uint8Array, { gte, lt }: Bounds): boolean {
  return b4a.compare(key, gte) >= 0 && b4a.compare(key, lt) < 0
}

function isWithinBounds({ gte, gt, lte, lt }: TreeRange, bounds: Bounds): boolean {
  const [low, high] = [gt ?? gte, lt ?? lte]
  if (low === undefined || high === undefined || b4a.compare(low, bounds.gte) < 0) return false
  const order = b4a.compare(high, bounds.lt)
  return order < 0 || (order === 0 && lt !== undefined)
}

function isInDatabase({ gte, gt, lte, lt }: TreeRange): boolean {
  const [low, high] = [gt ?? gte, lt ?? lte]
  if (low?.[0] !== SECTION_DB || high === undefined) return false
  // The whole of it ends before the first key of the next section.
  const isEnd = lt !== undefined && lt.byteLength === 1 && lt[0] === SECTION_DB + 1
  return isEnd || high[0] === SECTION_DB
}

function boundsIn(table: SpeakerTable, { gte, gt, lte, lt }: TreeRange) {
  const start = gt === undefined ? table.indexOf(gte ?? NO_KEY) : table.indexBehind(gt)
  const end = lt === undefined ? table.indexBehind(lte ?? NO_KEY) : table.indexOf(lt)
  return { start, end: Math.max(start, end) }
}

/** Below every key. */
const NO_KEY = new Uint8Array(0)

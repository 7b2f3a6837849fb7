/**
 * The union of all logs at one moment: each core at one length, merged by key, folded per key. Streaming: straight from the
 * trees, so it needs no local copy, and costs one lookup per core, or, once it is known which cores say something (speakers.ts), per
 * core that does. Immutable, but for one case: where a tree proves to be bad,
 * that core is read on at the batch before.
 *
 * The slow twin is test/oracle/view.ts: every entry of every core, folded from scratch.
 */
import b4a from 'b4a'
import { isManyhandsError } from '../errors.ts'
import {
  foldEntries,
  isSameCore,
  isWrittenInPlace,
  lastWritten,
  seenWhole,
  unpackEntry,
  type FoldedEntry,
  type FoldOptions,
  type PlacedEntry,
  type Position,
  type WrittenValue
} from '../crdt/index.ts'
import type { ReadOptions, TreeEntry, TreeRange } from '../core/index.ts'
import { mapCursor, type Cursor } from './cursor.ts'
import { mergeSorted, type Group } from './merge.ts'
import { cutPart, PartCursor, restOf, type Part } from './part.ts'
import { isWithin } from './prefixes.ts'
import { foldRefusal, type RefusalReason, type Refusals } from './refusals.ts'
import { SpeakerCursor } from './speaker-cursor.ts'
import type { Among, Hearing, KnownKeys } from './speakers.ts'
import type { IndexDefinition, IndexRow } from './stored-indexes.ts'
import { FallbackCursor, mergeGroups, type RowGroup, type Rows } from './view-rows.ts'

/** What one core says at one key. */
export interface Said extends PlacedEntry {
  readonly writer: string
  readonly isOwn: boolean
  /** The block the entry stands in. */
  readonly seq: number
}

/** What all cores say at one key. */
export interface SaidByAll {
  readonly key: Uint8Array
  readonly entries: readonly Said[]
  /** Writers whose entry is of a format that only a newer version can read. */
  readonly unsupported: readonly string[]
  readonly isOwnUnsupported: boolean
  /** Entries that no version can read. */
  readonly refused: readonly RefusedEntry[]
}

/** An entry, and the core it stands in. */
export interface CoreEntry {
  readonly part: Part
  readonly entry: TreeEntry
}

export interface RefusedEntry {
  readonly writer: string
  readonly isOwn: boolean
  readonly seq: number
  readonly reason: RefusalReason
}

/** What all cores' entries at one key come to. */
export interface FoldedKey extends FoldedEntry<Said> {
  readonly key: Uint8Array
  /** As in `SaidByAll`. */
  readonly unsupported: readonly string[]
}

export interface ViewHooks {
  readonly refusals: Refusals
  /** Called with each entry of another device that was read. */
  observe(said: Said): void
  /** How entries at a key are folded. */
  foldOptions(key: Uint8Array): FoldOptions
  /** What the local index can answer for these parts now; null when there is none. */
  rowsFor(parts: readonly Part[]): Rows | null
  /** Who is to be asked of these parts now; null where all are. */
  speakersFor(parts: readonly Part[]): Among | null
}

export class View {
  readonly #parts: Part[]
  readonly #hooks: ViewHooks
  /** All parts, by their indices. */
  readonly #every: readonly number[]
  #byCore: ReadonlyMap<string, number> | null = null
  #rows: Rows | null = null
  /** Undefined when it is to be asked for again. */
  #among: Among | null | undefined
  /** How often a part had to be read elsewhere. */
  #cuts = 0

  /** @param parts sorted by core key, so that every device merges in one order */
  constructor(parts: readonly Part[], hooks: ViewHooks) {
    this.#parts = [...parts]
    this.#every = parts.map((_, i) => i)
    this.#hooks = hooks
  }

  get parts(): readonly Part[] {
    return this.#parts
  }

  /** Whether the local index answers for all cores now. */
  get isIndexed(): boolean {
    return this.#rowsNow()?.stale.length === 0
  }

  /** False once a core was read on at a later length, because its writer has cleared what this view stood on. */
  get isFaithful(): boolean {
    return !this.#parts.some(({ isRenewed }) => isRenewed === true)
  }

  /** How many blocks of a core count in this view. */
  readonly admitted = (core: Uint8Array): number => {
    this.#byCore ??= new Map(this.#parts.map((part, i) => [b4a.toString(part.core, 'latin1'), i]))
    const i = this.#byCore.get(b4a.toString(core, 'latin1'))
    return i === undefined ? 0 : (this.#parts[i]?.tree.length ?? 0)
  }

  /** What every core says at `key`. Synchronous when all of it is in memory. @throws BLOCK_UNAVAILABLE */
  said(key: Uint8Array, options: ReadOptions = {}): SaidByAll | Promise<SaidByAll> {
    return this.#look(key, { options, cold: (i) => this.#getFrom(i, key, options) })
  }

  /**
   * As `said`, from this device alone: a core whose entry is not here says nothing. Never waits for the network.
   * @param isOverwritten for who writes one value over all of it: without what our own entry there has seen already
   */
  saidHere(key: Uint8Array, isOverwritten = false): SaidByAll | Promise<SaidByAll> {
    return this.#look(key, {
      options: HERE,
      cold: (i) => this.#getHere(i, key),
      isOverwritten
    })
  }

  /** The folded value at `key`. Synchronous when all of it is in memory. */
  get(key: Uint8Array, options: ReadOptions = {}): FoldedKey | Promise<FoldedKey> {
    const said = this.said(key, options)
    return said instanceof Promise ? said.then((all) => this.#fold(all)) : this.#fold(said)
  }

  /** Everything in a range, folded, in key order; keys whose winner is a tombstone included. */
  cursor(range: TreeRange, options: ReadOptions = {}): Cursor<FoldedKey> {
    const rows = this.#rowsNow()
    if (rows === null) return this.#streamed(range, options)
    const stale = rows.stale.map((i) => this.#groupsOf(i, range, options))
    const groups = mergeGroups([rows.cursor(range), ...stale], range)
    // Rows are read for us alone; what stands in a tree's blocks is in memory for others, too.
    const isOurs = stale.length === 0
    const folded = mapCursor(groups, (group) => this.#foldGroup(group.key, group, isOurs))
    return new FallbackCursor(folded, (last) =>
      this.#treeCursor(last === null ? range : restOf(range, last), options)
    )
  }

  /** What stands in a range, core by core at each key, not folded; from the trees. */
  entries(range: TreeRange, options: ReadOptions = {}): Cursor<readonly CoreEntry[]> {
    return mapCursor(this.#merged(range, options), ({ items, sources }) =>
      items.flatMap((entry, i) => {
        const part = this.#parts[sources[i] ?? 0]
        return part === undefined ? [] : [{ part, entry }]
      })
    )
  }

  /** Null when the local index does not answer for all cores now. @see Rows.indexed */
  indexed(definition: IndexDefinition, range: TreeRange): Promise<Cursor<IndexRow> | null> | null {
    return this.#rowsNow()?.indexed(definition, range) ?? null
  }

  /** From the trees: of logs whose keys are known only those that have some. */
  #streamed(range: TreeRange, options: ReadOptions): Cursor<FoldedKey> {
    const among = this.#speakers()
    const keys = among?.keysIn(range) ?? null
    if (among === null || keys === null) return this.#treeCursor(range, options)
    const stale = among.stale.map((i) => this.#groupsOf(i, range, options))
    const groups = mergeGroups([this.#knownGroups(keys, range, options), ...stale], range)
    const folded = mapCursor(groups, (group) => this.#foldGroup(group.key, group))
    return new FallbackCursor(folded, (last) =>
      this.#treeCursor(last === null ? range : restOf(range, last), options)
    )
  }

  #knownGroups(keys: KnownKeys, range: TreeRange, options: ReadOptions): Cursor<RowGroup> {
    const cuts = this.#cuts
    return new SpeakerCursor({
      keys,
      range,
      open: (part) => this.#cursorOf(part, range, options),
      isCurrent: () => this.#cuts === cuts
    })
  }

  #treeCursor(range: TreeRange, options: ReadOptions): Cursor<FoldedKey> {
    const among = this.#speakers()
    const hearing = among?.hear(range) ?? null
    const merged = this.#merged(range, options)
    const heard = among === null || hearing === null ? merged : this.#heard(merged, among, hearing)
    return mapCursor(heard, (group) => {
      if (hearing === null) among?.merged(1)
      return this.#foldGroup(group.items[0]?.key ?? NO_KEY, group)
    })
  }

  /** What is merged all the same tells who says what there, as long as all parts are read as they were. */
  #heard(
    merged: Cursor<Group<TreeEntry>>,
    among: Among,
    hearing: Hearing
  ): Cursor<Group<TreeEntry>> {
    const cuts = this.#cuts
    const hear = (groups: readonly Group<TreeEntry>[]) => {
      if (this.#cuts === cuts) hearing.hear(groups)
      return groups
    }
    return {
      nextBatch(size) {
        const batch = merged.nextBatch(size)
        return batch instanceof Promise ? batch.then(hear) : hear(batch)
      },
      close() {
        // Who leaves before the end has only asked many logs in vain.
        among.merged(hearing.merged)
        hearing.merged = 0
        return merged.close()
      }
    }
  }

  #merged(range: TreeRange, options: ReadOptions): Cursor<Group<TreeEntry>> {
    const cursors = this.#parts.map((_, i) => this.#cursorOf(i, range, options))
    const direction = range.reverse === true ? -1 : 1
    return mergeSorted<TreeEntry>(cursors, {
      compare: (a, b) => direction * b4a.compare(a.key, b.key)
    })
  }

  /** One core's entries, as groups of one. */
  #groupsOf(source: number, range: TreeRange, options: ReadOptions): Cursor<RowGroup> {
    const sources = [source]
    const cursor = this.#cursorOf(source, range, options)
    return mapCursor(cursor, (entry) => ({ key: entry.key, items: [entry], sources }))
  }

  #cursorOf(part: number, range: TreeRange, options: ReadOptions): PartCursor {
    return new PartCursor(this.#parts, part, range, options, () => this.#oncut())
  }

  /** A part is read elsewhere now: what is known of it does not hold there. */
  #oncut(): void {
    this.#cuts++
    this.#among = undefined
  }

  #speakers(): Among | null {
    if (this.#among === undefined || this.#among?.isOutdated() === true)
      this.#among = this.#hooks.speakersFor(this.#parts)
    return this.#among
  }

  #rowsNow(): Rows | null {
    if (this.#rows === null || !this.#rows.isCurrent())
      this.#rows = this.#hooks.rowsFor(this.#parts)
    return this.#rows
  }

  /** By the index where it stands for the cores, from the trees of the others. */
  #look(key: Uint8Array, look: Look): SaidByAll | Promise<SaidByAll> {
    const rows = this.#rowsNow()
    if (rows === null) {
      const asked = this.#speakers()?.at(key) ?? this.#every
      return this.#lookInTrees(key, null, asked, look)
    }
    const { stale } = rows
    const group = rows.get(key)
    return group instanceof Promise
      ? group.then((each) => this.#complete(key, each, stale, look))
      : this.#complete(key, group, stale, look)
  }

  #complete(
    key: Uint8Array,
    group: Group<TreeEntry> | null,
    stale: readonly number[],
    look: Look
  ): SaidByAll | Promise<SaidByAll> {
    if (group === null) return this.#lookInTrees(key, null, this.#every, look)
    if (stale.length > 0) return this.#lookInTrees(key, group, stale, look)
    return this.#place(key, group.items, group.sources, look.isOverwritten)
  }

  /** @param known what is known of the other parts */
  #lookInTrees(
    key: Uint8Array,
    known: Group<TreeEntry> | null,
    parts: readonly number[],
    look: Look
  ): SaidByAll | Promise<SaidByAll> {
    const found: (TreeEntry | null)[] = []
    for (const i of parts) {
      const entry = this.#parts[i]?.tree.get(key, look.options) ?? null
      if (entry instanceof Promise) {
        entry.catch(() => {}) // the same lookup follows, and shows its failure
        return this.#lookInColdTrees(key, known, parts, look)
      }
      found.push(entry)
    }
    return this.#placeAll(key, known, found, parts, look)
  }

  async #lookInColdTrees(
    key: Uint8Array,
    known: Group<TreeEntry> | null,
    parts: readonly number[],
    look: Look
  ): Promise<SaidByAll> {
    const found = await Promise.all(parts.map((i) => look.cold(i)))
    return this.#placeAll(key, known, found, parts, look)
  }

  /** In the order of the parts. */
  #placeAll(
    key: Uint8Array,
    known: Group<TreeEntry> | null,
    found: readonly (TreeEntry | null)[],
    parts: readonly number[],
    { isOverwritten }: Look
  ): SaidByAll {
    if (known === null) return this.#place(key, found, parts, isOverwritten)
    const all: (TreeEntry | null)[] = this.#every.map(() => null)
    known.items.forEach((item, i) => (all[known.sources[i] ?? 0] = item))
    parts.forEach((i, at) => (all[i] = found[at] ?? null))
    return this.#place(key, all, this.#every, isOverwritten)
  }

  async #getFrom(index: number, key: Uint8Array, options: ReadOptions): Promise<TreeEntry | null> {
    for (;;) {
      try {
        return (await this.#parts[index]?.tree.get(key, options)) ?? null
      } catch (error) {
        await cutPart(this.#parts, index, error)
        this.#oncut()
      }
    }
  }

  async #getHere(index: number, key: Uint8Array): Promise<TreeEntry | null> {
    try {
      return await this.#getFrom(index, key, HERE)
    } catch (error) {
      if (isManyhandsError(error, 'BLOCK_UNAVAILABLE')) return null
      throw error
    }
  }

  /** @param isOurs whether nobody else holds the bytes of these entries */
  #foldGroup(key: Uint8Array, { items, sources }: Group<TreeEntry>, isOurs = false): FoldedKey {
    return (
      (items.length === 1 ? this.#foldOnly(key, items[0], sources[0], isOurs) : null) ??
      this.#fold(this.#place(key, items, sources))
    )
  }

  /** The usual case: one core says something, and it can be read. Null otherwise. */
  #foldOnly(
    key: Uint8Array,
    entry: TreeEntry | undefined,
    source = 0,
    isOurs = false
  ): FoldedKey | null {
    const part = this.#parts[source]
    if (entry === undefined || part === undefined) return null
    const said = this.read(part, entry)
    return typeof said === 'string' ? null : this.foldSaid(key, [said], NOBODY, isOurs)
  }

  /** @param sources the part that each entry is from */
  #place(
    key: Uint8Array,
    entries: readonly (TreeEntry | null)[],
    sources: readonly number[],
    isOverwritten = false
  ): SaidByAll {
    const seen = isOverwritten ? this.#seenByOwn(entries, sources) : NONE
    const said: Said[] = []
    let unsupported: string[] = NOBODY
    let refused: readonly RefusedEntry[] = NONE
    let isOwnUnsupported = false
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] ?? null
      const part = this.#parts[sources[i] ?? i]
      if (entry === null || part === undefined) continue
      if (seen.length > 0 && hasSeenEntry(seen, part, entry)) continue
      const read = this.read(part, entry)
      if (read === 'unsupported') {
        unsupported = [...unsupported, part.writer]
        isOwnUnsupported ||= part.isOwn
      } else if (typeof read === 'object') said.push(read)
      else refused = [...refused, refusedEntry(part, entry, read)]
    }
    return { key, entries: said, unsupported, isOwnUnsupported, refused }
  }

  /** What our own entry among these has seen, if it is one value. */
  #seenByOwn(
    entries: readonly (TreeEntry | null)[],
    sources: readonly number[]
  ): readonly Position[] {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] ?? null
      const part = this.#parts[sources[i] ?? i]
      if (entry === null || part?.isOwn !== true) continue
      const said = this.read(part, entry)
      return typeof said === 'string' ? NONE : seenWhole(said.entry)
    }
    return NONE
  }

  /**
   * What an entry of a core says; why not (counted) when that cannot be read.
   * @param type one that the caller can read, though no fold knows it
   */
  read(part: Part, entry: TreeEntry, type?: number): Said | 'unsupported' | RefusalReason {
    // The one place where a writer's prefixes bind: whatever is read of a log's entries is read here.
    if (part.prefixes !== null && !isWithin(entry.key, part.prefixes)) {
      this.#hooks.refusals.add(part.writer, 'outside-prefixes', entry.seq)
      return 'outside-prefixes'
    }
    return this.#unpack(part, entry, type)
  }

  #unpack({ core, writer, isOwn }: Part, { value, seq }: TreeEntry, type?: number) {
    const unpacked = unpackEntry(value, core, seq)
    if (!unpacked.ok) {
      this.#hooks.refusals.add(writer, unpacked.reason, seq)
      return unpacked.reason === 'entry-unsupported' ? 'unsupported' : unpacked.reason
    }
    const { entry } = unpacked
    if (entry.type === 'unknown' && entry.number !== type) {
      this.#hooks.refusals.add(writer, 'entry-unsupported', seq)
    }
    // Each field by its name, here and below: a spread costs more than all the rest of a lookup.
    const said = { core, entry, writer, isOwn, seq }
    if (!isOwn) this.#hooks.observe(said)
    return said
  }

  /** Folds what was read at a key; entries with values that cannot be read are left out, and counted. */
  foldSaid(
    key: Uint8Array,
    entries: readonly Said[],
    unsupported: readonly string[],
    isOurs = false
  ): FoldedKey {
    const folded = foldEntries(entries, this.admitted, this.#hooks.foldOptions(key), isOurs)
    const { type, exists, value, winner, shown, conflicts, isUnknownType, refused } = folded
    for (const { writer, seq, entry } of refused) {
      const { reason, name } = foldRefusal(entry)
      this.#hooks.refusals.add(writer, reason, seq, name)
    }
    return {
      key,
      type,
      exists,
      value,
      winner,
      shown,
      conflicts,
      isUnknownType,
      refused,
      unsupported
    }
  }

  /** What the write said that made an entry; null (counted) for what cannot be read here. */
  lastWritten(key: Uint8Array, said: Said): WrittenValue | null {
    const written = lastWritten(said, this.#hooks.foldOptions(key))
    if (written === null && said.entry.type === 'value') {
      this.#hooks.refusals.add(said.writer, 'value-malformed', said.seq)
    }
    return written
  }

  #fold({ key, entries, unsupported }: SaidByAll): FoldedKey {
    return this.foldSaid(key, entries, unsupported)
  }
}

const HERE: ReadOptions = { wait: false }

/** A key of which nobody says anything. */
export function nothingAt(key: Uint8Array): FoldedKey {
  return { ...foldEntries<Said>([], () => 0), key, unsupported: NOBODY }
}

function refusedEntry(
  { writer, isOwn }: Part,
  { seq }: TreeEntry,
  reason: RefusalReason
): RefusedEntry {
  return { writer, isOwn, seq, reason }
}

/** Exactly this entry, which adds nothing then: not what stood there before. */
function hasSeenEntry(
  seen: readonly Position[],
  { core, isOwn, prefixes }: Part,
  { seq, value }: TreeEntry
): boolean {
  if (isOwn || prefixes !== null || !isWrittenInPlace(value)) return false
  return seen.some((item) => item.seq === seq && isSameCore(item.core, core))
}

const NOBODY: string[] = []
const NONE: readonly never[] = []

/** A group is never empty. */
const NO_KEY = new Uint8Array(0)

/** How a key is looked up. */
interface Look {
  readonly options: ReadOptions
  /** Reads a tree that must be waited for. */
  readonly cold: (part: number) => Promise<TreeEntry | null>
  readonly isOverwritten?: boolean
}

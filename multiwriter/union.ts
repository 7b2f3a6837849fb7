/**
 * Keeps the union's logs open and says how far each can be read now: follows the writer list, its seals, and what arrives, and
 * reads a log that pruned only with what it relied on (reliance.ts).
 * `view()` is the union at this moment (view.ts reads it); `change` tells that a later view would show more, or less.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import type { CoreLength } from '../clock/index.ts'
import { isManyhandsError, ManyhandsError } from '../errors.ts'
import { TreeRefusal, type LogReader, type ReadOptions, type TreeSnapshot } from '../core/index.ts'
import type { LocalIndex } from './local-index.ts'
import { MergePolicies } from './merge-policies.ts'
import type { Refusals } from './refusals.ts'
import type { Part } from './part.ts'
import { isWithin, type Prefixes } from './prefixes.ts'
import { Reliances, settle, type Standing } from './reliance.ts'
import { KnownSpeakers } from './speakers.ts'
import { View, type Said, type ViewHooks } from './view.ts'
import type { Writer, Writers } from './writers.ts'

export interface UnionOptions {
  readonly writers: Writers
  /** Opens the log of a core; `onchange` is to be called when there may be more to read. */
  openLog(core: Uint8Array, onchange: () => void): Promise<LogReader>
  readonly refusals: Refusals
  /** The core that this device writes. */
  readonly own?: Uint8Array
  /** Which logs say something where. Default: learnt as far as it is worth it. */
  readonly speakers?: KnownSpeakers
  /** Lengths of which it is remembered, per log, what the log relied on there. Default: 1024. */
  readonly maxRemembered?: number
  /** Called with each entry of another device that was read: moves the clock. */
  observe?(said: Said): void
}

/** How far a log is to be read, and what of it: absent is what counts now. */
export interface PlaceInLog extends CoreLength {
  readonly prefixes?: Prefixes
  /** Blocks that count, at most. */
  readonly seal?: number
}

export class Union {
  readonly events = new EventEmitter<{ change: []; close: [] }>()
  /** How entries are folded. */
  readonly policies = new MergePolicies()
  readonly #options: UnionOptions
  readonly #hooks: ViewHooks
  readonly #hooksThen: ViewHooks
  readonly #speakers: KnownSpeakers
  readonly #sources = new Map<string, Source>()
  /** The sources by core key; null when one was added or replaced. */
  #inOrder: readonly Source[] | null = null
  readonly #unsubscribe: () => void
  /** Logs in whose place others are read now: views that are open still read them. */
  readonly #retired: LogReader[] = []
  #opening: Promise<void>
  #index: LocalIndex | null = null
  /** While nothing has changed since. */
  #view: View | null = null
  /** Counts what may have changed the union. */
  #round = 0
  #isClosed = false

  constructor(options: UnionOptions) {
    this.#options = options
    this.#speakers = options.speakers ?? new KnownSpeakers()
    this.#hooks = {
      refusals: options.refusals,
      observe: (said) => options.observe?.(said),
      foldOptions: (key) => this.policies.of(key),
      rowsFor: (parts) => this.#index?.rowsFor(parts) ?? null,
      speakersFor: (parts) => this.#speakers.among(parts)
    }
    // At another time the logs stand elsewhere: for these few reads all are asked.
    this.#hooksThen = { ...this.#hooks, speakersFor: () => null }
    this.#unsubscribe = options.writers.subscribe(() => this.#follow())
    this.#opening = this.#open()
    this.#opening.catch(() => {}) // shown to whoever awaits ready() or view()
  }

  /** Reads by this index from now on, as far as it stands at the lengths that are read. */
  useIndex(index: LocalIndex): void {
    this.#index = index
    this.#outdate()
  }

  /** All logs of the writer list are open. */
  ready(): Promise<void> {
    return this.#opening
  }

  /** The view that was given last, if nothing has changed since. */
  get latest(): View | null {
    return this.#isClosed ? null : this.#view
  }

  /** The union now, with everything that has arrived. @throws BLOCK_UNAVAILABLE, only from sparse logs */
  async view(options: ReadOptions = {}): Promise<View> {
    await this.#opening
    this.#checkOpen()
    if (this.#view !== null) return this.#view
    const round = this.#round
    const sources = this.#sorted()
    const pending = sources.map((source) => source.standingNow ?? source.standing(options))
    // Most logs stand where they stood: a turn for each would take longer than all the rest of a put.
    const standings = pending.every(isStanding)
      ? pending
      : await Promise.all(pending.map((each) => Promise.resolve(each)))
    const { parts, isComplete } = await settle(standings, options)
    const view = this.#viewOf(parts, this.#hooks)
    // Something may have arrived while the trees were read, a log included: then the next view must look again.
    const isUnchanged = round === this.#round && !sources.some((source) => source.isStale)
    const isLatest = isUnchanged && isComplete
    if (isLatest) this.#view = view
    return view
  }

  /**
   * The union as it was at these lengths, whatever its seals are now. Each stands at the end of a batch. A log that relied on
   * more of another than these lengths give is read as far as it did not.
   * @throws VERSION_UNAVAILABLE when a log is not here, or not as far; NO_EPOCH_KEY when it waits for a key
   */
  async at(lengths: readonly PlaceInLog[], options: ReadOptions = {}): Promise<View> {
    await this.#opening
    this.#checkOpen()
    const standings = await Promise.all(
      lengths.map((place) => {
        const source = this.#sources.get(b4a.toString(place.core, 'hex'))
        return source?.standingAt(place, options) ?? unavailable(place.core)
      })
    )
    return this.#viewOf((await settle(standings, options)).parts, this.#hooksThen)
  }

  /**
   * Logs exactly up to these lengths, whatever they relied on: for documents, of which nothing is ever pruned.
   * @throws VERSION_UNAVAILABLE as `at`
   */
  async exactly(lengths: readonly PlaceInLog[], options: ReadOptions = {}): Promise<View> {
    await this.#opening
    this.#checkOpen()
    const parts = lengths.map(async (place) => {
      const source = this.#sources.get(b4a.toString(place.core, 'hex')) ?? unavailable(place.core)
      return (await source.standingAt(place, options)).part
    })
    return this.#viewOf(await Promise.all(parts), this.#hooksThen)
  }

  /**
   * From which block on a log does not count any more at a key, where a block of it is not before that: 0 where its writer may not
   * write. Null where the block counts.
   */
  excludedSince(core: Uint8Array, key: Uint8Array, seq: number): number | null {
    const { seal = Infinity, prefixes = null } = this.#sources.get(b4a.toString(core, 'hex')) ?? {}
    if (!isWithin(key, prefixes)) return 0
    return seq < seal ? null : seal
  }

  /** In the order in which views have them. */
  #sorted(): readonly Source[] {
    return (this.#inOrder ??= [...this.#sources.values()].sort((a, b) =>
      b4a.compare(a.log.key, b.log.key)
    ))
  }

  #viewOf(parts: readonly Part[], hooks: ViewHooks): View {
    const sorted = [...parts].sort((a, b) => b4a.compare(a.core, b.core))
    return new View(sorted, hooks)
  }

  /** The tree of a log at its greatest readable length up to `limit`, whatever its seal; null where it is no log of this union. */
  async treeUpTo(
    core: Uint8Array,
    limit: number,
    options: ReadOptions = {}
  ): Promise<TreeSnapshot | null> {
    return this.#sources.get(b4a.toString(core, 'hex'))?.treeUpTo(limit, options) ?? null
  }

  /** All logs that are open. */
  logs(): readonly LogReader[] {
    return [...this.#sources.values()].map((source) => source.log)
  }

  /** The log of a core of this union, or null. */
  log(core: Uint8Array): LogReader | null {
    return this.#sources.get(b4a.toString(core, 'hex'))?.log ?? null
  }

  /** Opens a log anew, which is to be read from somewhere else now. */
  replace(core: Uint8Array): Promise<void> {
    const id = b4a.toString(core, 'hex')
    const replaced = this.#opening
      .catch(() => {})
      .then(async () => {
        const known = this.#sources.get(id)
        if (known === undefined || this.#isClosed) return
        const source = await this.#newSource({ core, seal: known.seal, prefixes: known.prefixes })
        this.#retired.push(known.log)
        this.#index?.changeBranch(source.log)
        this.#sources.set(id, source)
        this.#inOrder = null
        this.#changed()
      })
    this.#opening = replaced
    return replaced
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unsubscribe()
    this.#speakers.close()
    this.events.emit('close')
    await this.#opening.catch(() => {}) // what opened is closed below
    const logs = [...this.logs(), ...this.#retired]
    await Promise.all(logs.map((log) => log.close()))
    this.#sources.clear()
    this.#inOrder = null
    this.events.removeAllListeners()
  }

  #follow(): void {
    this.#outdate()
    // A log that could not be opened is tried again.
    this.#opening = this.#opening.catch(() => {}).then(() => this.#open())
    this.#opening.catch(() => {}) // as above
    void this.#opening.then(
      () => this.#changed(),
      () => {}
    )
  }

  async #open(): Promise<void> {
    if (this.#isClosed) return
    await Promise.all(this.#options.writers.list().map((writer) => this.#openSource(writer)))
  }

  async #openSource(writer: Writer): Promise<void> {
    const { core } = writer
    const id = b4a.toString(core, 'hex')
    const known = this.#sources.get(id)
    if (known !== undefined) {
      known.follow(writer)
      return
    }
    this.#sources.set(id, await this.#newSource(writer))
    this.#inOrder = null
    this.#outdate()
  }

  async #newSource(writer: Writer): Promise<Source> {
    const { core } = writer
    const id = b4a.toString(core, 'hex')
    const { own } = this.#options
    const isOwn = own !== undefined && b4a.equals(own, core)
    const log = await this.#options.openLog(core, () => {
      this.#sources.get(id)?.markStale()
      this.#changed()
    })
    await log.ready()
    return new Source(log, writer, isOwn, this.#options)
  }

  #changed(): void {
    this.#outdate()
    if (!this.#isClosed) this.events.emit('change')
  }

  #outdate(): void {
    this.#round++
    this.#view = null
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new ManyhandsError('BEE_CLOSED', 'The database is closed')
  }
}

/** One core of the union, and the tree it was last read as. */
class Source {
  readonly log: LogReader
  readonly #isOwn: boolean
  readonly #refusals: Refusals
  readonly #reliances: Reliances
  #seal: number
  #prefixes: Prefixes
  #tree: TreeSnapshot | null = null
  /** As it was given last. */
  #standing: Standing | null = null
  /** Counts what may have changed how far the log can be read. */
  #changes = 1
  /** As of which change `#tree` was read. */
  #readAt = 0

  constructor(
    log: LogReader,
    { seal, prefixes }: Writer,
    isOwn: boolean,
    { refusals, maxRemembered }: Pick<UnionOptions, 'refusals' | 'maxRemembered'>
  ) {
    this.log = log
    this.#seal = seal
    this.#prefixes = prefixes
    this.#isOwn = isOwn
    this.#refusals = refusals
    this.#reliances = new Reliances({ core: log.key, writer: log.id }, refusals, maxRemembered)
  }

  get seal(): number {
    return this.#seal
  }

  get prefixes(): Prefixes {
    return this.#prefixes
  }

  get isStale(): boolean {
    return this.#readAt !== this.#changes
  }

  markStale(): void {
    this.#changes++
  }

  follow({ seal, prefixes }: Writer): void {
    this.#prefixes = prefixes
    if (seal === this.#seal) return
    this.#seal = seal
    this.markStale()
  }

  /** The log as far as it can be read now, if that is as it was given last. */
  get standingNow(): Standing | null {
    const standing = this.#standing
    if (standing === null || this.isStale) return null
    const { part, isShort } = standing
    const isSame =
      part.tree === this.#tree &&
      part.seal === this.#seal &&
      part.prefixes === this.#prefixes &&
      part.tree.length < this.log.signedLength === isShort
    return isSame ? standing : null
  }

  /** The log as far as it can be read now. */
  async standing(options: ReadOptions): Promise<Standing> {
    const tree = this.isStale || this.#tree === null ? await this.#latest(options) : this.#tree
    const part: Part = {
      core: this.log.key,
      writer: this.log.id,
      isOwn: this.#isOwn,
      seal: this.#seal,
      prefixes: this.#prefixes,
      tree,
      refuse: async (refusal) => {
        await this.#refuse(refusal)
        return this.#refresh(options)
      },
      renew: () => this.#latest(options)
    }
    const { isSparse, signedLength } = this.log
    const standing: Standing = {
      part,
      reliances: this.#reliances,
      isSparse,
      isShort: tree.length < signedLength,
      below: (length) => this.log.snapshot(length, options)
    }
    // What is given again must not depend on how it was read.
    if (!isSparse) this.#standing = standing
    return standing
  }

  /** The log at a length that it once had. @throws VERSION_UNAVAILABLE, NO_EPOCH_KEY */
  async standingAt(
    { length, seal = Infinity, prefixes = this.#prefixes }: Omit<PlaceInLog, 'core'>,
    options: ReadOptions
  ): Promise<Standing> {
    const whole = await this.#partAt(length, options)
    // Who made the version named more than counted.
    const tree = length <= seal ? whole.tree : await this.treeUpTo(seal, options)
    const part = { ...whole, tree, seal, prefixes }
    return {
      part,
      reliances: this.#reliances,
      isSparse: this.log.isSparse,
      // Who named these lengths read by them.
      isShort: false,
      below: (shorter) => this.log.snapshotAt(shorter, options)
    }
  }

  async #partAt(length: number, options: ReadOptions): Promise<Omit<Part, 'seal' | 'prefixes'>> {
    const { key, id } = this.log
    const tree = await this.#snapshotAt(length, options).catch((cause: unknown) => {
      throw isManyhandsError(cause, 'BLOCK_UNAVAILABLE') ? gone(id, length, cause) : cause
    })
    if (tree.length !== length)
      throw this.#isBehind(length) ? keyless(id, length) : gone(id, length)
    // What this tree refuses, the log as it is now goes without as well.
    const refuse = async (refusal: TreeRefusal) => {
      await this.#refuse(refusal)
      return this.log.snapshot(Math.min(length, refusal.seq), options)
    }
    return { core: key, writer: id, isOwn: this.#isOwn, tree, refuse }
  }

  #isBehind(length: number): boolean {
    return (this.log.behind ?? Infinity) < length
  }

  treeUpTo(limit: number, options: ReadOptions): Promise<TreeSnapshot> {
    return this.#untilRefused(() => this.log.snapshot(limit, options))
  }

  #snapshotAt(length: number, options: ReadOptions): Promise<TreeSnapshot> {
    return this.#untilRefused(() => this.log.snapshotAt(length, options))
  }

  /** Shorter where the log is, or has been found bad: remote data never throws out of a view. */
  async #untilRefused(read: () => Promise<TreeSnapshot>): Promise<TreeSnapshot> {
    for (;;) {
      try {
        return await read()
      } catch (error) {
        if (!(error instanceof TreeRefusal)) throw error
        await this.#refuse(error)
      }
    }
  }

  /** With `wait: false`, a sparse log whose newest root is not here is read as far as it was before. */
  async #latest(options: ReadOptions): Promise<TreeSnapshot> {
    try {
      return await this.#refresh(options)
    } catch (error) {
      if (options.wait !== false || !isManyhandsError(error, 'BLOCK_UNAVAILABLE')) throw error
      return this.#tree ?? this.log.snapshot(0)
    }
  }

  /** The log at its greatest readable length. */
  async #refresh(options: ReadOptions): Promise<TreeSnapshot> {
    for (;;) {
      const changes = this.#changes
      try {
        return this.#keep(await this.log.snapshot(this.#seal, options), changes)
      } catch (error) {
        if (!(error instanceof TreeRefusal)) throw error
        await this.#refuse(error)
      }
    }
  }

  /** Several readings may be under way: one that was begun earlier does not take the place of a newer one. */
  #keep(tree: TreeSnapshot, changes: number): TreeSnapshot {
    if (changes < this.#readAt) return tree
    this.#tree = tree
    this.#readAt = changes
    return tree
  }

  async #refuse(refusal: TreeRefusal): Promise<void> {
    this.#refusals.addTree(this.log.id, refusal)
    await this.log.refuse(refusal)
    this.markStale()
  }
}

function isStanding(each: Standing | Promise<Standing>): each is Standing {
  return !(each instanceof Promise)
}

function unavailable(core: Uint8Array): never {
  const message = `The log ${z32.encode(core)} is not on this device`
  throw new ManyhandsError('VERSION_UNAVAILABLE', message)
}

function keyless(writer: string, length: number): ManyhandsError {
  const message = `A key is missing to read the log ${writer} at its length ${length}`
  return new ManyhandsError('NO_EPOCH_KEY', message)
}

function gone(writer: string, length: number, cause?: unknown): ManyhandsError {
  const message = `The log ${writer} cannot be read at its length ${length}`
  return new ManyhandsError('VERSION_UNAVAILABLE', message, { cause })
}

/**
 * One log to read as a tree: how far it can be read now, and what its last batches wrote.
 *
 * How far is the lowest of four lengths, rounded down to a whole batch: the seal that membership gives it, the refusal if its
 * tree was found bad, what is here, and what can be decrypted. A full reader holds blocks from the start on and never waits for the
 * network; a sparse one takes the log at its signed length and fetches what it reads.
 */
import b4a from 'b4a'
import Hypercore from 'hypercore'
import z32 from 'z32'
import { ManyhandsError } from '../../errors.ts'
import type { Work } from '../progress.ts'
import { cipherOf, type BlockCipher } from '../block-cipher.ts'
import { batchesOf, wholeBatches, type BatchBounds } from './batches.ts'
import { sessionAfterConflict } from '../conflict.ts'
import { passOn } from '../pass-on.ts'
import { ClearedLog, type ClearingHooks } from './cleared.ts'
import { TreeContext, type Branch } from './context.ts'
import { linkedKeys } from './linked.ts'
import { isIn } from './ranges.ts'
import { blockSizes, reachableBlocks } from './reach.ts'
import { refetch, type Refetched } from './refetch.ts'
import { isWaitingForKey, TreeRefusal } from './refusal.ts'
import { TreeSnapshot, type ReadOptions } from './snapshot.ts'
import type { TreeWriter } from './writer.ts'
import { firstWaiting } from './waiting.ts'
import { readWritten, type WrittenBlock } from './written.ts'

/** So many bad places are stepped over one by one; each costs a retry, so from then on the steps double. */
const MAX_SINGLE_STEPS = 128

/** The block that a key was written in, and that of its value if it stands apart. */
export interface WrittenAt {
  readonly seq: number
  readonly blocks: readonly number[]
}

export interface LogOptions {
  /** Fetch blocks when they are read, not ahead. */
  readonly sparse?: boolean
  /** Our own log: read through the writer's nodes, which are in memory. */
  readonly writer?: TreeWriter
  /** How the log says what its writer has cleared. Without, nothing is. */
  readonly clearing?: ClearingHooks
  /** The core is an archive of this log, and holds another history than the one that was read before. */
  readonly archiveOf?: { readonly log: Uint8Array; readonly branch: Branch }
}

export class LogReader {
  readonly key: Uint8Array
  /** The text form of the key: the writer's name in entries. */
  readonly id: string
  readonly #sparse: boolean
  /** Null of others' logs, and of our own once it has two histories: then it is read as theirs. */
  #writer: TreeWriter | null
  readonly #onchange: () => void
  #core: Hypercore
  readonly #context: TreeContext
  readonly #branch: Branch | null
  #isFull: boolean
  #cleared: ClearedLog | null = null
  /** What is being fetched ahead. */
  #downloads: { destroy(): void }[] = []
  #refusedFrom = Infinity
  /** From this block on a key is missing. */
  #behindFrom = Infinity
  readonly #cipher: BlockCipher | null
  readonly #offKeys: () => void
  /** Counts the changes of what keys there are. */
  #keysRound = 0
  #refusals = 0
  #heldAtConflict = Infinity
  #conflict: 'none' | 'unsaid' | 'said' = 'none'

  /** @param onchange called when there may be more to read, or less */
  constructor(
    core: Hypercore,
    onchange: () => void,
    { sparse = false, writer, clearing, archiveOf }: LogOptions = {}
  ) {
    this.key = archiveOf?.log ?? core.key
    this.id = z32.encode(this.key)
    this.#branch = archiveOf?.branch ?? null
    this.#core = core
    this.#cipher = cipherOf(core)
    this.#offKeys = this.#cipher?.keys.onchange(() => this.#onkeys()) ?? (() => {})
    this.#sparse = sparse
    const own = writer?.isAlone === true ? writer : undefined
    this.#writer = own ?? null
    this.#context = this.#newContext()
    this.#onchange = onchange
    core.on('append', this.#onappend)
    own?.events.on('written', onchange)
    core.on('conflict', this.#onconflict)
    core.on('download', this.#passOn)
    if (writer === undefined) core.on('append', this.#passOn)
    const isFull = !sparse && own === undefined && archiveOf === undefined
    if (isFull) core.on('download', onchange)
    if (isFull) core.on('download', this.#ondownload)
    this.#isFull = isFull
    if (clearing !== undefined) {
      this.#cleared = new ClearedLog(core, {
        hooks: clearing,
        isSparse: sparse,
        isOwn: writer !== undefined,
        contexts: () => [this.#context, ...(writer === undefined ? [] : [writer.context])],
        onchange: () => this.#onclearedchange()
      })
      core.on('append', this.#ongrown)
    }
    this.#startDownloads()
  }

  /** Resolves when as much is known of the log as this device can know by itself. */
  async ready(): Promise<void> {
    await this.#cleared?.ready()
  }

  /** The session that is read; another one after a conflict. */
  get core(): Hypercore {
    return this.#core
  }

  /** The blocks that can be read, of whole batches or not. */
  get length(): number {
    return this.#lengthUpTo(Infinity)
  }

  #lengthUpTo(limit: number): number {
    this.#checkAlone()
    const bound = Math.min(limit, this.#refusedFrom, this.#behindFrom, this.#heldAtConflict)
    // The session that follows a conflict knows no length before it is open.
    if (this.#heldAtConflict < Infinity) return bound
    if (this.#writer !== null) return Math.min(this.#writer.length, bound)
    if (this.#sparse) return Math.min(this.#core.length, bound)
    return Math.min(this.#cleared?.lengthHere(bound) ?? this.#core.contiguousLength, bound)
  }

  /** The tree at the greatest length of whole batches up to `limit`. @throws TreeRefusal, BLOCK_UNAVAILABLE */
  async snapshot(limit: number, options: ReadOptions = {}): Promise<TreeSnapshot> {
    // Said as any other refusal, once; `refuse` takes note, and the next call reads on.
    if (this.#conflict === 'unsaid') throw new TreeRefusal('conflict', this.length)
    this.#checkAlone()
    if (this.#writer !== null && this.#writer.length <= limit) return this.#writer.snapshot()
    const length = await wholeBatches(this.#context, this.#lengthUpTo(limit), options)
    return new TreeSnapshot(this.#context, length)
  }

  /** The tree at a length at which it was read before, whatever counts of the log now. */
  treeAt(length: number): TreeSnapshot {
    return new TreeSnapshot(this.#writer?.context ?? this.#context, length)
  }

  /**
   * The tree as it once was, at whole batches: of what was cleared since, whatever is left of it can be read.
   * @throws VERSION_UNAVAILABLE when its root was cleared; TreeRefusal, BLOCK_UNAVAILABLE
   */
  async snapshotAt(length: number, options: ReadOptions = {}): Promise<TreeSnapshot> {
    const isHere = this.#lengthUpTo(length) >= length
    const isCut = length > Math.min(this.#refusedFrom, this.#behindFrom)
    if (isHere || isCut || !this.#isFull || length > (this.#cleared?.firstMissing() ?? 0)) {
      return this.snapshot(length, options)
    }
    return new TreeSnapshot(this.#context, await wholeBatches(this.#context, length, options))
  }

  /** What the writer has cleared, and up to which declaration our copies are gone. */
  get clearing(): ClearedLog | null {
    return this.#cleared
  }

  /** Blocks that are here without a gap, cleared ones apart. */
  get lengthHere(): number {
    return this.#cleared?.firstMissing() ?? this.#core.contiguousLength
  }

  /** Whether the writer has cleared a block. */
  isCleared(seq: number): boolean {
    return isIn(this.#cleared?.cleared?.ranges ?? [], seq)
  }

  get isSparse(): boolean {
    return this.#sparse
  }

  /** The blocks that the writer has signed, as far as we have heard; 0 while a session reopens after a conflict. */
  get signedLength(): number {
    return this.#writer?.length ?? this.#core.length
  }

  /** The tree of a length at which it was read before, from the disk anew, whatever is in memory. */
  reread(length: number): TreeSnapshot {
    return new TreeSnapshot(this.#newContext(), length)
  }

  #newContext(): TreeContext {
    return new TreeContext(this.#core, { isLazy: this.#sparse, branch: this.#branch })
  }

  /** Which history of the log is read; null for the one that its writer shows here. */
  get branch(): Branch | null {
    return this.#branch
  }

  /** The blocks that reading the tree of `length` blocks (whole batches) needs. @throws TreeRefusal, BLOCK_UNAVAILABLE */
  reachableBlocks(length: number, work: Work = {}): Promise<ReadonlySet<number>> {
    return reachableBlocks(this.#core, length, work)
  }

  /**
   * Where a key was written, in all blocks that are here: each with the blocks that it takes. Reads everything. A block that
   * cannot be read as one wrote nothing that can be seen.
   */
  async blocksOf(
    key: Uint8Array,
    { signal, onprogress }: Work = {}
  ): Promise<readonly WrittenAt[]> {
    const total = this.#core.length
    const context = new TreeContext(this.#core)
    const found: WrittenAt[] = []
    for (let from = 0; from < total; from += BLOCKS_AT_ONCE) {
      signal?.throwIfAborted()
      const count = Math.min(BLOCKS_AT_ONCE, total - from)
      const blocks = await Promise.all(
        Array.from({ length: count }, (_, i) => context.getBlockHere(from + i).catch(nullIfRefused))
      )
      blocks.forEach((block, i) => {
        for (const { key: each, valuePointer } of block?.keys ?? []) {
          if (!b4a.equals(each, key)) continue
          const seq = from + i
          found.push({ seq, blocks: valuePointer === null ? [seq] : [seq, valuePointer.seq] })
        }
      })
      onprogress?.({ task: 'looking for the key', done: from + count, total, unit: 'blocks' })
    }
    return found
  }

  /** The bytes of each block of the log, null for one that is not on this device. */
  blockSizes(work: Work = {}): Promise<readonly (number | null)[]> {
    return blockSizes(this.#core, 0, this.#core.length, work)
  }

  /**
   * Fetches what is missing or damaged here again, from whoever is connected. What was refused is read again then: it may have
   * been our copy that was bad.
   */
  async refetch(work: Work & { readonly timeout: number }): Promise<Refetched> {
    const isCleared = (seq: number) => this.isCleared(seq)
    const done = await refetch(this.#core, { ...work, isCleared, isFull: !this.#sparse })
    if (done.fetched === 0) return done
    this.#context.forgetAll()
    this.#refusedFrom = Infinity
    this.#onchange()
    return done
  }

  /** The first block that waits for a key which is not here; null for none that was met. */
  get behind(): number | null {
    return this.#behindFrom === Infinity ? null : this.#behindFrom
  }

  /**
   * Reads the log from now on only below the block that shows it to be bad, or until its key has come; rounding leaves out the rest of
   * its batch.
   */
  async refuse(refusal: TreeRefusal): Promise<void> {
    const { reason, seq } = refusal
    if (isWaitingForKey(refusal)) await this.#waitForKey(seq)
    else if (reason === 'conflict') this.#conflict = 'said'
    // Several reads may have met the same bad place.
    else if (seq < this.#refusedFrom) this.#refuseFrom(seq)
  }

  /** All that was written under a new key waits for it: the first of these blocks is looked for at once, not one by one. */
  async #waitForKey(seq: number): Promise<void> {
    const cipher = this.#cipher
    if (cipher === null || seq >= this.#behindFrom) return
    const round = this.#keysRound
    const first = await firstWaiting({ core: this.#core, cipher, isSparse: this.#sparse }, seq)
    // The key has come since it was missed. Nobody was told when it came, as nothing waited then: whoever missed it reads on now.
    if (first === null || round !== this.#keysRound) return this.#onchange()
    if (first >= this.#behindFrom) return
    this.#behindFrom = first
    this.#onchange()
  }

  #onkeys(): void {
    this.#keysRound++
    // Of a log that lacks its first blocks nothing is read, so nothing was found to wait, before it is known that they were cleared.
    this.#cleared?.grown()
    if (this.#behindFrom === Infinity) return
    this.#behindFrom = Infinity
    this.#onchange()
  }

  #refuseFrom(seq: number): void {
    this.#refusals++
    const more = 2 ** Math.max(0, this.#refusals - MAX_SINGLE_STEPS) - 1
    this.#refusedFrom = Math.max(0, seq - more)
    // Views made of the longer log stand no more, whoever holds them.
    this.#onchange()
  }

  /** What the blocks from `start` up to `end` wrote, read together; without those that were cleared. @throws BLOCK_UNAVAILABLE */
  async written(
    start: number,
    end: number,
    options: ReadOptions
  ): Promise<readonly WrittenBlock[]> {
    const context = this.#writer?.context ?? this.#context
    const blocks = await readWritten(context, start, end, !this.#sparse, options)
    for (const { refusal } of blocks) if (isWaitingForKey(refusal)) await this.refuse(refusal)
    return blocks
  }

  /** @see batchesOf in batches.ts */
  batchesOf(
    seqs: readonly number[],
    options: ReadOptions
  ): Promise<readonly (BatchBounds | null)[]> {
    return batchesOf(this.#writer?.context ?? this.#context, seqs, options)
  }

  /** @see linkedKeys in linked.ts; none where the log is shorter */
  async linkedKeys(
    start: number,
    length: number,
    options: ReadOptions
  ): Promise<ReadonlySet<string>> {
    if (length > this.#core.length) return new Set()
    return linkedKeys(this.#writer?.context ?? this.#context, start, length, options)
  }

  /**
   * What the log's first `length` blocks hash to: what names them, and what their writer signed. Null when the log is shorter. A
   * log that is not here as a whole may have to ask a peer. @throws BLOCK_UNAVAILABLE
   */
  async treeHash(
    length: number,
    { wait = true, timeout = 0 }: ReadOptions = {}
  ): Promise<Uint8Array | null> {
    const core = this.#core
    await core.ready() // the session that follows a conflict may not be open yet
    if (length > core.length) return null
    // The stack's own `treeHash` would wait for ever for a block that was cleared.
    const here = await Hypercore.treeHashFromStorage(core, length).catch(() => null)
    if (here !== null) return here
    try {
      // With the block comes what the hash is made of.
      if ((await core.get(length - 1, { wait, timeout })) !== null)
        return await core.treeHash(length)
    } catch (cause) {
      if (core.closing !== null) throw cause
      throw hashUnavailable(length, cause)
    }
    throw hashUnavailable(length)
  }

  async close(): Promise<void> {
    this.#offKeys()
    this.#core.off('append', this.#onappend)
    this.#writer?.events.off('written', this.#onchange)
    this.#core.off('download', this.#onchange)
    this.#core.off('download', this.#ondownload)
    this.#core.off('download', this.#passOn)
    this.#core.off('append', this.#passOn)
    this.#core.off('conflict', this.#onconflict)
    this.#stopDownloads()
    this.#core.off('append', this.#ongrown)
    await this.#cleared?.close()
    await this.#core.close()
  }

  /** Everything but what is cleared: who still holds that would give it to us again. */
  #startDownloads(): void {
    if (!this.#isFull || this.#core.closing !== null) return
    let start = 0
    for (const range of this.#cleared?.cleared?.ranges ?? []) {
      if (range.start > start)
        this.#downloads.push(this.#core.download({ start, end: range.start }))
      start = range.end
    }
    this.#downloads.push(this.#core.download({ start, end: -1 }))
  }

  #stopDownloads(): void {
    for (const download of this.#downloads) download.destroy()
    this.#downloads = []
  }

  #onclearedchange(): void {
    this.#stopDownloads()
    this.#startDownloads()
    this.#onchange()
  }

  /** Our own writer tells when it is done. */
  readonly #onappend = (): void => {
    this.#checkAlone()
    if (this.#writer?.isWriting !== true) this.#onchange()
  }

  /** Our own log has grown, and not by us: what has come is fetched, and read as far as it is here. */
  #checkAlone(): void {
    if (this.#writer === null || this.#writer.isAlone) return
    this.#writer.events.off('written', this.#onchange)
    this.#writer = null
    if (this.#sparse) return
    this.#isFull = true
    this.#core.on('download', this.#onchange)
    this.#core.on('download', this.#ondownload)
    this.#startDownloads()
  }

  readonly #ongrown = (): void => this.#cleared?.grown()

  readonly #ondownload = (): void => void this.#cleared?.clear()

  readonly #passOn = (): void => void passOn(this.#core)

  /**
   * The stack closes every session of a core whose writer signed two histories. What is here stays readable, in another session.
   * Our own log is not written any more.
   */
  readonly #onconflict = (): void => {
    if (this.#core.closing !== null) return
    this.#heldAtConflict = this.length
    this.#core = sessionAfterConflict(this.#core)
    this.#core.on('conflict', this.#onconflict) // it is closed as well when another peer shows the same
    this.#context.readFrom(this.#core)
    // Views that are open go on as well.
    this.#writer?.context.readFrom(this.#core)
    this.#writer?.events.off('written', this.#onchange)
    this.#writer = null
    this.#cleared?.readFrom(this.#core)
    this.#downloads = []
    this.#conflict = 'unsaid'
    this.#onchange()
  }
}

function nullIfRefused(error: unknown): null {
  if (error instanceof TreeRefusal) return null
  throw error
}

function hashUnavailable(length: number, cause?: unknown): ManyhandsError {
  const message = `The hash of a log's first ${length} blocks is not on this device`
  return new ManyhandsError('BLOCK_UNAVAILABLE', message, { cause })
}

/** One storage read, or one round trip, for so many blocks. */
const BLOCKS_AT_ONCE = 64

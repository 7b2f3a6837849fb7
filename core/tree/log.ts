/**
 * One log to read as a tree: how far it can be read now, and what its last batches wrote.
 *
 * How far is the lowest of three lengths, rounded down to a whole batch: the seal that membership gives it, the refusal if its
 * tree was found bad, and what is here. A full reader holds blocks from the start on and never waits for the network; a sparse
 * one takes the log at its signed length and fetches what it reads.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import SessionConfig from 'hyperbee2/lib/session-config.js'
import z32 from 'z32'
import { ManyhandsError } from '../../errors.ts'
import { wholeBatches } from './batches.ts'
import { TreeContext } from './context.ts'
import { TreeRefusal } from './refusal.ts'
import { TreeSnapshot, type ReadOptions } from './snapshot.ts'
import type { TreeWriter } from './writer.ts'
import { readWritten, type WrittenBlock } from './written.ts'

/** So many bad places are stepped over one by one; each costs a retry, so from then on the steps double. */
const MAX_SINGLE_STEPS = 128

export interface LogOptions {
  /** Fetch blocks when they are read, not ahead. */
  readonly sparse?: boolean
  /** Our own log: read through the writer's nodes, which are in memory. */
  readonly writer?: TreeWriter
}

export class LogReader {
  readonly key: Uint8Array
  /** The text form of the key: the writer's name in entries. */
  readonly id: string
  readonly #sparse: boolean
  readonly #writer: TreeWriter | null
  readonly #onchange: () => void
  #core: Hypercore
  readonly #context: TreeContext
  #download: { destroy(): void } | null
  #refusedFrom = Infinity
  #refusals = 0
  #heldAtConflict = Infinity
  #conflict: 'none' | 'unsaid' | 'said' = 'none'

  /** @param onchange called when there may be more to read, or less */
  constructor(core: Hypercore, onchange: () => void, { sparse = false, writer }: LogOptions = {}) {
    this.key = core.key
    this.id = z32.encode(core.key)
    this.#core = core
    this.#sparse = sparse
    this.#writer = writer ?? null
    this.#context = new TreeContext(core, { isLazy: sparse })
    this.#onchange = onchange
    core.on('append', onchange)
    core.on('conflict', this.#onconflict)
    const isFull = !sparse && writer === undefined
    if (isFull) core.on('download', onchange)
    if (isFull) core.on('download', this.#ondownload)
    this.#download = isFull ? core.download({ start: 0, end: -1 }) : null
  }

  /** The session that is read; another one after a conflict. */
  get core(): Hypercore {
    return this.#core
  }

  /** The blocks that can be read, of whole batches or not. */
  get length(): number {
    // The session that follows a conflict knows no length before it is open.
    if (this.#heldAtConflict < Infinity) return Math.min(this.#heldAtConflict, this.#refusedFrom)
    const here =
      this.#sparse || this.#writer !== null ? this.#core.length : this.#core.contiguousLength
    return Math.min(here, this.#refusedFrom)
  }

  /** The tree at the greatest length of whole batches up to `limit`. @throws TreeRefusal, BLOCK_UNAVAILABLE */
  async snapshot(limit: number, options: ReadOptions = {}): Promise<TreeSnapshot> {
    // Said as any other refusal, once; `refuse` takes note, and the next call reads on.
    if (this.#conflict === 'unsaid') throw new TreeRefusal('conflict', this.length)
    if (this.#writer !== null && this.#core.length <= limit) return this.#writer.snapshot()
    const length = await wholeBatches(this.#context, Math.min(this.length, limit), options)
    return new TreeSnapshot(this.#context, length)
  }

  /** The tree at a length at which it was read before, whatever counts of the log now. */
  treeAt(length: number): TreeSnapshot {
    return new TreeSnapshot(this.#writer?.context ?? this.#context, length)
  }

  /** Reads the log from now on only below the block that shows it to be bad; rounding leaves out the rest of its batch. */
  refuse({ reason, seq }: TreeRefusal): Promise<void> {
    if (reason === 'conflict') this.#conflict = 'said'
    // Several reads may have met the same bad place.
    else if (seq < this.#refusedFrom) this.#refuseFrom(seq)
    return Promise.resolve()
  }

  #refuseFrom(seq: number): void {
    this.#refusals++
    const more = 2 ** Math.max(0, this.#refusals - MAX_SINGLE_STEPS) - 1
    this.#refusedFrom = Math.max(0, seq - more)
    // Views made of the longer log stand no more, whoever holds them.
    this.#onchange()
  }

  /**
   * The keys written in blocks from `start` up to `end`, each once. For small steps: reads every block. A block that cannot
   * be read as one wrote nothing that can be seen.
   */
  async writtenKeys(start: number, end: number, options: ReadOptions = {}): Promise<Uint8Array[]> {
    const { wait = true, timeout = 0 } = options
    const config = new SessionConfig([], timeout, wait, null)
    const context = this.#writer?.context ?? this.#context
    const keys = new Map<string, Uint8Array>()
    for (let from = start; from < end; from += BLOCKS_AT_ONCE) {
      const count = Math.min(BLOCKS_AT_ONCE, end - from)
      const blocks = await Promise.all(
        Array.from({ length: count }, (_, i) =>
          context.getBlock(from + i, 0, config).catch(nullIfRefused)
        )
      )
      for (const block of blocks) {
        for (const { key } of block?.keys ?? []) keys.set(b4a.toString(key, 'hex'), key)
      }
    }
    return [...keys.values()]
  }

  /** What the blocks from `start` up to `end` wrote, read together; without those that were cleared. @throws BLOCK_UNAVAILABLE */
  written(start: number, end: number, options: ReadOptions): Promise<readonly WrittenBlock[]> {
    const context = this.#writer?.context ?? this.#context
    return readWritten(context, start, end, !this.#sparse, options)
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
    try {
      // Hypercore would wait for this block for ever. With it comes what the hash is made of.
      const isHere = length === 0 || (await core.has(length - 1))
      if (isHere || (await core.get(length - 1, { wait, timeout })) !== null) {
        return await core.treeHash(length)
      }
    } catch (cause) {
      if (core.closing !== null) throw cause
      throw hashUnavailable(length, cause)
    }
    throw hashUnavailable(length)
  }

  async close(): Promise<void> {
    this.#core.off('append', this.#onchange)
    this.#core.off('download', this.#onchange)
    this.#core.off('download', this.#ondownload)
    this.#core.off('conflict', this.#onconflict)
    this.#download?.destroy()
    await this.#core.close()
  }

  /**
   * Hypercore tells a peer that we can bring it further when our length grows, but not when the blocks for it arrive later: a
   * relay that was asked in between says no, and is never asked again. So it is said again when all is here.
   */
  readonly #ondownload = (): void => {
    queueMicrotask(() => {
      const core = this.#core
      if (core.closing !== null || core.contiguousLength !== core.length) return
      for (const peer of core.peers) peer.signalUpgrade()
    })
  }

  /**
   * The stack closes every session of a core whose writer signed two histories. What is here stays readable: in a session
   * opened now, before the others close.
   */
  readonly #onconflict = (): void => {
    if (this.#writer !== null || this.#core.closing !== null) return
    this.#heldAtConflict = this.length
    this.#core = this.#core.session()
    this.#context.readFrom(this.#core)
    this.#download = null
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

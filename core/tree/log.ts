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
import { batchStart, wholeBatches } from './batches.ts'
import { TreeContext } from './context.ts'
import type { TreeRefusal } from './refusal.ts'
import { TreeSnapshot, type ReadOptions } from './snapshot.ts'
import type { TreeWriter } from './writer.ts'

/** A tree that is bad in so many places is read no more: each place costs every reader a retry. */
const MAX_REFUSALS = 16

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
  readonly core: Hypercore
  readonly #sparse: boolean
  readonly #writer: TreeWriter | null
  readonly #context: TreeContext
  readonly #download: { destroy(): void } | null
  readonly #onchange: () => void
  #refusedFrom = Infinity
  #refusals = 0

  /** @param onchange called when there may be more to read */
  constructor(core: Hypercore, onchange: () => void, { sparse = false, writer }: LogOptions = {}) {
    this.key = core.key
    this.id = z32.encode(core.key)
    this.core = core
    this.#sparse = sparse
    this.#writer = writer ?? null
    this.#context = new TreeContext(core)
    this.#onchange = onchange
    core.on('append', onchange)
    const isFull = !sparse && writer === undefined
    if (isFull) core.on('download', onchange)
    this.#download = isFull ? core.download({ start: 0, end: -1 }) : null
  }

  /** The blocks that can be read, of whole batches or not. */
  get length(): number {
    const here =
      this.#sparse || this.#writer !== null ? this.core.length : this.core.contiguousLength
    return Math.min(here, this.#refusedFrom)
  }

  /** The tree at the greatest length of whole batches up to `limit`. @throws TreeRefusal, BLOCK_UNAVAILABLE */
  async snapshot(limit: number, options: ReadOptions = {}): Promise<TreeSnapshot> {
    if (this.#writer !== null && this.core.length <= limit) return this.#writer.snapshot()
    const length = await wholeBatches(this.#context, Math.min(this.length, limit), options)
    return new TreeSnapshot(this.#context, length)
  }

  /** Reads the log from now on only below the batch that shows it to be bad. */
  async refuse(refusal: TreeRefusal): Promise<void> {
    const from = await batchStart(this.#context, refusal.seq)
    // Several reads may have met the same bad place.
    if (from >= this.#refusedFrom) return
    this.#refusals++
    this.#refusedFrom = this.#refusals < MAX_REFUSALS ? from : 0
  }

  /** The keys written in blocks from `start` up to `end`, each once. For small steps: reads every block. */
  async writtenKeys(start: number, end: number, options: ReadOptions = {}): Promise<Uint8Array[]> {
    const { wait = true, timeout = 0 } = options
    const config = new SessionConfig([], timeout, wait, null)
    const context = this.#writer?.context ?? this.#context
    const keys = new Map<string, Uint8Array>()
    for (let from = start; from < end; from += BLOCKS_AT_ONCE) {
      const count = Math.min(BLOCKS_AT_ONCE, end - from)
      const blocks = await Promise.all(
        Array.from({ length: count }, (_, i) => context.getBlock(from + i, 0, config))
      )
      for (const { keys: written } of blocks) {
        for (const { key } of written ?? []) keys.set(b4a.toString(key, 'hex'), key)
      }
    }
    return [...keys.values()]
  }

  async close(): Promise<void> {
    this.core.off('append', this.#onchange)
    this.core.off('download', this.#onchange)
    this.#download?.destroy()
    await this.core.close()
  }
}

/** One storage read, or one round trip, for so many blocks. */
const BLOCKS_AT_ONCE = 64

/**
 * A log whose blocks are records, not batches of a tree. It is held whole, and read from the first block on as far as it is here
 * without a gap. Each block comes with what the log hashes to when it is the last: by that others name how far they have read.
 */
import Hypercore, { type Download } from 'hypercore'
import { sessionAfterConflict } from './conflict.ts'
import { passOn } from './pass-on.ts'
import { TreeRefusal } from './tree/refusal.ts'

export interface LoggedBlock {
  readonly block: Uint8Array
  /** Of the log with this block as its last. */
  readonly treeHash: Uint8Array
}

export class BlockLog {
  #core: Hypercore
  readonly #blocks: LoggedBlock[] = []
  readonly #onblocks: () => void
  readonly #onarrival = (): void => {
    void passOn(this.#core)
    void this.read()
  }
  #download: Download | null
  #reading: Promise<void> = Promise.resolve()

  /**
   * Owns the session from now on.
   * @param isOwn whether nothing of it is to be fetched
   * @param onblocks called when there are more
   */
  constructor(core: Hypercore, isOwn: boolean, onblocks: () => void) {
    this.#core = core
    this.#onblocks = onblocks
    this.#listen('on')
    this.#download = isOwn ? null : core.download({ start: 0, end: -1 })
  }

  /** The session that is read; another one after a conflict. */
  get core(): Hypercore {
    return this.#core
  }

  /** What has been read. The list grows. */
  get blocks(): readonly LoggedBlock[] {
    return this.#blocks
  }

  /** Reads what is here by now. */
  read(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#readOn())
    return this.#reading
  }

  async close(): Promise<void> {
    this.#listen('off')
    this.#download?.destroy()
    await this.#reading
    await this.#core.close()
  }

  #listen(how: 'on' | 'off'): void {
    this.#core[how]('append', this.#onarrival)
    this.#core[how]('download', this.#onarrival)
    this.#core[how]('conflict', this.#onconflict)
  }

  /** The stack closes every session of a log with two histories. What is here is read on, and nothing more fetched. */
  readonly #onconflict = (): void => {
    if (this.#core.closing !== null) return
    this.#listen('off')
    this.#download = null
    this.#core = sessionAfterConflict(this.#core)
    this.#listen('on') // it is closed as well when another peer shows the same
    this.#onblocks()
  }

  async #readOn(): Promise<void> {
    const before = this.#blocks.length
    try {
      while (this.#blocks.length < this.#core.contiguousLength) await this.#readNext()
    } catch {
      // The session has closed, by us or as its writer forked the log. What was read before stands.
    }
    if (this.#blocks.length > before) this.#onblocks()
  }

  async #readNext(): Promise<void> {
    const { length } = this.#blocks
    const block = await this.#core.get(length, { wait: false }).catch(emptyIfRefused)
    if (block === null) throw new Error('The block is gone')
    const treeHash = await Hypercore.treeHashFromStorage(this.#core, length + 1)
    this.#blocks.push({ block, treeHash })
  }
}

/** Of a block that cannot be decrypted nothing counts but its place: it is no record, and those behind it are read all the same. */
function emptyIfRefused(error: unknown): Uint8Array {
  if (error instanceof TreeRefusal) return EMPTY
  throw error
}

const EMPTY = new Uint8Array(0)

/**
 * The high-water file: how long each of our own logs was, at least, and its tree hash there. A log that comes back shorter, or
 * other, lost its tail (a power cut, a restored backup), and appending to it would fork it: peers may hold what it has forgotten.
 */
import b4a from 'b4a'
import Hypercore from 'hypercore'
import { ManyhandsError } from '../../errors.ts'
import { isRanges, type BlockRange } from '../tree/ranges.ts'
import { readFileIfAny, writeFileAtomic } from './files.ts'

interface Mark {
  readonly length: number
  readonly treeHash: string
  /** Blocks that this device has cleared itself. */
  readonly cleared?: readonly BlockRange[]
}

/** Every this many milliseconds, at most, while appending. */
const MIN_INTERVAL = 1000

export class HighWater {
  readonly #path: string
  readonly #marks: Map<string, Mark>
  /** Appended to since they were marked, by key. */
  readonly #ahead = new Map<string, Hypercore>()
  /** The file is written by one after the other: each writes all that is marked. */
  #turn: Promise<void> = Promise.resolve()
  #turns = 0
  #writtenAt = 0

  private constructor(path: string, marks: Map<string, Mark>) {
    this.#path = path
    this.#marks = marks
  }

  static async open(path: string): Promise<HighWater> {
    const text = await readFileIfAny(path)
    return new HighWater(path, new Map(text === null ? [] : parseMarks(text)))
  }

  /** Whether no log was ever marked: then none was appended to. */
  get isEmpty(): boolean {
    return this.#marks.size === 0
  }

  /** Why `core` is not what was marked, or null. */
  async check(core: Hypercore): Promise<string | null> {
    // A tail that is being fetched back from a peer. Asking the stack for a hash would wait for that peer.
    const mark = this.#marks.get(idOf(core))
    if (!(await hasAllBut(core, mark?.cleared ?? []))) {
      return 'a log of this device lacks blocks that it had'
    }
    if (mark === undefined || mark.length === 0) return null
    if (core.length < mark.length) {
      return `a log of this device has ${core.length} blocks, but had ${mark.length}`
    }
    const treeHash = await hashOf(core, mark.length).catch(() => null)
    if (treeHash === null) return 'a log of this device lacks what its contents are checked by'
    return treeHash === mark.treeHash ? null : 'a log of this device has other contents than it had'
  }

  /** Marks soon, without making the writer wait: a mark that comes late only notices less. */
  note(core: Hypercore): void {
    this.#ahead.set(idOf(core), core)
    if (this.#turns > 0 || Date.now() - this.#writtenAt < MIN_INTERVAL) return
    // The next append tries again; what failed is the disk, and the append path reports that.
    this.#inTurn(() => this.#write([core])).catch(() => {})
  }

  /** Takes note of blocks that will be missing on purpose, and marks the log as it is now: an older mark could not be checked. */
  async noteCleared(core: Hypercore, ranges: readonly BlockRange[]): Promise<void> {
    await this.#inTurn(() => this.#write([core], ranges))
  }

  /**
   * Marks what was noted and not marked yet.
   * @param reopen opens the log of a session that was closed since
   */
  async finish(reopen: (key: Uint8Array) => Promise<Hypercore>): Promise<void> {
    await this.settle()
    if (this.#ahead.size === 0) return
    const cores: Hypercore[] = []
    for (const core of this.#ahead.values()) {
      cores.push(core.closing === null ? core : await reopen(core.key))
    }
    await this.#inTurn(() => this.#write(cores))
  }

  /** Of a log that is given up: its tree is not kept to be hashed. */
  async forget(key: Uint8Array): Promise<void> {
    await this.#inTurn(() => {
      const id = b4a.toString(key, 'hex')
      this.#ahead.delete(id)
      this.#marks.delete(id)
      return Promise.resolve()
    })
  }

  /** Waits for what was begun. */
  async settle(): Promise<void> {
    await this.#turn
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    this.#turns++
    const written = this.#turn.then(write).finally(() => this.#turns--)
    this.#turn = written.catch(() => {}) // shown to the caller of this one
    return written
  }

  /** @param cleared for all of them; default as before */
  async #write(cores: readonly Hypercore[], cleared?: readonly BlockRange[]): Promise<void> {
    const marks = new Map(this.#marks)
    for (const core of cores) {
      const { length } = core
      const treeHash = await hashOf(core, length)
      const ranges = cleared ?? marks.get(idOf(core))?.cleared ?? []
      marks.set(idOf(core), { length, treeHash, ...(ranges.length > 0 ? { cleared: ranges } : {}) })
    }
    await writeFileAtomic(this.#path, `${JSON.stringify(Object.fromEntries(marks), null, 2)}\n`)
    for (const [id, mark] of marks) this.#marks.set(id, mark)
    for (const core of cores) {
      if (core.length === marks.get(idOf(core))?.length) this.#ahead.delete(idOf(core))
    }
    this.#writtenAt = Date.now()
  }
}

function idOf(core: Hypercore): string {
  return b4a.toString(core.key, 'hex')
}

/** In hex. The stack's own `treeHash` first fetches the last block: for one that was cleared it would wait for ever. */
async function hashOf(core: Hypercore, length: number): Promise<string> {
  return b4a.toString(await Hypercore.treeHashFromStorage(core, length), 'hex')
}

function parseMarks(text: string): [string, Mark][] {
  try {
    const marks: unknown = JSON.parse(text)
    if (!isRecord(marks) || Array.isArray(marks)) throw new TypeError('not an object')
    return Object.entries(marks).map(([id, mark]) => [id, parseMark(id, mark)])
  } catch (cause) {
    throw new ManyhandsError('STORE_DAMAGED', 'The high-water file is damaged', { cause })
  }
}

function parseMark(id: string, mark: unknown): Mark {
  if (!isRecord(mark)) throw new TypeError('a mark is not an object')
  const { length, treeHash } = mark
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) {
    throw new TypeError('a length is not a whole number')
  }
  if (typeof treeHash !== 'string' || !HASH.test(treeHash) || !HASH.test(id)) {
    throw new TypeError('a hash or key is not 32 bytes in hex')
  }
  const { cleared } = mark
  return { length, treeHash, ...(cleared === undefined ? {} : { cleared: parseRanges(cleared) }) }
}

function parseRanges(cleared: unknown): readonly BlockRange[] {
  if (!Array.isArray(cleared)) throw new TypeError('cleared blocks are not a list')
  const ranges = cleared.map((range: unknown): BlockRange => {
    const { start, end } = isRecord(range) ? range : {}
    if (typeof start !== 'number' || typeof end !== 'number')
      throw new TypeError('a range has no bounds')
    return { start, end }
  })
  if (!isRanges(ranges, Number.MAX_SAFE_INTEGER))
    throw new TypeError('cleared blocks are not in order')
  return ranges
}

/** Whether all blocks are here that were not cleared. */
async function hasAllBut(core: Hypercore, ranges: readonly BlockRange[]): Promise<boolean> {
  let at = 0
  for (const { start, end } of [...ranges, { start: core.length, end: core.length }]) {
    const stop = Math.min(start, core.length)
    if (at < stop && !(await core.has(at, stop))) return false
    at = end
  }
  return true
}

const HASH = /^[0-9a-f]{64}$/

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

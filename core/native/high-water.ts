/**
 * The high-water file: how long each of our own logs was, at least, and its tree hash there. A log that comes back shorter, or
 * other, lost its tail (a power cut, a restored backup), and appending to it would fork it: peers may hold what it has forgotten.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { ManyhandsError } from '../../errors.ts'
import { readFileIfAny, writeFileAtomic } from './files.ts'

interface Mark {
  readonly length: number
  readonly treeHash: string
}

/** Every this many milliseconds, at most, while appending. */
const MIN_INTERVAL = 1000

export class HighWater {
  readonly #path: string
  readonly #marks: Map<string, Mark>
  #writing: Promise<void> | null = null
  #writtenAt = 0

  private constructor(path: string, marks: Map<string, Mark>) {
    this.#path = path
    this.#marks = marks
  }

  static async open(path: string): Promise<HighWater> {
    const text = await readFileIfAny(path)
    return new HighWater(path, new Map(text === null ? [] : parseMarks(text)))
  }

  /** The keys of all logs that were ever marked. */
  keys(): string[] {
    return [...this.#marks.keys()]
  }

  /** Why `core` is not what was marked, or null. */
  async check(core: Hypercore): Promise<string | null> {
    const mark = this.#marks.get(b4a.toString(core.key, 'hex'))
    if (mark === undefined || mark.length === 0) return null
    if (core.length < mark.length) {
      return `a log of this device has ${core.length} blocks, but had ${mark.length}`
    }
    const treeHash = b4a.toString(await core.treeHash(mark.length), 'hex')
    return treeHash === mark.treeHash ? null : 'a log of this device has other contents than it had'
  }

  /** Marks soon, without making the writer wait: a mark that comes late only notices less. */
  note(core: Hypercore): void {
    if (this.#writing !== null || Date.now() - this.#writtenAt < MIN_INTERVAL) return
    this.#writing = this.#write([core])
      // The next append tries again; what failed is the disk, and the append path reports that.
      .catch(() => {})
      .finally(() => (this.#writing = null))
  }

  async mark(cores: readonly Hypercore[]): Promise<void> {
    await this.#writing
    await this.#write(cores)
  }

  /** Waits for what `note` began. */
  async settle(): Promise<void> {
    await this.#writing
  }

  async #write(cores: readonly Hypercore[]): Promise<void> {
    for (const core of cores) {
      const length = core.length
      const treeHash = b4a.toString(await core.treeHash(length), 'hex')
      this.#marks.set(b4a.toString(core.key, 'hex'), { length, treeHash })
    }
    await writeFileAtomic(
      this.#path,
      `${JSON.stringify(Object.fromEntries(this.#marks), null, 2)}\n`
    )
    this.#writtenAt = Date.now()
  }
}

function parseMarks(text: string): [string, Mark][] {
  try {
    return Object.entries(JSON.parse(text) as Record<string, Mark>)
  } catch (cause) {
    throw new ManyhandsError('STORE_DAMAGED', 'The high-water file is damaged', { cause })
  }
}

/**
 * Reading logs that pruned. A batch that leaves registers out relied on what its writer read of the others, and names it: cores
 * and lengths. Whoever reads less of any of them must not miss what was left out, and reads that log at the batch before. As one
 * log's length may so depend on another's, which may depend on the first's, the lengths of a view are the greatest that agree:
 * each log at the greatest length, of those held, whose reliance the others' lengths satisfy. They are found by lowering, again
 * and again, what is not satisfied, beginning at what is held; lowering only ever asks for more lowering, so the order does not
 * matter, and it ends.
 *
 * A log whose tree says nothing of it (the usual case) costs one lookup per length that it is read at; nothing is kept of it
 * but that. In a sparse log that lookup would fetch more blocks than the read it is for. So there it is asked from what is here,
 * and waited for only where some log is read at less than its writer has signed (a seal, a refusal): a sparse reader that has
 * not heard yet how long another log is may miss for a moment what was left out because of it. The slow twin is in test/oracle/view.ts: it looks at every length of every log.
 */
import b4a from 'b4a'
import type { CoreLength } from '../clock/index.ts'
import { isManyhandsError } from '../errors.ts'
import { TreeRefusal, type ReadOptions, type TreeEntry, type TreeSnapshot } from '../core/index.ts'
import { heardLengths, PRUNED_KEY } from './log-section.ts'
import type { Part } from './part.ts'
import type { Refusals } from './refusals.ts'

/** What the pruning that a tree stands on relied on, all earlier prunings included. */
export interface Reliance {
  readonly lengths: readonly CoreLength[]
  /** A block of the batch that says so: what ends at or below it is without. */
  readonly seq: number
}

/** Lengths remembered per log, so that a log that must be read far below its end is not walked down anew for each view. */
const MAX_REMEMBERED = 1024

/** What one log relied on, by its length. */
export class Reliances {
  readonly #core: Uint8Array
  readonly #writer: string
  readonly #refusals: Refusals
  readonly #maxRemembered: number
  readonly #byLength = new Map<number, Reliance>()
  /** The last length without one: of a log that never pruned, all that is kept. */
  #plainAt = 0
  /** The newest one decoded: most lengths have that of the length before. */
  #last: Reliance | null = null
  #lastRead: TreeSnapshot | null = null

  constructor(
    { core, writer }: Pick<Part, 'core' | 'writer'>,
    refusals: Refusals,
    maxRemembered = MAX_REMEMBERED
  ) {
    this.#maxRemembered = maxRemembered
    this.#core = core
    this.#writer = writer
    this.#refusals = refusals
  }

  /** The last tree of which it could be told: a sparse log may lack the block that tells it of a newer one. */
  get lastRead(): TreeSnapshot | null {
    return this.#lastRead
  }

  /** Null for a log that has not pruned. Synchronous when that is known, or in memory. @throws TreeRefusal, BLOCK_UNAVAILABLE */
  of(tree: TreeSnapshot, options: ReadOptions): Reliance | null | Promise<Reliance | null> {
    if (tree.length === this.#plainAt) return null
    const known = this.#byLength.get(tree.length)
    if (known !== undefined) return known
    const entry = tree.get(PRUNED_KEY, options)
    return entry instanceof Promise
      ? entry.then((each) => this.#keep(tree, each))
      : this.#keep(tree, entry)
  }

  #keep(tree: TreeSnapshot, entry: TreeEntry | null): Reliance | null {
    this.#lastRead = tree
    if (entry === null) {
      this.#plainAt = tree.length
      return null
    }
    const reliance = this.#decode(entry)
    if (this.#byLength.size >= this.#maxRemembered) this.#byLength.clear()
    this.#byLength.set(tree.length, reliance)
    return reliance
  }

  #decode({ value, seq }: TreeEntry): Reliance {
    if (this.#last?.seq === seq) return this.#last
    const lengths = heardLengths(value, this.#core)
    // Whoever says nonsense has relied on nothing that could be waited for.
    if (lengths === null) this.#refusals.add(this.#writer, 'pruned-malformed', seq)
    return (this.#last = { lengths: lengths ?? [], seq })
  }
}

const HERE: ReadOptions = { wait: false }

/** One log of a view that is being made. */
export interface Standing {
  readonly part: Part
  readonly reliances: Reliances
  /** Blocks are fetched when they are read. */
  readonly isSparse: boolean
  /** Less is read of it than its writer has signed. */
  readonly isShort: boolean
  /** The tree at the end of the last batch that ends at or below a length. */
  below(length: number): Promise<TreeSnapshot>
}

/** Lowers what relies on more than the others stand at. @returns false when some of it could not be told from what is here */
export async function settle(
  standings: readonly Standing[],
  options: ReadOptions
): Promise<{ readonly parts: readonly Part[]; readonly isComplete: boolean }> {
  const settling = new Settling(standings, options)
  await settling.run()
  return settling
}

class Settling {
  readonly parts: Part[]
  isComplete = true
  readonly #standings: readonly Standing[]
  readonly #options: ReadOptions
  /** No log is read at less than there is. */
  readonly #isWhole: boolean
  #lengths: ReadonlyMap<string, number> = new Map()

  constructor(standings: readonly Standing[], options: ReadOptions) {
    this.#standings = standings
    this.#options = options
    this.#isWhole = standings.every(({ isShort }) => !isShort)
    this.parts = standings.map(({ part }) => part)
  }

  async run(): Promise<void> {
    if (this.#isPlain()) return
    const reliances = await Promise.all(this.parts.map((_, i) => this.#read(i)))
    while (reliances.some((each) => each !== null)) {
      this.#measure()
      const unsatisfied = reliances.flatMap((each, i) => (this.#isSatisfied(each) ? [] : [i]))
      if (unsatisfied.length === 0) return
      for (const i of unsatisfied) {
        await this.#lower(i, reliances[i]?.seq ?? 0)
        reliances[i] = await this.#read(i)
      }
    }
  }

  /** The usual case, without a turn per log: nobody has pruned, and that is in memory. */
  #isPlain(): boolean {
    try {
      return this.#standings.every((standing) => {
        const reliance = standing.reliances.of(standing.part.tree, this.#optionsFor(standing))
        if (reliance instanceof Promise) reliance.catch(() => {}) // asked again, and then shown
        return reliance === null
      })
    } catch {
      return false // as well
    }
  }

  #optionsFor({ isSparse }: Standing): ReadOptions {
    return isSparse && this.#isWhole ? HERE : this.#options
  }

  #measure(): void {
    this.#lengths = new Map(
      this.parts.map(({ core, tree }) => [b4a.toString(core, 'latin1'), tree.length])
    )
  }

  #isSatisfied(reliance: Reliance | null): boolean {
    return (
      reliance?.lengths.every(
        ({ core, length }) => (this.#lengths.get(b4a.toString(core, 'latin1')) ?? 0) >= length
      ) ?? true
    )
  }

  async #lower(index: number, seq: number): Promise<void> {
    const part = this.parts[index]
    const standing = this.#standings[index]
    if (part === undefined || standing === undefined) return
    const held = part.held ?? part.tree
    try {
      this.parts[index] = { ...part, held, tree: await standing.below(seq) }
    } catch (error) {
      if (!(error instanceof TreeRefusal)) throw error
      this.parts[index] = { ...part, tree: await part.refuse(error) }
    }
  }

  async #read(index: number): Promise<Reliance | null> {
    for (;;) {
      const part = this.parts[index]
      const standing = this.#standings[index]
      if (part === undefined || standing === undefined) return null
      try {
        return await standing.reliances.of(part.tree, this.#optionsFor(standing))
      } catch (error) {
        const tree = await this.#readOn(standing, part, error)
        if (tree === null) return null
        this.parts[index] = { ...part, tree }
      }
    }
  }

  /**
   * Null where it is read as it is: what it relied on was cleared since, in a version that is read as far as it is left, or is
   * not here, in a sparse log that nothing speaks against.
   */
  async #readOn(standing: Standing, part: Part, error: unknown): Promise<TreeSnapshot | null> {
    if (error instanceof TreeRefusal) return part.refuse(error)
    if (isManyhandsError(error, 'VERSION_UNAVAILABLE')) return null
    if (this.#optionsFor(standing) === HERE && isManyhandsError(error, 'BLOCK_UNAVAILABLE'))
      return null
    if (this.#options.wait !== false || !isManyhandsError(error, 'BLOCK_UNAVAILABLE')) throw error
    this.isComplete = false
    const { lastRead } = standing.reliances
    const isBelow = lastRead !== null && lastRead.length < part.tree.length
    return isBelow ? lastRead : standing.below(0)
  }
}

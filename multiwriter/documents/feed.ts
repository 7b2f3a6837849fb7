/**
 * What arrives of documents: at each step of the union, the entries that the new batches of each log changed among the updates.
 * Trees are compared, not blocks: what a document shows must not depend on whether somebody watched while it was written.
 */
import b4a from 'b4a'
import { TreeRefusal, type ReadOptions, type TreeSnapshot } from '../../core/index.ts'
import { isManyhandsError } from '../../errors.ts'
import type { Union } from '../union.ts'
import type { Part } from '../part.ts'
import { isWithin, type Prefixes } from '../prefixes.ts'
import type { CoreEntry, View } from '../view.ts'
import { parseUpdateKey } from './keys.ts'
import { readArrived } from './read.ts'

/** What changed in one document: entries of one or several cores, each core's in key order. */
export interface Arrival {
  readonly id: string
  readonly view: View
  readonly entries: readonly CoreEntry[]
}

export interface FeedHooks {
  /** Whether anybody waits for what arrives of a document. */
  isWanted(id: string): boolean
  onarrival(arrival: Arrival): void
  /** Whether a log is ours, and these blocks of it hold nothing but what open documents have written themselves. */
  isKnown(part: Part, from: number): boolean
  /** All that was wanted of these logs has arrived, up to these lengths; by writer. */
  onread(lengths: ReadonlyMap<string, number>): void
  /** Whose log counts has changed, or how far, or what there is behind a seal. */
  onseals(): void
}

/** Whether a log counts, where, and how far; and how much there is behind its seal. */
interface Standing extends Pick<Part, 'writer' | 'seal' | 'prefixes'> {
  readonly behind: number
}

/** Where a block must be fetched first, the others' updates do not wait for ever. */
const PATIENCE: ReadOptions = { timeout: 2000 }

export class Feed {
  readonly #union: Union
  readonly #hooks: FeedHooks
  /** How far each log was read, by writer. */
  readonly #read = new Map<string, TreeSnapshot>()
  #running: Promise<void> | null = null
  #isDue = false
  #starting: Promise<void> | null = null
  #standing: readonly Standing[] = []

  constructor(union: Union, hooks: FeedHooks) {
    this.#union = union
    this.#hooks = hooks
  }

  /** Tells from now on what arrives; what was written before is not told. Idempotent. */
  start(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  /** Nobody waits for anything: nothing is read until the next `start`. */
  pause(): void {
    this.#union.events.off('change', this.#onchange)
    this.#starting = null
  }

  /** All that the logs hold now has been told. */
  async caughtUp(): Promise<void> {
    this.#onchange()
    await this.#running
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    this.pause()
    await this.#running
    this.#read.clear()
  }

  async #start(): Promise<void> {
    const view = await this.#union.view({ wait: false })
    for (const { writer, tree } of view.parts) this.#read.set(writer, tree)
    this.#standing = this.#standingOf(view)
    this.#union.events.on('change', this.#onchange)
    this.#onchange() // what came while the view was made
  }

  readonly #onchange = (): void => {
    this.#isDue = true
    this.#running ??= this.#run()
  }

  /** Never rejects: what cannot be read now is read at the next change. */
  async #run(): Promise<void> {
    while (this.#isDue && this.#starting !== null) {
      this.#isDue = false
      try {
        await this.#step()
      } catch {
        // The union closes.
      }
    }
    this.#running = null
  }

  async #step(): Promise<void> {
    const view = await this.#union.view(PATIENCE).catch((error: unknown) => {
      if (!isManyhandsError(error, 'BLOCK_UNAVAILABLE')) throw error
      return this.#union.view({ wait: false })
    })
    for (const part of view.parts) await this.#readOn(view, part)
    this.#hooks.onread(new Map([...this.#read].map(([writer, { length }]) => [writer, length])))
    const standing = this.#standingOf(view)
    if (isSame(standing, this.#standing)) return
    this.#standing = standing
    this.#hooks.onseals()
  }

  #standingOf({ parts }: View): readonly Standing[] {
    return parts.map(({ core, writer, seal, prefixes }) => {
      const behind = seal === Infinity ? 0 : (this.#union.log(core)?.length ?? 0)
      return { writer, seal, behind, prefixes }
    })
  }

  async #readOn(view: View, part: Part): Promise<void> {
    const before = this.#read.get(part.writer) ?? null
    if (before?.length === part.tree.length) return
    // A log that became shorter shows nothing new, and is read on from there.
    const isLonger = before === null || before.length < part.tree.length
    if (isLonger && !this.#hooks.isKnown(part, before?.length ?? 0)) {
      const entries = await this.#entriesSince(part, before)
      if (entries === null) return
      this.#tell(view, entries)
    }
    this.#read.set(part.writer, part.tree)
  }

  /** Null when they cannot be read now. */
  async #entriesSince(
    part: Part,
    before: TreeSnapshot | null
  ): Promise<readonly CoreEntry[] | null> {
    try {
      const left = before ?? this.#union.log(part.core)?.treeAt(0) ?? part.tree
      return await readArrived(part, left, PATIENCE)
    } catch (error) {
      if (error instanceof TreeRefusal) {
        await part.refuse(error) // and the union changes
        return null
      }
      if (isManyhandsError(error, 'BLOCK_UNAVAILABLE')) return null
      // What was there before has been cleared, so everything that is there now may be new.
      if (isManyhandsError(error, 'VERSION_UNAVAILABLE') && before !== null)
        return this.#entriesSince(part, null)
      throw error
    }
  }

  #tell(view: View, entries: readonly CoreEntry[]): void {
    const byId = new Map<string, CoreEntry[]>()
    for (const one of entries) {
      const id = parseUpdateKey(one.entry.key)?.id
      if (id === undefined || !this.#hooks.isWanted(id)) continue
      const list = byId.get(id) ?? []
      byId.set(id, list)
      list.push(one)
    }
    for (const [id, list] of byId) this.#hooks.onarrival({ id, view, entries: list })
    // What others write may stand on it: to documents it is as what lies past a seal.
    const told = [...byId.values()].flat()
    if (told.some(({ part, entry }) => !isWithin(entry.key, part.prefixes))) this.#hooks.onseals()
  }
}

/** Compared with each step: where nothing has changed, which is nearly always, nothing is made for it. */
function isSame(some: readonly Standing[], others: readonly Standing[]): boolean {
  if (some.length !== others.length) return false
  return some.every((one, i) => {
    const other = others[i]
    return (
      other?.writer === one.writer &&
      other.seal === one.seal &&
      other.behind === one.behind &&
      isSameWithin(one.prefixes, other.prefixes)
    )
  })
}

function isSameWithin(some: Prefixes, others: Prefixes): boolean {
  if (some === others) return true
  if (some === null || others === null || some.length !== others.length) return false
  return some.every((each, i) => {
    const other = others[i]
    return other !== undefined && b4a.equals(each, other)
  })
}

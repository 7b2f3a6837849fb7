/**
 * Who has said that they read how much of each log: what no seal may cut away any more, so that it is safe to leave out what it
 * covers. The union asks nothing of this; pruning asks nothing else of membership. Here each device says it in its own data log
 * (log-section.ts), and every writer that is not sealed must have said it: who may write is all that a writer list knows. The
 * membership log will say it with offices, behind the same interface.
 *
 * What a device acknowledges is what its view reads: a full reader's blocks are all here, cleared ones apart; a sparse one
 * holds the root, and fetches the rest from whoever has it. It is said anew only when there is news: batches that hold nothing
 * but such sayings are none, or two idle devices would answer each other for ever. It may fall, when a seal does.
 */
import b4a from 'b4a'
import type { CoreLength, HybridLogicalClock } from '../clock/index.ts'
import { TreeDiff, type OwnLog, type ReadOptions, type TreeSnapshot } from '../core/index.ts'
import { ACKNOWLEDGED_KEY, BEHIND_LOG_SECTION, heardLengths, sayLengths } from './log-section.ts'
import type { Part } from './part.ts'
import { isGone } from './put-back.ts'
import type { Union } from './union.ts'
import type { View } from './view.ts'
import type { Writer, Writers } from './writers.ts'

export interface Acknowledgements {
  /** How far each log of a view is acknowledged by all whose word counts; this device's is the view itself. At batch ends. */
  finalTrees(view: View): Promise<FinalTrees>
  /** Says how far this device reads the others, if that is news. To be called while nothing else is written. @returns whether */
  acknowledge(): Promise<boolean>
}

/** Logs as far as they are final. */
export class FinalTrees {
  readonly #trees: ReadonlyMap<string, TreeSnapshot>

  /** @param trees by core in hex */
  constructor(trees: ReadonlyMap<string, TreeSnapshot>) {
    this.#trees = trees
  }

  treeOf(core: Uint8Array): TreeSnapshot | null {
    return this.#trees.get(idOf(core)) ?? null
  }

  lengthOf(core: Uint8Array): number {
    return this.treeOf(core)?.length ?? 0
  }
}

export interface LogAcknowledgementsParts {
  readonly union: Union
  readonly writers: Writers
  readonly own: OwnLog
  readonly clock: HybridLogicalClock
  /** Whose word is waited for. Default: of all that are not sealed, as those may write no more. */
  readonly counts?: (writer: Writer) => boolean
}

/** A log can only be told of what is here. */
const HERE: ReadOptions = { wait: false }

/** Acknowledgements in the data logs themselves, of everybody on a writer list. */
export class LogAcknowledgements implements Acknowledgements {
  readonly #parts: LogAcknowledgementsParts

  constructor(parts: LogAcknowledgementsParts) {
    this.#parts = parts
  }

  async finalTrees(view: View): Promise<FinalTrees> {
    const words = await this.#words(view)
    const trees = new Map<string, TreeSnapshot>()
    for (const part of view.parts) {
      const tree = await this.#finalTree(part, words)
      if (tree !== null) trees.set(idOf(part.core), tree)
    }
    return new FinalTrees(trees)
  }

  async acknowledge(): Promise<boolean> {
    const { union, own, clock } = this.#parts
    const view = await union.view(HERE)
    const said = await this.#said(own.core.key, own.tree.snapshot())
    const others = view.parts.filter(({ isOwn, tree }) => !isOwn && tree.length > 0)
    const news = await Promise.all(
      others.map((part) => this.#isNews(part, said.get(idOf(part.core)) ?? 0))
    )
    if (!news.includes(true)) return false
    const lengths = others.map(({ core, tree }): CoreLength => ({ core, length: tree.length }))
    await own.append([sayLengths(ACKNOWLEDGED_KEY, lengths, clock.now())])
    return true
  }

  /** What everybody else whose word counts has acknowledged; a writer's own log is all its own. */
  async #words(view: View): Promise<readonly Word[]> {
    const { writers, own, counts = ({ seal }) => seal === Infinity } = this.#parts
    const counting = writers.list().filter((writer) => counts(writer))
    const others = counting.filter(({ core }) => !b4a.equals(core, own.core.key))
    return Promise.all(
      others.map(async ({ core }) => {
        const part = view.parts.find((each) => b4a.equals(each.core, core))
        return { core, said: part === undefined ? NOTHING : await this.#said(core, part.tree) }
      })
    )
  }

  async #said(core: Uint8Array, tree: TreeSnapshot): Promise<ReadonlyMap<string, number>> {
    const entry = await this.#orNull(() => tree.get(ACKNOWLEDGED_KEY, HERE))
    const lengths = entry === null ? null : heardLengths(entry.value, core)
    return new Map((lengths ?? []).map((each) => [idOf(each.core), each.length]))
  }

  /** Somebody's word may name a length inside a batch. */
  async #finalTree({ core, tree }: Part, words: readonly Word[]): Promise<TreeSnapshot | null> {
    const id = idOf(core)
    const length = words.reduce(
      (least, word) =>
        b4a.equals(word.core, core) ? least : Math.min(least, word.said.get(id) ?? 0),
      tree.length
    )
    if (length === tree.length) return tree
    const log = this.#parts.union.log(core)
    return this.#orNull(() => log?.snapshot(length, HERE) ?? null)
  }

  /** Whether anything but such words differs from what was acknowledged. */
  async #isNews({ core, tree }: Part, said: number): Promise<boolean> {
    if (tree.length <= said) return tree.length < said
    const log = this.#parts.union.log(core)
    if (log === null) return false
    const diff = new TreeDiff(log.treeAt(said), tree, BEHIND_LOG_SECTION, HERE)
    try {
      return (await diff.nextBatch(1)).length > 0
    } catch (error) {
      // What was cleared, or is not here, was something.
      if (isGone(error)) return true
      throw error
    } finally {
      diff.close()
    }
  }

  /** Null for what is not here, or bad: its readers say so. */
  async #orNull<T>(read: () => T | Promise<T>): Promise<T | null> {
    try {
      return await read()
    } catch (error) {
      if (isGone(error)) return null
      throw error
    }
  }
}

/** What one writer has acknowledged of each core, by core in hex. */
interface Word {
  readonly core: Uint8Array
  readonly said: ReadonlyMap<string, number>
}

const NOTHING: ReadonlyMap<string, number> = new Map()

function idOf(core: Uint8Array): string {
  return b4a.toString(core, 'hex')
}

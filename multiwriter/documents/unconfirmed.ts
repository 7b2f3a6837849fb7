/**
 * Updates of others that came ahead of their logs and that no log here holds yet, in the order in which they were taken: each stands
 * only on what logs hold, and on what is before it. They are shown, but nothing that must last may rest on them: a log confirms
 * them, or they are quoted in ours (docs/decisions/006-keystrokes-ahead-of-the-log.md).
 */
import b4a from 'b4a'
import type { DocumentEngine, EngineDoc, Span } from '../../crdt/index.ts'
import type { AheadUpdate } from './ahead.ts'
import type { Update } from './updates.ts'

/** The connection that something came over. */
export type AheadPath = object

export interface Unconfirmed {
  readonly ahead: AheadUpdate
  readonly path: AheadPath
  readonly brings: readonly Span[]
  /** Its log will not bring it, or nobody knows whether it still will. */
  isLost: boolean
  /** Passed on to those who are not connected to its writer. */
  isPassedOn: boolean
  /** Rounds that were waited. */
  rounds: number
}

/** The connection may come back, and bring the log. */
const ROUNDS_WHEN_LOST = 2

/** A log that lags so far behind its writer's own words may never bring them. */
const ROUNDS_AT_MOST = 8

export class UnconfirmedList {
  #list: Unconfirmed[] = []

  get size(): number {
    return this.#list.length
  }

  all(): readonly Unconfirmed[] {
    return this.#list
  }

  add(ahead: AheadUpdate, path: AheadPath, brings: readonly Span[]): void {
    this.#list.push({ ahead, path, brings, isLost: false, isPassedOn: false, rounds: 0 })
  }

  /** Takes out what logs hold. @returns of these updates, those that are news to the document */
  confirm(updates: readonly Update[]): readonly Update[] {
    if (this.#list.length === 0) return updates
    const news = updates.filter((update) => !this.#take(update))
    // A log is written in the order of its numbers.
    for (const { core, kind, number } of updates) {
      if (kind === 'quote') continue
      const passed = (each: AheadUpdate) => each.number <= number && b4a.equals(each.core, core)
      this.#lose(({ ahead }) => passed(ahead))
    }
    return news
  }

  /** A connection is gone. */
  lose(path: AheadPath): void {
    this.#lose((each) => each.path === path)
  }

  /** One more round was waited. @returns what is to be quoted now, with all that it stands on */
  wait(): readonly Unconfirmed[] {
    for (const each of this.#list) each.rounds++
    const isDue = ({ isLost, rounds }: Unconfirmed) =>
      rounds >= (isLost ? ROUNDS_WHEN_LOST : ROUNDS_AT_MOST)
    return this.#list.slice(0, this.#list.findLastIndex(isDue) + 1)
  }

  /** What these packed updates of ours stand on, with all that that stands on. */
  ground(
    engine: Pick<DocumentEngine<EngineDoc>, 'refersTo'>,
    updates: readonly Uint8Array[]
  ): readonly Unconfirmed[] {
    if (this.#list.length === 0) return []
    const named = updates.flatMap((update) => engine.refersTo(update))
    const isNamed = ({ brings }: Unconfirmed) =>
      brings.some((span) => named.some((each) => overlap(span, each)))
    return this.#list.slice(0, this.#list.findLastIndex(isNamed) + 1)
  }

  remove(gone: readonly Unconfirmed[]): void {
    const isGone = new Set(gone)
    this.#list = this.#list.filter((each) => !isGone.has(each))
  }

  #take({ core, number, statement }: Update): boolean {
    const i = this.#list.findIndex(
      ({ ahead }) =>
        ahead.number === number &&
        b4a.equals(ahead.core, core) &&
        b4a.equals(ahead.bytes, statement)
    )
    if (i < 0) return false
    this.#list.splice(i, 1)
    return true
  }

  #lose(isLost: (each: Unconfirmed) => boolean): void {
    for (const each of this.#list) {
      if (each.isLost || !isLost(each)) continue
      each.isLost = true
      each.rounds = 0
    }
  }
}

function overlap(a: Span, b: Span): boolean {
  return a.source === b.source && a.start < b.end && b.start < a.end
}

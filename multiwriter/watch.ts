/**
 * Live changes of a range: at each step of the union, the keys that the new blocks of every log wrote are folded before and
 * after. Nothing is done while nobody asks; what comes meanwhile is shown as one step.
 */
import b4a from 'b4a'
import { isInRange, type TreeRange } from '../core/index.ts'
import type { Part, View, FoldedKey } from './view.ts'
import type { Union } from './union.ts'

/** Makes a change out of a key's fold before and after, or null if nothing visible changed. */
type ChangeOf<C> = (key: Uint8Array, before: FoldedKey, after: FoldedKey) => C | null

const DONE = { done: true, value: undefined } as const

/** Calls of `next` take turns; `return` ends a pending one. */
export class Watcher<C> implements AsyncIterableIterator<C, undefined, undefined> {
  readonly #union: Union
  readonly #range: TreeRange
  readonly #changeOf: ChangeOf<C>
  /** What was shown so far; begins with the view at the time of the call. */
  #shown: Promise<View>
  #changes: C[] = []
  #isEnded = false
  #turn: Promise<unknown> = Promise.resolve()
  #wake: (() => void) | null = null

  constructor(union: Union, range: TreeRange, changeOf: ChangeOf<C>) {
    this.#union = union
    this.#range = range
    this.#changeOf = changeOf
    this.#shown = union.view()
    this.#shown.catch(() => {}) // shown by the first `next`
    union.events.on('change', this.#onchange)
    union.events.on('close', this.#end)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<C, undefined>> {
    const result = this.#turn.then(() => this.#next())
    this.#turn = result.catch(() => {}) // a failure is the caller's, the next call tries again
    return result
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#end()
    return Promise.resolve(DONE)
  }

  async #next(): Promise<IteratorResult<C, undefined>> {
    while (!this.#isEnded) {
      const change = this.#changes.shift()
      if (change !== undefined) return { done: false, value: change }
      await this.#step()
    }
    return DONE
  }

  /** Collects the changes since the last step, or waits until something happens. */
  async #step(): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.#wake = resolve))
    const before = await this.#shown
    const after = await this.#union.view()
    if (before === after) {
      await woken
      return
    }
    for (const key of await this.#keysBetween(before, after)) {
      const change = this.#changeOf(key, await before.get(key), await after.get(key))
      if (change !== null) this.#changes.push(change)
    }
    this.#shown = Promise.resolve(after)
  }

  /** Keys of the range that some log wrote between two views, in order. */
  async #keysBetween(before: View, after: View): Promise<Uint8Array[]> {
    const keys = new Map<string, Uint8Array>()
    for (const part of after.parts) {
      for (const key of await this.#keysOf(part, lengthIn(before, part))) {
        if (isInRange(key, this.#range)) keys.set(b4a.toString(key, 'hex'), key)
      }
    }
    return [...keys.values()].sort((a, b) => b4a.compare(a, b))
  }

  async #keysOf({ core, tree }: Part, shown: number): Promise<readonly Uint8Array[]> {
    // A lowered seal takes back what was written between.
    const [start, end] = shown < tree.length ? [shown, tree.length] : [tree.length, shown]
    const log = this.#union.log(core)
    return log === null || start === end ? [] : log.writtenKeys(start, end)
  }

  readonly #onchange = (): void => {
    this.#wake?.()
  }

  readonly #end = (): void => {
    this.#isEnded = true
    this.#union.events.off('change', this.#onchange)
    this.#union.events.off('close', this.#end)
    this.#wake?.()
  }
}

function lengthIn(view: View, { writer }: Part): number {
  return view.parts.find((part) => part.writer === writer)?.tree.length ?? 0
}

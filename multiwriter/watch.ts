/**
 * Live changes of a range: at each step of the union, the keys at which the trees of the logs differ are folded before and
 * after. Nothing is done while nobody asks; what comes meanwhile is shown as one step. Of a step only the keys are kept: a
 * slow reader costs no more than a fast one.
 */
import type { TreeRange } from '../core/index.ts'
import { isManyhandsError } from '../errors.ts'
import { changedKeys } from './changed.ts'
import { iterate } from './cursor.ts'
import { nothingAt, type FoldedKey, type View } from './view.ts'
import type { Union } from './union.ts'

/** Makes a change out of a key's fold before and after, or null if nothing visible changed. */
type ChangeOf<C> = (key: Uint8Array, before: FoldedKey, after: FoldedKey) => C | null

/** From one view to a later one. */
interface Step {
  readonly before: View
  readonly after: View
  /** How far each log was read before, by writer. */
  readonly lengths: ReadonlyMap<string, number>
  /** Not shown yet, the next one last. */
  readonly keys: Uint8Array[]
}

const DONE = { done: true, value: undefined } as const

/** Calls of `next` take turns; `return` ends a pending one. */
export class Watcher<C> implements AsyncIterableIterator<C, undefined, undefined> {
  readonly #union: Union
  readonly #range: TreeRange
  readonly #changeOf: ChangeOf<C>
  /** What was shown so far; begins with the view at the time of the call. */
  #shown: Promise<View>
  #step: Step | null = null
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
      try {
        const change = await this.#nextChange()
        if (change !== null) return { done: false, value: change }
      } catch (error) {
        // What fails because the database closed is the end of the loop, not its failure.
        if (!this.#isEnded) throw error
      }
    }
    return DONE
  }

  /** Null when there is none yet: ask again. */
  async #nextChange(): Promise<C | null> {
    this.#step ??= await this.#nextStep()
    if (this.#step === null) return null
    const { before, after, lengths, keys } = this.#step
    const key = keys.at(-1)
    if (key === undefined) {
      this.#shown = Promise.resolve(after)
      this.#step = null
      return null
    }
    const was = await before.get(key)
    const is = await after.get(key)
    const change = this.#changeOf(key, before.isFaithful ? was : guessed(is, lengths), is)
    keys.pop() // only now: what could not be read is tried again
    return change
  }

  /** What changed since the last step; null after waiting for something to happen. */
  async #nextStep(): Promise<Step | null> {
    const woken = new Promise<void>((resolve) => (this.#wake = resolve))
    const before = await this.#shown
    const after = await this.#union.view()
    if (before !== after) {
      const lengths = new Map(before.parts.map(({ writer, tree }) => [writer, tree.length]))
      return { before, after, lengths, keys: await this.#keysBetween(before, after) }
    }
    await woken
    return null
  }

  /** Keys of the range that may have changed between two views, the first one last. */
  async #keysBetween(before: View, after: View): Promise<Uint8Array[]> {
    const keys: Uint8Array[] = []
    try {
      for await (const key of iterate(changedKeys(before, after, this.#range, {}))) keys.push(key)
    } catch (error) {
      if (!isManyhandsError(error, 'VERSION_UNAVAILABLE')) throw error
      // What was there before has been cleared, so everything that is there now may be new.
      keys.length = 0
      for await (const { key } of iterate(after.cursor(this.#range))) keys.push(key)
    }
    return keys.reverse()
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

/**
 * What stood at a key before, when what was read then has been cleared since: the same, if its winner had been written by then;
 * else nothing that can still be shown.
 */
function guessed(is: FoldedKey, lengths: ReadonlyMap<string, number>): FoldedKey {
  const { key, winner } = is
  const wasThere = winner !== null && winner.position.seq < (lengths.get(winner.said.writer) ?? 0)
  return wasThere ? is : nothingAt(key)
}

/**
 * How far the local index is brought before a read. Whatever of it stands at the lengths that are read answers for its cores
 * (view.ts), so this decides about time only.
 */
import { invalid } from '../errors.ts'
import type { ReadOptions } from '../core/index.ts'
import type { LocalIndex } from './local-index.ts'
import type { Union } from './union.ts'
import type { View } from './view.ts'

/** 'stream': always from the logs. 'index': always by the index, waiting for it. 'auto': whichever answers sooner. */
export type ReadMode = 'stream' | 'index' | 'auto'

const READ_MODES: readonly ReadMode[] = ['stream', 'index', 'auto']

/** Blocks that 'auto' lets the index catch up with before it reads; with more, it reads those logs meanwhile. */
const NEAR_BLOCKS = 64

export class IndexedReads {
  readonly #union: Union
  readonly #index: LocalIndex
  readonly #mode: ReadMode
  #following: { readonly view: View; readonly done: Promise<'refused' | 'done'> } | null = null

  constructor(union: Union, index: LocalIndex, mode: ReadMode) {
    this.#union = union
    this.#index = index
    this.#mode = mode
  }

  /** The union now. Synchronous while nothing has changed: turns would take longer than a lookup. */
  view(options: ReadOptions): View | Promise<View> {
    const { latest } = this.#union
    return latest?.isIndexed === true ? latest : this.#catchUp(options)
  }

  async #catchUp(options: ReadOptions): Promise<View> {
    for (;;) {
      const view = await this.#union.view(options)
      if (view.isIndexed) return view
      const isNear = this.#index.distance(view.parts) <= NEAR_BLOCKS
      const following = this.#follow(view)
      const outcome = this.#mode === 'index' || isNear ? await following : 'under way'
      if (outcome !== 'refused') return view
    }
  }

  /** At most one move of the index is waited for by any number of reads of one view. */
  #follow(view: View): Promise<'refused' | 'done'> {
    if (this.#following?.view === view) return this.#following.done
    const done = this.#index.follow(view.parts, (core) => this.#union.log(core))
    const following = { view, done }
    this.#following = following
    void done.then(() => {
      if (this.#following === following) this.#following = null
    })
    return done
  }
}

/** @throws INVALID_ARGUMENT */
export function checkMode(mode: unknown): void {
  if (mode === undefined || READ_MODES.some((known) => known === mode)) return
  invalid('mode', "'stream', 'index' or 'auto'", mode)
}

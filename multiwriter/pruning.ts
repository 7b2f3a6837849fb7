/**
 * When this device acknowledges, prunes and puts back, by itself. Putting back does not wait: until it is done, what was written
 * since is hidden. The rest does: a while after something has changed it is all done in one go, so a busy space costs one small
 * batch per while, and an idle one nothing. Nobody is told: what fails (a full disk, a log that closes) is tried again when
 * something changes.
 */
import type { Work } from '../core/index.ts'
import { PRUNED_KEY } from './log-section.ts'
import { Pruner, type PrunerParts } from './pruner.ts'
import { heldOwn, putBack } from './put-back.ts'
import type { Timers } from './timers.ts'

/** 10 min: what a lost acknowledgement would hold up, scans that are a little longer, is worth no more blocks than that. */
export const PRUNE_AFTER_MS = 10 * 60 * 1000

export interface PruningParts extends PrunerParts {
  readonly timers: Pick<Timers, 'after'>
}

export class Pruning {
  readonly #parts: PruningParts
  readonly #pruner: Pruner
  readonly #closing = new AbortController()
  #callOff: (() => void) | null = null
  #mending: Promise<void> | null = null
  #running: Promise<unknown> = Promise.resolve()
  /** So often it was begun or ended to prune. */
  #runs = 0
  /** At this count of runs nothing of our log was pruned: nothing else writes that it was. */
  #wholeAt = -1

  constructor(parts: PruningParts) {
    this.#parts = parts
    this.#pruner = new Pruner(parts)
  }

  /** From now on, as the union changes. */
  start(): void {
    this.#parts.union.events.on('change', this.#onchange)
    this.#onchange()
  }

  /** Acknowledges and prunes now. @returns entries of this device that became shorter, or went */
  async run(work: Work = {}): Promise<number> {
    const { signal } = this.#closing
    const either = work.signal === undefined ? signal : AbortSignal.any([signal, work.signal])
    this.#runs++
    const running = this.#pruner.run({ ...work, signal: either }).finally(() => this.#runs++)
    this.#running = running.catch(() => {}) // shown to the caller of this one
    return running
  }

  /** Stops at the next slice. */
  async close(): Promise<void> {
    this.#parts.union.events.off('change', this.#onchange)
    this.#callOff?.()
    this.#closing.abort()
    await this.#running
    await this.#mending
  }

  readonly #onchange = (): void => {
    this.#callOff ??= this.#parts.timers.after(PRUNE_AFTER_MS, () => {
      this.#callOff = null
      this.run().catch(() => {}) // tried again with the next change
    })
    if (this.#wholeAt === this.#runs) return
    this.#mending ??= this.#mend()
      .catch(() => {}) // tried again with the next change, and before the next write
      .finally(() => (this.#mending = null))
  }

  async #mend(): Promise<void> {
    const { own, union, queue } = this.#parts
    // Most logs have pruned nothing: they need no view for it.
    const runs = this.#runs
    if ((await own.tree.snapshot().get(PRUNED_KEY, { wait: false })) === null) {
      this.#wholeAt = runs
      return
    }
    if (heldOwn(await union.view({ wait: false }), own) === null) return
    await queue.alone(async () => void (await putBack(this.#parts)))
  }
}

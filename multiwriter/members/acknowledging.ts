/**
 * When this device says by itself how far it holds the others' logs: a while after something has come. By that no removal can take
 * back what was known here, and of a forked log the branch that others hold can be told (docs/MEMBERSHIP.md, rule 6 and "Forks").
 * So a busy space costs one record per while, and an idle one nothing: acknowledgements alone are no news.
 */
import type { Timers } from '../timers.ts'
import type { Union } from '../union.ts'
import type { Acts } from './acts.ts'

/** 10 min: what is known for less may be lost by a hostile removal; a record each moment would be worth more blocks than data. */
export const ACKNOWLEDGE_AFTER_MS = 10 * 60 * 1000

export interface AcknowledgingParts {
  readonly acts: Pick<Acts, 'acknowledge'>
  readonly changes: Union['events']
  readonly timers: Pick<Timers, 'after'>
}

export class Acknowledging {
  readonly #parts: AcknowledgingParts
  #callOff: (() => void) | null = null

  constructor(parts: AcknowledgingParts) {
    this.#parts = parts
    parts.changes.on('change', this.#onchange)
  }

  close(): void {
    this.#parts.changes.off('change', this.#onchange)
    this.#callOff?.()
  }

  readonly #onchange = (): void => {
    this.#callOff ??= this.#parts.timers.after(ACKNOWLEDGE_AFTER_MS, () => {
      this.#callOff = null
      this.#parts.acts.acknowledge().catch(() => {}) // tried again with the next change
    })
  }
}

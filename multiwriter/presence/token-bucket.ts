/** How often something may happen: `burst` times at once, `perSecond` in the long run. */
export interface Allowance {
  readonly burst: number
  readonly perSecond: number
}

export class TokenBucket {
  readonly #allowance: Allowance
  #tokens: number
  #filledAt: number

  /** @param elapsed milliseconds, from the clock that `take` is called with */
  constructor(allowance: Allowance, elapsed: number) {
    this.#allowance = allowance
    this.#tokens = allowance.burst
    this.#filledAt = elapsed
  }

  /** False when there is none left. */
  take(elapsed: number): boolean {
    const { burst, perSecond } = this.#allowance
    const gained = ((elapsed - this.#filledAt) * perSecond) / 1000
    this.#tokens = Math.min(burst, this.#tokens + gained)
    this.#filledAt = elapsed
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}

import b4a from 'b4a'

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

/** Devices that are counted. */
const MAX_BUCKETS = 1024

/** The same for each device that asks for something. */
export class TokenBuckets {
  readonly #allowance: Allowance
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(allowance: Allowance) {
    this.#allowance = allowance
  }

  /** False when this device has none left. */
  take(device: Uint8Array, elapsed: number): boolean {
    return this.#of(b4a.toString(device, 'hex'), elapsed).take(elapsed)
  }

  #of(id: string, elapsed: number): TokenBucket {
    const known = this.#buckets.get(id)
    if (known !== undefined) return known
    // The oldest is forgotten: it gets a full bucket again.
    const [oldest] = this.#buckets.keys()
    if (oldest !== undefined && this.#buckets.size >= MAX_BUCKETS) this.#buckets.delete(oldest)
    const bucket = new TokenBucket(this.#allowance, elapsed)
    this.#buckets.set(id, bucket)
    return bucket
  }
}

/** Random numbers that a seed makes again. */
export interface SeededRandom {
  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number
}

/** Mulberry32: 32 bits of state are plenty for a test's choices. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0
  return {
    below(limit) {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
    }
  }
}

/** The same items in another order (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  const order = [...items]
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const [a, b] = [order[i], order[j]]
    if (a === undefined || b === undefined) continue
    order[i] = b
    order[j] = a
  }
  return order
}

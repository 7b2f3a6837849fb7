/** The tree of losers under the merge (Knuth, TAOCP 3, 5.4.1), with ties remembered: see merge.ts. */

/**
 * The tournament. Leaf `at` hangs below node `(at + k) >> 1`, the root is node 1; every node keeps
 * the loser of its match. Between equal keys the lower source wins, so a shared key comes out in
 * the order of the sources.
 */
export class LoserTree<T> {
  /** The source with the lowest head. */
  winner = 0
  /** Whether the winner stands at the key of the winner before it. */
  isJoined = false

  readonly #compare: (a: T, b: T) => number
  readonly #heads: T[]
  /** A source without a head (dry or ended) loses against all. */
  readonly #hasHead: Uint8Array
  /** By node: the source that lost there. */
  readonly #losers: Int32Array
  /** By node: whether the loser has the key of the winner of that subtree, which beat it. */
  readonly #ties: Uint8Array
  /** Room for `rebuild`: the winner of each node and leaf. */
  readonly #winners: Int32Array

  constructor(count: number, compare: (a: T, b: T) => number) {
    this.#compare = compare
    this.#heads = []
    this.#hasHead = new Uint8Array(count)
    this.#losers = new Int32Array(count)
    this.#ties = new Uint8Array(count)
    this.#winners = new Int32Array(2 * count)
  }

  get head(): T {
    return this.#heads[this.winner]!
  }

  /** Followed by `replay` or `rebuild`. */
  setHead(at: number, item: T): void {
    this.#heads[at] = item
    this.#hasHead[at] = 1
  }

  /**
   * The winner has no next item at hand. Alone at its key, it keeps its place until the refill.
   * Otherwise it steps aside for those who share the key.
   */
  pauseWinner(): void {
    const isShared = this.#isShared()
    this.#hasHead[this.winner] = 0
    this.isJoined = false
    if (isShared) this.replay(this.winner)
  }

  /** Plays the matches of the winner again, with its new head, from the leaf up. */
  replay(at: number): void {
    const losers = this.#losers
    const ties = this.#ties
    let winner = at
    let joined = 0
    for (let node = (at + losers.length) >> 1; node > 0; node >>= 1) {
      const rival = losers[node]!
      const order = this.#order(winner, rival)
      const wasTie = ties[node]!
      ties[node] = order === 0 ? 1 : 0
      if (order > 0 || (order === 0 && rival < winner)) {
        losers[node] = winner
        winner = rival
        joined = wasTie
      }
    }
    this.winner = winner
    this.isJoined = joined === 1
  }

  /** Plays all matches. */
  rebuild(): void {
    const count = this.#losers.length
    const winners = this.#winners
    for (let at = 0; at < count; at++) winners[count + at] = at
    for (let node = count - 1; node > 0; node--) {
      const left = winners[2 * node]!
      const right = winners[2 * node + 1]!
      const order = this.#order(left, right)
      const isLeft = order < 0 || (order === 0 && left < right)
      winners[node] = isLeft ? left : right
      this.#losers[node] = isLeft ? right : left
      this.#ties[node] = order === 0 ? 1 : 0
    }
    this.winner = winners[1]!
    this.isJoined = false
  }

  #order(a: number, b: number): number {
    if (this.#hasHead[b] === 0) return -1
    if (this.#hasHead[a] === 0) return 1
    return this.#compare(this.#heads[a]!, this.#heads[b]!)
  }

  #isShared(): boolean {
    for (let node = (this.winner + this.#losers.length) >> 1; node > 0; node >>= 1) {
      if (this.#ties[node] === 1) return true
    }
    return false
  }
}

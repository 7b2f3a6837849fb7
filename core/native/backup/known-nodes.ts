/**
 * Which hashes a reader holds that receives the blocks of a log in rising order: the roots, and the right siblings that came with
 * earlier blocks. So each hash is written once. Only what lies to the right is kept: some thirty nodes, however long the log.
 * A node is named by its height and its place among the nodes of that height.
 */
export class KnownNodes {
  #nodes = new Map<string, { readonly height: number; readonly place: number }>()

  constructor(length: number) {
    let start = 0
    for (let height = Math.floor(Math.log2(Math.max(1, length))); height >= 0; height--) {
      const size = 2 ** height
      if (start + size > length) continue
      this.#add(height, start / size)
      start += size
    }
  }

  /** How many hashes prove block `index` to that reader; from then on it knows them. */
  take(index: number): number {
    for (const [id, { height, place }] of this.#nodes) {
      if ((place + 1) * 2 ** height <= index) this.#nodes.delete(id)
    }
    let count = 0
    let place = index
    for (let height = 0; !this.#nodes.has(idOf(height, place)); height++) {
      this.#add(height, place % 2 === 0 ? place + 1 : place - 1)
      place = Math.floor(place / 2)
      count++
    }
    return count
  }

  #add(height: number, place: number): void {
    this.#nodes.set(idOf(height, place), { height, place })
  }
}

function idOf(height: number, place: number): string {
  return `${height}/${place}`
}

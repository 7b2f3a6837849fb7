/** What logs hash to at their lengths, from what is on this device, and how far two histories of one log are the same. */
import b4a from 'b4a'
import Hypercore from 'hypercore'

/** Null when the log is shorter, or the nodes that the hash is made of are not here. */
export async function hashAt(core: Hypercore, length: number): Promise<Uint8Array | null> {
  if (length === 0 || length > core.length) return null
  return Hypercore.treeHashFromStorage(core, length).catch(() => null)
}

/** How many blocks two histories of one log have in common; fewer where hashes are missing. */
export async function commonLength(one: Hypercore, other: Hypercore): Promise<number> {
  let [same, differs] = [0, Math.min(one.length, other.length) + 1]
  while (differs - same > 1) {
    // The whole of the shorter first: mostly, one history just goes on.
    const isFirst = same === 0 && differs > Math.min(one.length, other.length)
    const length = isFirst ? differs - 1 : Math.floor((same + differs) / 2)
    const [a, b] = await Promise.all([hashAt(one, length), hashAt(other, length)])
    if (a !== null && b !== null && b4a.equals(a, b)) same = length
    else differs = length
  }
  return same
}

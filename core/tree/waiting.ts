/**
 * Where a log begins to wait for a key. Everything after the block that was met, up to the newest, is as a rule encrypted under the same
 * new key or a later one, and some of what is before it as well: so one looks back in steps that double, then halves the last one. Of a
 * log that mixes its keys this gives some block that waits behind one that does not; reading below it meets the next, if there is any.
 *
 * Of a sparse log hardly any of these blocks are here: they are fetched, one for each step, as long as somebody answers soon.
 */
import type Hypercore from 'hypercore'
import type { BlockCipher } from '../block-cipher.ts'

/** Whoever waits for more has a reader wait. */
const FETCH_MS = 2000

export interface Search {
  readonly core: Hypercore
  readonly cipher: BlockCipher
  /** Blocks that are not here may be fetched. */
  readonly isSparse: boolean
}

/** @param seq of a block that was found to wait @returns null where it does not any more */
export async function firstWaiting(search: Search, seq: number): Promise<number | null> {
  const met = await stored(search, seq)
  if (met !== null && !search.cipher.isWaiting(met)) return null
  let waiting = seq
  let readable = -1
  for (let step = 1; waiting > 0; step *= 2) {
    const before = Math.max(0, waiting - step)
    if (!(await isWaiting(search, before))) {
      readable = before
      break
    }
    waiting = before
  }
  while (waiting - readable > 1) {
    const middle = Math.floor((waiting + readable) / 2)
    if (await isWaiting(search, middle)) waiting = middle
    else readable = middle
  }
  return waiting
}

async function isWaiting(search: Search, seq: number): Promise<boolean> {
  const { core, cipher, isSparse } = search
  const block = (await stored(search, seq)) ?? (isSparse ? await fetched(core, seq) : null)
  return block !== null && cipher.isWaiting(block)
}

/** Null where it is not here. */
function stored({ core }: Search, seq: number): Promise<Uint8Array | null> {
  const rx = core.core.state.storage.read()
  const reading = rx.getBlock(seq)
  rx.tryFlush()
  return reading
}

/** As it is stored; null where nobody gives it. */
function fetched(core: Hypercore, seq: number): Promise<Uint8Array | null> {
  if (core.peers.length === 0) return Promise.resolve(null)
  return core.get(seq, { raw: true, timeout: FETCH_MS }).catch(() => null)
}

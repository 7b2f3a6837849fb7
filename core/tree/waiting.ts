/**
 * Where a log begins to wait for a key. Everything after the block that was met, up to the newest, is as a rule encrypted under the same
 * new key or a later one, and some of what is before it as well: so one looks back in steps that double, then halves the last one. Of a
 * log that mixes its keys this gives some block that waits behind one that does not; reading below it meets the next, if there is any.
 *
 * Only blocks that are here are looked at.
 */
import type Hypercore from 'hypercore'
import type { BlockCipher } from '../block-cipher.ts'

/** @param seq of a block that waits */
export async function firstWaiting(
  core: Hypercore,
  cipher: BlockCipher,
  seq: number
): Promise<number> {
  let waiting = seq
  let readable = -1
  for (let step = 1; waiting > 0; step *= 2) {
    const before = Math.max(0, waiting - step)
    if (!(await isWaiting(core, cipher, before))) {
      readable = before
      break
    }
    waiting = before
  }
  while (waiting - readable > 1) {
    const middle = Math.floor((waiting + readable) / 2)
    if (await isWaiting(core, cipher, middle)) waiting = middle
    else readable = middle
  }
  return waiting
}

async function isWaiting(core: Hypercore, cipher: BlockCipher, seq: number): Promise<boolean> {
  const rx = core.core.state.storage.read()
  const reading = rx.getBlock(seq)
  rx.tryFlush()
  const block = await reading
  return block !== null && cipher.isWaiting(block)
}

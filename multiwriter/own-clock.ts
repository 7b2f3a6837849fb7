/** This device's clock for one log: where it starts, and what moves it. */
import { compareStamps, HybridLogicalClock, tagOf, type Stamp } from '../clock/index.ts'
import { isWaitingForKey, type OwnLog } from '../core/index.ts'
import { unpackEntry } from '../crdt/index.ts'
import { isManyhandsError } from '../errors.ts'
import { CLEARED_KEY } from './cleared.ts'
import { ACKNOWLEDGED_KEY, PRUNED_KEY } from './log-section.ts'
import type { Said } from './view.ts'

/** A clock for `own` that goes on after its newest stamp. @param before of the log that `own` goes on from @param maxDrift in ms */
export async function openClock(
  own: OwnLog,
  now: () => number,
  maxDrift?: number,
  before: Stamp | null = null
): Promise<HybridLogicalClock> {
  return new HybridLogicalClock({
    now,
    tag: tagOf(own.core.key),
    last: later(before, await newestStamp(own)),
    ...(maxDrift === undefined ? {} : { maxDrift })
  })
}

/**
 * One batch has one stamp, so any entry of the last one tells; if that one wrote old entries anew, what it says of the log
 * itself does. Null as well while a lost tail is being fetched back.
 */
export async function newestStamp(own: OwnLog): Promise<Stamp | null> {
  try {
    const [key] = await own.tree.lastKeys()
    const stamps = await Promise.all(
      [key, CLEARED_KEY, PRUNED_KEY, ACKNOWLEDGED_KEY].map((each) => stampAt(own, each))
    )
    return stamps.reduce(later, null)
  } catch (error) {
    // Without the key of its last blocks nothing is written to it either.
    if (isManyhandsError(error, 'BLOCK_UNAVAILABLE') || isWaitingForKey(error)) return null
    throw error
  }
}

async function stampAt(own: OwnLog, key: Uint8Array | undefined): Promise<Stamp | null> {
  const entry = key === undefined ? null : await own.tree.snapshot().get(key, { wait: false })
  const unpacked = entry === null ? null : unpackEntry(entry.value, own.core.key, entry.seq)
  return unpacked?.ok === true ? unpacked.entry.head.stamp : null
}

function later(a: Stamp | null, b: Stamp | null): Stamp | null {
  if (a === null || b === null) return a ?? b
  return compareStamps(a, b) >= 0 ? a : b
}

/** Moves the clock by what is read of others; tells once per writer of one that is too far ahead. */
export function observeWith(
  clock: HybridLogicalClock,
  onskew: (skew: { readonly writer: string; readonly aheadMs: number }) => void
): (said: Said) => void {
  const skewed = new Set<string>()
  // An entry's head is of its last write; what else stands in it was written before, by the same device.
  return ({ entry, writer }) => {
    const { stamp } = entry.head
    const observation = clock.observe(stamp)
    if (observation.ok || skewed.has(writer)) return
    skewed.add(writer)
    onskew({ writer, aheadMs: observation.aheadMs })
  }
}

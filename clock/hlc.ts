/**
 * The hybrid logical clock: stamps that follow the wall clock and yet never contradict cause and
 * effect. After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks and Consistent
 * Snapshots in Globally Distributed Databases" (2014).
 *
 * Seen as one 64-bit integer, time = ms * 2^16 + counter, the whole clock is one line, which is also
 * its simple twin in the tests:
 *
 *     now = max(wall * 2^16, last + 1)        observe: last = max(last, stamp)
 *
 * It departs from the paper in four points. Receiving makes no stamp of its own: the next `now()` is
 * greater, and that is all causality asks. A stamp carries a writer tag, so stamps of two writers are
 * rarely equal. A full counter spills into the millisecond, so a writer never waits for time to pass.
 * And a stamp too far ahead does not move the clock, but its message is not dropped either (the paper
 * drops it): what it says is admitted by others, who judge by what a write has seen, not by its stamp.
 */

import { compareStamps, MAX_COUNTER, MAX_MS, TAG_BYTES } from './stamp.ts'
import type { Stamp } from './stamp.ts'

/**
 * 5 min, in ms. A larger drift lets one bad clock pull everyone's along and so win every conflict; a
 * smaller one reports honest devices that merely lack a time server.
 */
export const DEFAULT_MAX_DRIFT = 5 * 60 * 1000

/** What a `HybridLogicalClock` is made of. */
export interface ClockOptions {
  /**
   * The wall clock, in milliseconds since 1970. It may jump either way. A fraction is cut off; what
   * is not a time (NaN, infinite, negative, past `MAX_MS`) counts as 0: such a reading leaves the
   * clock where it is, and cannot throw it to the end of time.
   */
  readonly now: () => number
  /** The writer's `TAG_BYTES` bytes, copied; the last tie-break between writers. */
  readonly tag: Uint8Array
  /** How far ahead of the wall clock a stamp may lie and still move this clock, in ms. */
  readonly maxDrift?: number
  /** The newest stamp in this writer's own cores, so that a restart does not go back. */
  readonly last?: Stamp | null
}

/** The recovered stamp lay too far ahead of the wall clock: the clock started at the wall instead. */
export interface ClockRepair {
  /** The stamp that was not believed. */
  readonly from: Stamp
  /** The wall clock at the start, in ms. */
  readonly to: number
}

/**
 * What `observe` made of a stamp. `clock-skew`: it lies `aheadMs` ahead of the wall clock, more than
 * `maxDrift`, and did not move the clock. This is a report, never a ground to refuse the write: our
 * own wall clock may be the wrong one.
 */
export type Observation =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: 'clock-skew'; readonly aheadMs: number }

/**
 * One writer's clock. Keep one per writer, give every batch one `now()`, and show `observe` every
 * stamp that arrives.
 *
 * Each `now()` is greater than every stamp this clock gave out or accepted before, whatever the wall
 * clock does. Two limits. After a repair (see `repaired`) stamps are smaller than the one recovered.
 * And the greatest stamp of all, at the end of the year 10889's 48 bits, has no next one: there
 * `now()` repeats it. Neither loses a write: a writer's own order is the order of its batches, and a
 * write covers what it has seen whatever its stamp.
 *
 * Hazard: a clock pulled almost `maxDrift` ahead by one peer hands out stamps that another peer, with
 * a slower wall clock, reports as skew. The device named there is not always the one at fault.
 *
 *     const clock = new HybridLogicalClock({ now: Date.now, tag, last: newestOwnStamp })
 *     if (clock.repaired) report('clock-repaired', clock.repaired)
 *     const seen = clock.observe(remoteStamp)
 *     if (!seen.ok) report(seen.reason, seen.aheadMs)
 *     const stamp = clock.now() // greater than remoteStamp, if that was accepted
 */
export class HybridLogicalClock {
  /** Set once, at the start, if `last` was not believed; then this clock knows nothing of it. */
  readonly repaired: ClockRepair | null
  readonly #readWall: () => number
  readonly #tag: Uint8Array
  readonly #maxDrift: number
  #last: Stamp | null

  /** Throws a TypeError if the tag is not 8 bytes long or `maxDrift` is negative or NaN. */
  constructor({ now, tag, maxDrift = DEFAULT_MAX_DRIFT, last = null }: ClockOptions) {
    if (tag.length !== TAG_BYTES) {
      throw new TypeError(`"tag" expected ${TAG_BYTES} bytes, got ${tag.length}`)
    }
    if (!(maxDrift >= 0)) {
      throw new TypeError(`"maxDrift" expected milliseconds, 0 or more, got ${maxDrift}`)
    }
    this.#readWall = now
    this.#tag = new Uint8Array(tag)
    this.#maxDrift = maxDrift
    this.repaired = this.#repair(last)
    this.#last = this.repaired === null ? last : null
  }

  /** The newest stamp given out, accepted or recovered; null on a clock that has none yet. */
  get last(): Stamp | null {
    return this.#last
  }

  /** The next stamp of this writer. Never throws (unless the wall clock does) and never waits. */
  now(): Stamp {
    const stamp = nextStamp(this.#last, this.#wall(), this.#tag)
    this.#last = stamp
    return stamp
  }

  /**
   * Takes notice of another writer's stamp. `{ ok: true }`: every later `now()` is greater. If it lies
   * more than `maxDrift` ahead of the wall clock, the clock stays where it is and the result says so.
   */
  observe(stamp: Stamp): Observation {
    const aheadMs = stamp.ms - this.#wall()
    if (aheadMs > this.#maxDrift) return { ok: false, reason: 'clock-skew', aheadMs }
    if (this.#last === null || compareStamps(stamp, this.#last) > 0) this.#last = stamp
    return { ok: true }
  }

  /** One start in the year 2099 must not mute a device until then. */
  #repair(last: Stamp | null): ClockRepair | null {
    if (last === null) return null
    const to = this.#wall()
    return last.ms - to > this.#maxDrift ? { from: last, to } : null
  }

  #wall(): number {
    const reading = this.#readWall()
    return reading > 0 && reading <= MAX_MS ? Math.floor(reading) : 0
  }
}

/** The smallest stamp that is after `last` and not before the wall clock. */
function nextStamp(last: Stamp | null, wall: number, tag: Uint8Array): Stamp {
  if (last === null || wall > last.ms) return { ms: wall, counter: 0, tag }
  if (last.counter < MAX_COUNTER) return { ms: last.ms, counter: last.counter + 1, tag }
  if (last.ms < MAX_MS) return { ms: last.ms + 1, counter: 0, tag }
  return { ms: MAX_MS, counter: MAX_COUNTER, tag }
}

/** How far long work is, for another process: as often as a person can see, and no oftener. */
import type { Progress } from '../../core/index.ts'

/** At most ten a second, in ms. */
const EVERY = 100

/** @param now in ms */
export function seldom(
  send: (progress: Progress) => void,
  now: () => number
): (progress: Progress) => void {
  let next = -Infinity
  return (progress) => {
    const time = now()
    if (time < next) return
    next = time + EVERY
    send(progress)
  }
}

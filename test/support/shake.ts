/**
 * Wires that take a random time, so that what mostly comes first comes last for once. What follows depends on the machine as well: a
 * seed makes the same choices again, and not the same run.
 */
import { Transform, type Duplex } from 'streamx'
import type { Space } from '../../multiwriter/index.ts'
import type { SeededRandom } from './random.ts'

/** Mostly a moment, sometimes long enough for something else to come between. */
const WAITS_MS = [0, 0, 0, 0, 0, 1, 2, 5, 20, 60]

/** Pipes two spaces into each other; each piece waits, in its order. @returns how to cut it */
export function connectShaken(a: Space, b: Space, random: SeededRandom): () => void {
  const circle = [a.replicate(true), waiting(random), b.replicate(false), waiting(random)]
  const cut = () => circle.forEach((each) => each.destroy())
  circle.forEach((each, i) => {
    each.on('error', () => {}) // the other end is gone
    each.on('close', cut)
    each.pipe(circle[(i + 1) % circle.length])
  })
  return cut
}

function waiting(random: SeededRandom): Duplex {
  return new Transform({
    transform(piece, done) {
      const ms = WAITS_MS[random.below(WAITS_MS.length)] ?? 0
      if (ms === 0) done(null, piece)
      else setTimeout(() => done(null, piece), ms)
    }
  })
}

/** A version shows what was seen when it was taken, whatever becomes of those whose logs it names. */
import { test } from 'uvu'
import { simulatePast } from './past.ts'
import { range, testSeeds } from './seeds.ts'

/** A newcomer looked at a link before it learned from it, and stayed without the key. */
const FOUND = [14, 42]

testSeeds(
  'past: a version shows what was seen when it was taken',
  'test/sim/past.test.ts',
  [...range(1, 6), ...FOUND],
  (seed) => simulatePast(seed)
)

test.run()

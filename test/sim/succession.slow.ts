/** The same for many seeds. */
import { test } from 'uvu'
import { range, testSeeds } from './seeds.ts'
import { simulateSuccession } from './succession.ts'

testSeeds(
  'devices that go on under new logs show what their twins show',
  'test/sim/succession.slow.ts',
  range(1000, 100),
  async (seed) => void (await simulateSuccession(seed))
)

test.run()

/** Going on under new logs changes nothing of what anybody sees. */
import { test } from 'uvu'
import { range, testSeeds } from './seeds.ts'
import { simulateSuccession } from './succession.ts'

testSeeds(
  'devices that go on under new logs show what their twins show',
  'test/sim/succession.test.ts',
  range(1, 4),
  async (seed) => void (await simulateSuccession(seed))
)

test.run()

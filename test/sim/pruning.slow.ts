import { test } from 'uvu'
import { simulatePruning } from './pruning.ts'
import { range, testSeeds } from './seeds.ts'

const FILE = 'test/sim/pruning.slow.ts'

testSeeds(
  'simulation: peers that prune show what those show that do not',
  FILE,
  range(1000, 150),
  (seed) => simulatePruning(seed, false)
)

testSeeds('simulation: no key vanishes, wherever seals fall', FILE, range(2000, 60), (seed) =>
  simulatePruning(seed, true)
)

test.run()

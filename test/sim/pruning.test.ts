import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seen, simulatePruning } from './pruning.ts'
import { range, testSeeds } from './seeds.ts'

const FILE = 'test/sim/pruning.test.ts'

testSeeds(
  'simulation: peers that prune show what those show that do not',
  FILE,
  range(1, 4),
  (seed) => simulatePruning(seed, false)
)

testSeeds('simulation: no key vanishes, wherever seals fall', FILE, range(101, 3), (seed) =>
  simulatePruning(seed, true)
)

test('simulation: entries were pruned, seals fell, and registers were put back', () => {
  if (process.env['SIM_SEED'] !== undefined) return
  const text = JSON.stringify(seen)
  assert.ok(seen.pruned > 20 && seen.fallen > 5 && seen.restored > 0, text)
})

test.run()

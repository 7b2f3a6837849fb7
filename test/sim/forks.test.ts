import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seen, simulateForks } from './forks.ts'
import { range, testSeeds } from './seeds.ts'

testSeeds(
  'simulation: copies of a store end as one, whatever everybody does',
  'test/sim/forks.test.ts',
  [...range(1, 8), 1021], // a history that was chosen again
  simulateForks
)

test('simulation: there were forks, of membership too, and some beyond what was common', () => {
  if (process.env['SIM_SEED'] !== undefined) return
  assert.ok(seen.forks > 4 && seen.ofMembership > 0 && seen.chosen > 0, JSON.stringify(seen))
})

test.run()

import { test } from 'uvu'
import { simulateForks } from './forks.ts'
import { range, testSeeds } from './seeds.ts'

testSeeds(
  'simulation: copies of a store end as one, whatever everybody does',
  'test/sim/forks.slow.ts',
  range(1000, 100),
  simulateForks
)

test.run()

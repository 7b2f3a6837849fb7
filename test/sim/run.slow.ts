import { test } from 'uvu'
import { range, testSeeds } from './seeds.ts'
import { simulate } from './simulation.ts'

testSeeds(
  'simulation: devices that meet now and then agree, and lose nothing',
  'test/sim/run.slow.ts',
  range(1000, 300),
  simulate
)

test.run()

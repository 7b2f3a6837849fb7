import { test } from 'uvu'
import { range, testSeeds } from './seeds.ts'
import { simulate } from './simulation.ts'

testSeeds(
  'simulation: devices that meet now and then agree, and lose nothing',
  'test/sim/run.test.ts',
  range(1, 5),
  simulate
)

test.run()

import { test } from 'uvu'
import { range, testSeeds } from '../../sim/seeds.ts'
import { runTester } from './tester.ts'

testSeeds(
  "yjs' tester: random edits on five devices give one document",
  'test/peers/yjs/random.slow.ts',
  range(100, 30),
  (seed) => runTester(seed, 2000)
)

test.run()

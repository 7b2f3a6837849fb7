import { test } from 'uvu'
import { range, testSeeds } from '../../sim/seeds.ts'
import { runTester } from './tester.ts'

testSeeds(
  "yjs' tester: random edits on five devices give one document",
  'test/peers/yjs/random.test.ts',
  range(1, 2),
  (seed) => runTester(seed, 400)
)

test.run()

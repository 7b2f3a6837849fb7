/** Devices that gain and lose rights agree in the end. */
import { test } from 'uvu'
import { simulateMembers } from './members.ts'
import { range, testSeeds } from './seeds.ts'

const FILE = 'test/sim/members.test.ts'

testSeeds(
  'members: devices that gain and lose rights agree in the end',
  FILE,
  range(1, 4),
  (seed) => simulateMembers(seed)
)

testSeeds(
  'members: regression, a quote behind a seal of what its author says in a log that counts',
  FILE,
  [120],
  (seed) => simulateMembers(seed)
)

testSeeds('members: regression, restoring who was not removed sealed it', FILE, [135], (seed) =>
  simulateMembers(seed)
)

testSeeds(
  'members: regression, who comes later reads a removed log too far, or not what others built on, or misses its key',
  FILE,
  [1018, 1048],
  (seed) => simulateMembers(seed)
)

test.run()

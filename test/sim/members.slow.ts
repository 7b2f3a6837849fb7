/** The same for many seeds, over wires that take their time. */
import { test } from 'uvu'
import { simulateMembers } from './members.ts'
import { range, testSeeds } from './seeds.ts'

testSeeds(
  'members: devices that gain and lose rights agree in the end, whatever comes late',
  'test/sim/members.slow.ts',
  range(5000, 50),
  (seed) => simulateMembers(seed, { isShaken: true })
)

test.run()

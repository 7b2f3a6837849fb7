import { test } from 'uvu'
import {
  agreesWithTheOracle,
  growsAsFromScratch,
  isAFunctionOfTheSet,
  isMovedOnlyFromAbove,
  laws
} from './membership-laws.ts'
import { inviting } from './membership.ts'

laws(
  'membership: random histories and parts of them resolve as the naive resolution does',
  agreesWithTheOracle,
  1,
  175
)
laws(
  'membership: order, parts, duplicates and one by one: the same result',
  isAFunctionOfTheSet,
  5001,
  125
)
laws(
  'membership: one more record gives what all of them give from scratch',
  growsAsFromScratch,
  7001,
  40
)
laws(
  'membership: late records of lower ranks move nothing above them',
  isMovedOnlyFromAbove,
  9001,
  175
)

laws(
  'membership: with invites: as the naive resolution does',
  (seed) => agreesWithTheOracle(seed, inviting),
  11_001,
  350
)
laws(
  'membership: with invites: order, parts, duplicates and one by one: the same result',
  (seed) => isAFunctionOfTheSet(seed, inviting),
  12_001,
  100
)
laws(
  'membership: with invites: late records of lower ranks move nothing above them',
  (seed) => isMovedOnlyFromAbove(seed, inviting),
  13_001,
  150
)

// A removed owner brought back, by voting late, what another owner's recovery key had taken back.
laws('membership: regression, a late vote of a removed owner', isMovedOnlyFromAbove, 203670, 1)

// Who left in a successor, without naming what it continues, took back the log in which it said so.
for (const seed of [146723, 167644])
  laws('membership: regression, leaving in a successor', agreesWithTheOracle, seed, 1)

// Before the root is known, forks were told in the order in which they came.
laws('membership: regression, forks without a root', growsAsFromScratch, 200687, 1)

// An acknowledgement brought the last of what a successor continues, and was taken for no news.
laws('membership: regression, a succession that waited', growsAsFromScratch, 201691, 1)

test.run()
